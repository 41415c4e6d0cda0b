"""What a rewrite says that it did."""

from typing import NamedTuple


class Change(NamedTuple):
    """One thing that was done: by which rewrite, to which layers, and in words how."""

    rewrite: str
    layers: tuple[str, ...]
    words: str
