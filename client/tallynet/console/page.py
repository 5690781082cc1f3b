"""A page of HTML that needs nothing else: no script, nothing loaded from anywhere, in light and in dark.

Whoever fills one lets every foreign word through `safe`.
"""

import os
from collections.abc import Iterable
from html import escape
from pathlib import Path

from tallynet.protocol.errors import Misconfigured


def render_page(title: str, body: str, style: str = "") -> str:
    """The whole page. `title` is text and becomes the heading; `body` and `style` are HTML and CSS."""
    return _PAGE.format(title=safe(title), body=body, style=style)


def write_page(page: str, path: Path) -> None:
    """Raises `Misconfigured` when it cannot be written. The file is written in place: it may be a pipe."""
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise Misconfigured(
            f"The page cannot be written to {path}: {error.strerror or os.strerror(error.errno or 0)}.",
            remedy="Name a file in a folder that exists and that you may write to.",
        ) from error


def definitions(facts: Iterable[tuple[str, str]]) -> str:
    """Labels and values, both text, as a list."""
    return f"<dl>{''.join(f'<dt>{safe(label)}</dt><dd>{safe(value)}</dd>' for label, value in facts)}</dl>"


def safe(text: str) -> str:
    """Foreign text as HTML that shows it and does nothing, also inside of quotes."""
    return escape(shown(text))


def shown(text: str) -> str:
    """Foreign text that cannot steer a terminal: of all control characters only line ends and tabs are left."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in text)


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
body {{ margin: 2rem auto; max-width: 46rem; padding: 0 1rem; font: 16px/1.6 system-ui, sans-serif;
  color: #1a1a1a; background: #fff }}
h1 {{ font-size: 1.2rem; overflow-wrap: anywhere }}
h2 {{ font-size: 1rem; margin-top: 2rem }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; font-size: .9rem }}
dt {{ color: #666 }}
dd {{ margin: 0; overflow-wrap: anywhere }}
@media (prefers-color-scheme: dark) {{
  body {{ color: #e6e6e6; background: #161616 }}
  dt {{ color: #9a9a9a }}
}}
{style}</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""
