# SPDX-License-Identifier: GPL-3.0-or-later
"""A run as one HTML file without scripts, for whoever has no MLflow server: pictures, report card, figures,
versions.
"""

from __future__ import annotations

import html
from typing import Any
from urllib.parse import quote

STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}
img{max-height:22rem;max-width:100%;margin-right:1rem;border:1px solid #ddd}
table{border-collapse:collapse}td,th{padding:.15rem 1rem .15rem 0;text-align:left;vertical-align:top}
th{font-weight:normal;color:#666}
code{word-break:break-all}.FAIL{color:#b00020}.WARN{color:#8a5a00}.PASS{color:#1b7a35}"""


def run_page(receipt: dict[str, Any], pictures: list[str]) -> str:
    """receipt: as in receipt.json; pictures: paths relative to the page."""
    parts = [
        f"<h1>{html.escape(receipt['name'])}</h1><p>Run <code>{html.escape(receipt['run'])}</code>,"
        f" {receipt['made_at']}</p><p>"
    ]
    parts += [f'<img src="{html.escape(path)}" alt="{html.escape(path)}">' for path in pictures]
    parts.append("</p>")
    page = receipt["files"].get("page")
    if page:
        parts.append(f'<p><a href="{html.escape(quote(page["path"]))}">View the avatar</a></p>')
    checks = (receipt.get("report") or {}).get("checks", [])
    parts.append(_table("Report card", [(check.get("status"), _check(check)) for check in checks], coloured=True))
    parts.append(_table("Notes", [(note.get("code"), note.get("message")) for note in receipt["warnings"]]))
    for title, key in (
        ("Parameters", "parameters"),
        ("Figures", "metrics"),
        ("Seconds", "seconds"),
        ("Versions", "versions"),
    ):
        parts.append(_table(title, sorted(receipt[key].items())))
    parts.append(
        _table(
            "Files",
            [(file["path"], f"{file['bytes']:,} bytes, {file['sha256']}") for file in receipt["files"].values()],
        )
    )
    parts.append(_table("Model weights", sorted(receipt["weights"].items())))
    head = f"<!doctype html><meta charset=utf-8><title>{html.escape(receipt['name'])}</title><style>{STYLE}</style>"
    return head + "".join(parts) + "\n"


def _check(check: dict[str, Any]) -> str:
    text = f"{check.get('title') or check.get('id', '')}: {check.get('figure', '')}".rstrip(": ")
    return (
        text
        if check.get("status") == "PASS"
        else " – ".join(filter(None, [text, check.get("meaning"), check.get("fix")]))
    )


def _table(title: str, rows: list[tuple[Any, Any]], coloured: bool = False) -> str:
    if not rows:
        return ""
    lines = []
    for name, value in rows:
        shade = f' class="{html.escape(str(name))}"' if coloured else ""
        shown = f"{value:g}" if isinstance(value, float) else str(value)
        lines.append(f"<tr><th{shade}>{html.escape(str(name))}</th><td>{html.escape(shown)}</td></tr>")
    return f"<h2>{title}</h2><table>{''.join(lines)}</table>"
