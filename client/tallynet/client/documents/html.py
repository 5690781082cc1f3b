"""The text of an HTML page: what a reader sees, a line for each block, nothing of scripts and styles."""

import re
from html.parser import HTMLParser

HIDDEN = {"head", "math", "noscript", "script", "style", "svg", "template"}
BLOCKS = {
    "address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "figcaption", "figure", "footer",
    "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre", "section",
    "table", "td", "th", "tr", "ul",
}  # fmt: skip


def read_html(page: str) -> str:
    """Paragraphs, an empty line between them. Takes whatever a browser would take."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    blocks = (re.sub(r"\s+", " ", block).strip() for block in "".join(reader.pieces).split("\0"))
    return "\n\n".join(block for block in blocks if block)


class _Reader(HTMLParser):
    """Collects text; a NUL, which text cannot hold, stands between blocks."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._hidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in BLOCKS:
            self.pieces.append("\0")
        if tag in HIDDEN:
            self._hidden.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in BLOCKS:
            self.pieces.append("\0")
        if tag in self._hidden:
            while self._hidden.pop() != tag:
                continue

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.pieces.append(data.replace("\0", " "))
