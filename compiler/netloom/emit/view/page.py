"""The page itself: a template, a style, a script, and the data of a spec.

Nothing of a spec becomes markup or code. Its data stands in a block that no browser runs, and the
script puts it on the page as text. The page's own policy forbids every other script and style, and
all traffic.
"""

import base64
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from netloom.compile import Spec
from netloom.emit.view.document import network_document
from netloom.emit.view.plain import Plain

MARK = '<meta name="generator" content="netloom view">'
"""Stands at the beginning of each page, so that one can be told from files of other origin."""

_FOLDER = Path(__file__).parent


def page(spec: Spec, names: Sequence[str]) -> str:
    """An HTML page with some networks of a spec; equal specs give equal pages."""
    document: Plain = {
        "file": os.path.basename(spec.source.name),
        "networks": [network_document(spec.networks[name]) for name in names],
    }
    return filled(document)


def filled(document: Plain) -> str:
    """The page that shows a document."""
    style, script = _template("view.css"), _template("view.js")
    parts = {
        "{{mark}}": MARK,
        "{{policy}}": policy(script, style),
        "{{style}}": style,
        "{{script}}": script,
        "{{data}}": data_block(document),
    }
    text = _template("view.html")
    for place, part in parts.items():
        before, after = text.split(place)
        text = f"{before}{part}{after}"
    return text


def policy(script: str, style: str) -> str:
    """The content security policy: this script, this style, pictures the reader opens; no more."""
    return (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def data_block(document: Plain) -> str:
    """JSON that cannot end the block it stands in, nor be read as markup or as a line's end."""
    text = json.dumps(document, ensure_ascii=True, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _template(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
