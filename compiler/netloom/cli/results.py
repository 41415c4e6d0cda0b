"""The results of `netloom run` on stdout or in a file: as text, as CSV, or as one document."""

import json as json_format
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from netloom.cli.app import note
from netloom.cli.checking import report
from netloom.diagnostics.render import printable
from netloom.emit.files import write_atomically
from netloom.runtime.predict import Prediction, Refused
from netloom.runtime.results import CsvTable, prediction_json
from netloom.runtime.sessions import Opened, Placed

MOST_TOLD = 20
"""How many files that could not be run are told one by one."""


class Text:
    """Prints predictions as they come, and on stderr what could not be run."""

    def __init__(self) -> None:
        self.refused = 0

    def add(self, result: Prediction | Refused) -> None:
        """Prints one result."""
        if isinstance(result, Refused):
            self.refused += 1
            if self.refused <= MOST_TOLD:
                report(result.failure)
        else:
            self.print(result)

    def print(self, prediction: Prediction) -> None:
        """Prints the classes of a sample, or the shapes of its outputs if it has none."""
        print(printable(prediction.source))
        classes = [(printable(label), score) for label, score in prediction.classes]
        width = max((len(label) for label, _ in classes), default=0)
        for label, score in classes:
            bar = "█" * round(30 * score) if 0 <= score <= 1 else ""
            print(f"  {label:<{width}}  {score:8.4f}  {bar}".rstrip())
        if not classes:
            for name, array in prediction.outputs.items():
                print(f"  {name}: {array.dtype}{list(array.shape)}")

    def finish(self) -> None:
        """Says how many more could not be run than were told."""
        if self.refused > MOST_TOLD:
            note(f"… and {self.refused - MOST_TOLD} more could not be run")


class Csv(Text):
    """Writes CSV to a file when all is done, or to stdout as it comes."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.path = None if name == "-" else Path(name)
        self.table = CsvTable()
        self.lines: list[str] = []

    def print(self, prediction: Prediction) -> None:
        """Writes the lines of a sample."""
        for line in self.table.lines(prediction):
            if self.path:
                self.lines.append(line)
            else:
                print(line)

    def finish(self) -> None:
        """Writes the file. Raises `Failed` (E005) if that is impossible."""
        super().finish()
        if self.path:
            write_atomically(self.path, ["".join(f"{line}\n" for line in self.lines).encode()])
            note(f"wrote {self.path}")


class Document:
    """Gathers everything, and prints it as one JSON document."""

    def __init__(self, found: Opened, nodes: list[Placed] | None, in_full: bool) -> None:
        self.head: dict[str, Any] = {"device": found.device, "not_taken": dict(found.not_taken)}
        counts: dict[str, Counter[str]] = {}
        for node in nodes or ():
            counts.setdefault(node.device, Counter())[node.operator] += 1
        self.head["placement"] = None if nodes is None else counts
        if in_full and nodes is not None:
            self.head["nodes"] = [node._asdict() for node in nodes]
        self.predictions: list[dict[str, Any]] = []
        self.diagnostics: list[dict[str, Any]] = []
        self.refused = 0

    def add(self, result: Prediction | Refused) -> None:
        """Keeps one result."""
        if isinstance(result, Refused):
            self.refused += 1
            self.diagnostics += [each.as_json() for each in result.failure.diagnostics]
        else:
            self.predictions.append(prediction_json(result))

    def finish(self) -> None:
        """Prints the document; numbers stand in one line, a prediction in a few."""
        document = {
            "ok": not self.refused,
            **self.head,
            "predictions": self.predictions,
            "diagnostics": self.diagnostics,
        }
        json_format.dump(document, sys.stdout, ensure_ascii=False)
        print()


def printer(
    json: bool, csv: str | None, found: Opened, nodes: list[Placed] | None, in_full: bool
) -> Text | Document:
    """What takes the results, as the options ask for it."""
    if json:
        return Document(found, nodes, in_full)
    return Csv(csv) if csv else Text()
