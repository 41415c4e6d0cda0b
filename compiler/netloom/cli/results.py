"""The results of `netloom run` on stdout or in a file: as text, as CSV, or as one document."""

import json as json_format
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from netloom.cli.app import note
from netloom.cli.checking import report
from netloom.cli.heads import heads_text, is_map
from netloom.diagnostics import Failed
from netloom.diagnostics.render import printable
from netloom.emit.files import write_atomically
from netloom.runtime.interface import Interface
from netloom.runtime.predict import Prediction, Refused
from netloom.runtime.results import CsvTable, prediction_json
from netloom.runtime.sessions import Opened, Placed

MOST_TOLD = 20
"""How many files that could not be run are told one by one."""


class Lines:
    """Shows predictions as they come, and tells on stderr what could not be run or is suspect."""

    def __init__(self) -> None:
        self.refused = self.suspect = 0

    def add(self, result: Prediction | Refused) -> None:
        """Shows one result, or tells why there is none."""
        if isinstance(result, Refused):
            self.refused += 1
            if self.refused <= MOST_TOLD:
                report(result.failure)
            return
        if result.warning:
            self.suspect += 1
            if self.suspect <= MOST_TOLD:
                report(Failed(result.warning))
        self.show(result)

    def show(self, prediction: Prediction) -> None:
        """Shows what a model gave for one sample."""
        raise NotImplementedError

    def finish(self) -> None:
        """Says how much more there was to tell than was told."""
        if self.refused > MOST_TOLD:
            note(f"… and {self.refused - MOST_TOLD} more could not be run")
        if self.suspect > MOST_TOLD:
            note(f"… and {self.suspect - MOST_TOLD} more have numbers that are not finite")


class Text(Lines):
    """Prints every head of a prediction."""

    def __init__(self, interface: Interface, top: int, keeps: bool) -> None:
        """`keeps` says whether the outputs are kept anyway."""
        super().__init__()
        self.interface, self.top, self.keeps = interface, top, keeps
        self.has_maps = False

    def show(self, prediction: Prediction) -> None:
        """Prints where the sample comes from, and its heads below."""
        print(printable(prediction.source))
        for line in heads_text(self.interface, prediction.outputs, self.top):
            print(line)
        self.has_maps |= any(map(is_map, prediction.outputs.values()))

    def finish(self) -> None:
        """Says how to have the numbers that there were too many of."""
        super().finish()
        if self.has_maps and not self.keeps:
            note("`--out FILE.npz` keeps all numbers of all outputs")


class Csv(Lines):
    """Writes CSV to a file when all is done, or to stdout as it comes."""

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self.path = path
        self.table = CsvTable()
        self.lines: list[str] = []

    def show(self, prediction: Prediction) -> None:
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
            return
        self.predictions.append(prediction_json(result))
        if result.warning:
            self.diagnostics.append(result.warning.as_json())

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
