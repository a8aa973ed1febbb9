# SPDX-License-Identifier: GPL-3.0-or-later
"""More than one machine, by a Ray cluster: `client` asks its Jobs REST API, `driver` and `stages` run there."""
