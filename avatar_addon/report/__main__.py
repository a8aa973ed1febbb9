# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m avatar_addon.report FILE [--json]`."""

from .report import main

raise SystemExit(main())
