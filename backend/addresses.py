# SPDX-License-Identifier: GPL-3.0-or-later
"""What messages and logs say of an address."""

from __future__ import annotations

from urllib.parse import urlsplit


def shown(address: str) -> str:
    """Scheme, host and port: what comes before the host or after it may be a secret, as in a webhook's address. The
    address of a file, which has no host, is shown as it is.
    """
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}" if host else address
