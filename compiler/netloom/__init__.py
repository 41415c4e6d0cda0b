"""netloom: a declarative compiler for neural networks.

`netloom.load("lenet.loom").network().module()` is a torch module; `docs/python.md` has the rest.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netloom.api import Network as Network
    from netloom.api import Spec as Spec
    from netloom.api import load as load
    from netloom.diagnostics import Failed as Failed

__version__ = "0.1.0"

_API = ("Failed", "Network", "Spec", "load")


def __getattr__(name: str) -> Any:
    """The Python interface, imported when it is asked for: the command line does not need it."""
    if name not in _API:
        raise AttributeError(f"module `netloom` has no attribute `{name}`")
    from netloom import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_API})
