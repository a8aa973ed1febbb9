# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of TRELLIS' golden vectors are registered here by the other verify_* modules."""

from ..nn.golden import Checks

check = Checks()
