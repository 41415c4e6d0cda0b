"""Whether a model says that it was made from another spec than the one it is compared with."""

from collections.abc import Mapping

from netloom.compile import Spec
from netloom.runtime.metadata import model_metadata

_WORDS = {
    "netloom.spec_sha256": "another text of the spec",
    "netloom.imports": "other texts of imported files",
    "netloom.network": "another network",
    "netloom.set": "other values of `--set`",
    "netloom.version": "another version of netloom",
}


def other_origin(metadata: Mapping[str, str], spec: Spec, network: str) -> str | None:
    """What a model's metadata says otherwise than this spec would, in words.

    None where nothing does, or where the model does not say where it comes from.
    """
    if "netloom.spec_sha256" not in metadata:
        return None
    expected = model_metadata(spec, network)
    differing = [words for key, words in _WORDS.items() if metadata.get(key) != expected.get(key)]
    return " and ".join(differing) or None
