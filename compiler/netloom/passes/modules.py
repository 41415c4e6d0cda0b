"""Files and what they define: blocks, networks and constants, their own and imported ones."""

import os
from typing import Any, NamedTuple

from netloom.diagnostics import Diagnostic, Diagnostics, Failed, Note, Source, Span, unknown_name
from netloom.ir.declared import Field
from netloom.ir.op import Op
from netloom.limits import Limits
from netloom.passes.expressions import POISON, Names, Poisoned, evaluate
from netloom.syntax import ast
from netloom.syntax.parse import parse_damaged
from netloom.syntax.source import project_of, read_imported


class Definition(NamedTuple):
    """A block or network, and the file in whose names it is to be understood."""

    node: ast.Block | ast.Network
    module: "Module"


class Module:
    """One file: the blocks and networks that can be called in it, and its constants by name.

    `damaged` are the names that syntax errors have taken; what uses one is not judged. `signatures`
    are the parameters of its definitions, or why they have none, once they have been asked for.
    """

    def __init__(self, file: ast.File) -> None:
        self.file = file
        self.definitions: dict[str, Definition] = {}
        self.constants: dict[str, Any] = dict.fromkeys(file.damaged, POISON)
        self.damaged = set(file.damaged)
        self.signatures: dict[str, list[Field] | Exception] = {}
        self._first: dict[str, Span] = {}

    def claim(self, name: ast.Name) -> Diagnostic | None:
        """Takes a name; the diagnostic if it is already taken."""
        if name.text in self._first:
            note = Note(f"`{name.text}` is already defined here", self._first[name.text])
            message = f"the name `{name.text}` is used twice"
            return Diagnostic("E211", message, name.span, notes=(note,))
        self._first[name.text] = name.span
        if name.text in Op.registry:
            message = f"`{name.text}` is an operator, so nothing else can have that name"
            return Diagnostic("E211", message, name.span)
        return None


class Modules:
    """Reads the files of one check, each once."""

    def __init__(self, limits: Limits, diagnostics: Diagnostics) -> None:
        self.limits = limits
        self.diagnostics = diagnostics
        self.sources: list[Source] = []
        self._known: dict[str, Module | None] = {}
        self._chain: list[str] = []

    def open(self, source: Source, file: ast.File) -> Module:
        """What a file defines, with what it imports; mistakes are reported."""
        module = Module(file)
        self.sources.append(source)
        self._chain.append(os.path.realpath(source.name))
        for item in file.items:
            match item:
                case ast.Imports():
                    self._import(item, module, source)
                case ast.Let():
                    if self._claim(item.name, module):
                        module.constants[item.name.text] = self._constant(item, module)
                case ast.Block() | ast.Network():
                    if self._claim(item.name, module):
                        module.definitions[item.name.text] = Definition(item, module)
        self._chain.pop()
        return module

    def _claim(self, name: ast.Name, module: Module) -> bool:
        taken = module.claim(name)
        if taken:
            self.diagnostics.report(taken)
        return taken is None

    def _constant(self, item: ast.Let, module: Module) -> Any:
        try:
            return evaluate(item.value, Names(module.constants, limits=self.limits))
        except Failed as failure:
            for diagnostic in failure.diagnostics:
                self.diagnostics.report(diagnostic)
        except Poisoned:
            pass
        return POISON

    def _import(self, item: ast.Imports, module: Module, source: Source) -> None:
        try:
            other = self._read(item, source)
        except Failed as failure:
            for diagnostic in failure.diagnostics:
                self.diagnostics.report(diagnostic)
            other = None
        for imported in item.names:
            name = imported.alias or imported.name
            if not self._claim(name, module):
                continue
            wanted = imported.name.text
            if other is None or wanted in other.damaged:
                module.damaged.add(name.text)
                module.constants[name.text] = POISON
            elif wanted in other.definitions:
                module.definitions[name.text] = other.definitions[wanted]
            elif wanted in other.constants:
                module.constants[name.text] = other.constants[wanted]
            else:
                known = [*other.definitions, *other.constants]
                message = f'"{item.path.value}" defines no `{wanted}`'
                span = imported.name.span
                self.diagnostics.report(unknown_name("E201", message, span, wanted, known, known))
                module.damaged.add(name.text)
                module.constants[name.text] = POISON

    def _read(self, item: ast.Imports, source: Source) -> Module | None:
        """The module that an import names; None if mistakes in it have been told before.

        Raises `Failed`: E106 for a path that leaves the project or is no spec, E107 for files that
        import one another, E217 for too many files.
        """
        project = project_of(self._chain[0])
        name, span = item.path.value, item.path.span
        path, content = read_imported(name, source.name, project, span, self.limits.text)
        if path in self._chain:
            circle = [*self._chain[self._chain.index(path) :], path]
            names = " -> ".join(os.path.relpath(each, project) for each in circle)
            message = f"these files import one another: {names}"
            help = "move what both need into a third file"
            raise Failed(Diagnostic("E107", message, item.path.span, help=help))
        if path in self._known:
            return self._known[path]
        for name, count in (("files", len(self._known) + 1), ("imports", len(self._chain))):
            limit = getattr(self.limits, name)
            if count > limit:
                message = f"more than {limit} {'files' if name == 'files' else 'levels'} of imports"
                help = self.limits.raised_by(name)
                raise Failed(Diagnostic("E217", message, item.path.span, help=help))
        self._known[path] = None
        imported = content()
        file, mistakes = parse_damaged(imported, self.limits)
        for mistake in mistakes:
            self.diagnostics.report(mistake)
        self._known[path] = self.open(imported, file)
        return self._known[path]
