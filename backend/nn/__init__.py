# SPDX-License-Identifier: GPL-3.0-or-later
"""What the model engines share: precision, devices, memory, sparse operators, transformer layers."""
