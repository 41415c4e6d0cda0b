"""Values for the parameters of networks that come from outside the spec: `--set classes=10`."""

from collections.abc import Iterable

from netloom.diagnostics import Diagnostic, Diagnostics, Failed, Source, unknown_name
from netloom.syntax import ast
from netloom.syntax.parse import parse


class Settings:
    """The settings of one check; each must be a parameter of some network of the spec."""

    def __init__(self, given: Iterable[str] = ()) -> None:
        self._given: dict[str, ast.Argument] = {}
        for text in given:
            argument = _argument(text)
            assert argument.name
            self._given[argument.name.text] = argument
        self._used: set[str] = set()
        self._known: set[str] = set()

    def arguments(self, network: ast.Network) -> tuple[ast.Argument, ...]:
        """Those that are parameters of a network, as arguments of a call."""
        names = {parameter.name.text for parameter in network.parameters}
        self._known |= names
        self._used |= names & self._given.keys()
        return tuple(argument for name, argument in self._given.items() if name in names)

    def report_unused(self, diagnostics: Diagnostics) -> None:
        """Reports those that no network has asked for (E203)."""
        for name, argument in self._given.items():
            if name not in self._used and argument.name:
                message = f"no network of this spec has a parameter `{name}`"
                span = argument.name.span
                diagnostics.report(unknown_name("E203", message, span, name, self._known))


def _argument(text: str) -> ast.Argument:
    """`name=value`, read as the language reads an argument.

    Raises `Failed` (E101) where it is none.
    """
    try:
        (item,) = parse(Source("--set", f"let\n{text}")).items  # which shows as the second line
    except (Failed, ValueError):
        item = None
    if not isinstance(item, ast.Let):
        message = f"`--set {text}` is not of the form `name=value`"
        help = "as an argument in a spec: `--set classes=10`, `--set widths=[64, 128]`"
        raise Failed(Diagnostic("E101", message, help=help))
    return ast.Argument(item.name, item.value, item.span)
