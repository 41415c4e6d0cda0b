"""Facts about a value in the words of a table's cells."""

from netloom.ir.field import Fields, extent_words


def field_words(fields: Fields) -> tuple[str, str, str]:
    """Size, stride and offset of a field, in as few words as say it.

    Axes that agree are told once, others as `3x5` in the order of the axes; sizes of different
    phases are joined by `|`. With several inputs each is named.
    """
    columns: list[tuple[str, str, str]] = []
    for name, axes in fields.items():
        prefix = f"{name}: " if len(fields) > 1 else ""
        words = [extent_words(extent) for extent in axes.values()]
        size, stride, offset = (
            (_joined(column) for column in zip(*words, strict=True)) if words else ("", "", "")
        )
        columns.append((prefix + size if size else "", stride, offset))
    return (
        ", ".join(column[0] for column in columns if column[0]),
        ", ".join(column[1] for column in columns if column[1]),
        ", ".join(column[2] for column in columns if column[2]),
    )


def _joined(words: tuple[str, ...]) -> str:
    return words[0] if len(set(words)) == 1 else "x".join(words)
