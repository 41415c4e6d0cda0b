"""The operators, one file a family. Importing this package registers all of them."""

from importlib import import_module

FAMILIES = (
    "activation",
    "border",
    "conv",
    "gate",
    "linear",
    "merge",
    "norm",
    "pool",
    "recurrent",
    "region",
    "resize",
    "shape",
)

for _family in FAMILIES:
    import_module(f"netloom.ops.{_family}")
