"""Weights of other libraries: patterns for their keys, and what is refused."""

from pathlib import Path

import numpy
import pytest
import torch
from safetensors.numpy import load_file, save_file

from netloom.compile import check
from netloom.diagnostics import Failed, Source
from netloom.emit.foreign import foreign, read_checkpoint, renamed
from netloom.emit.key_map import KeyMap, first_fitting
from netloom.emit.weights import initial
from test_cli import netloom

SPEC = """
network net {
    input image: float32[N, 3, 8, 8]
    stem = conv(4, 3) -> batchnorm
    head out = global_avgpool -> flatten -> linear(2)
}
"""

GRAPH = check(Source("net.loom", SPEC)).networks["net"].graph

MAP = """
[net]
features.{0,1}.{p} -> stem.{conv1,batchnorm1}.{p}  # the first layers
classifier.{p} -> out.{p}
"""

THEIRS = {
    name.replace("stem.conv1", "features.0")
    .replace("stem.batchnorm1", "features.1")
    .replace("out", "classifier"): array
    for name, array in initial(GRAPH).items()
}


def _key_map(text: str) -> KeyMap:
    return KeyMap(Source("net.keys", text))


@pytest.mark.parametrize(
    ("line", "key", "ours"),
    [
        ("a.{p} -> b.{p}", "a.weight", "b.weight"),
        ("a.{p} -> b.{p}", "a.b.weight", None),
        ("a.{p} -> b.{p}", "xa.weight", None),
        ("a.b -> c", "a.b", "c"),
        ("a.b -> c", "aXb", None),
        ("layer{s}.{b}.{p} -> conv{s+1}_x.{b-1}.{p}", "layer1.3.bias", "conv2_x.2.bias"),
        ("layer{s}.{p} -> conv{s+1}.{p}", "layerA.bias", None),
        ("{0,1,10}.{p} -> {a,b,c}.{p}", "10.bias", "c.bias"),
        ("{0..2}.{x,y} -> {4..6}.{u.v,w}", "1.x", "5.u.v"),
        ("{0..2}.{x,y} -> {4..6}.{u.v,w}", "3.x", None),
        ("{a}.{b} -> {b}.{a}", "x.y", "y.x"),
    ],
)
def test_a_line_renames_what_it_fits(line: str, key: str, ours: str | None) -> None:
    found = first_fitting(_key_map(line).rules("net"), key)
    assert (found and found.name) == ours


def test_the_first_line_that_fits_counts() -> None:
    rules = _key_map("a.0 -> first\na.{n} -> other{n}").rules("net")
    keys = [first_fitting(rules, key) for key in ("a.0", "a.1")]
    assert [key and key.name for key in keys] == ["first", "other1"]


def test_lines_below_a_heading_are_for_its_networks() -> None:
    key_map = _key_map("a -> b\n[one, two]\nc -> d\n[two]\ne -> f\n")
    fitting = {
        network: [key for key in "ace" if first_fitting(key_map.rules(network), key)]
        for network in ("one", "two", "three")
    }
    assert fitting == {"one": ["a", "c"], "two": ["a", "c", "e"], "three": ["a"]}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a b", "their key -> our key"),
        ("a ->", "their key -> our key"),
        ("a x -> b", "has no blanks"),
        ("a.{b} -> c", "`{b}` stands on one side only"),
        ("a -> c.{b}", "`{b}` stands on one side only"),
        ("{b}.{b} -> {b}", "no name, or one that was there before"),
        ("{b-1} -> {b}", "no name"),
        ("{b} -> {b*2}", "no name"),
        ("{0,1} -> {a,b,c}", "a list of 2 items stands for one of 3"),
        ("{0,1} -> a", "1 lists on the left and 0 on the right"),
        ("{0,0} -> {a,b}", "an item twice"),
    ],
)
def test_a_line_that_says_nothing_is_told(line: str, reason: str) -> None:
    with pytest.raises(Failed) as failed:
        _key_map(f"fine -> fine\n{line}\n")
    (told,) = failed.value.diagnostics
    assert told.code == "E609"
    assert reason in told.message
    assert told.span
    assert told.span.source.position(told.span.start)[0] == 2


def test_weights_are_put_under_our_keys() -> None:
    found = renamed(foreign(THEIRS), _key_map(MAP), GRAPH, "x")
    assert list(found) == list(initial(GRAPH))
    for name, array in initial(GRAPH).items():
        numpy.testing.assert_array_equal(found[name], array)


def test_counters_may_be_absent() -> None:
    theirs = {name: array for name, array in THEIRS.items() if "num_batches" not in name}
    found = renamed(foreign(theirs), _key_map(MAP), GRAPH, "x")
    assert found["stem.batchnorm1.num_batches_tracked"] == 0


def _differences(theirs: dict[str, numpy.ndarray], text: str = MAP) -> str:
    with pytest.raises(Failed) as failed:
        renamed(foreign(theirs), _key_map(text), GRAPH, "`theirs`")
    (told,) = failed.value.diagnostics
    assert told.code == "E610"
    return told.help or ""


def test_every_key_and_shape_that_differs_is_told() -> None:
    theirs = dict(THEIRS)
    del theirs["classifier.bias"]
    theirs["head.bias"] = numpy.zeros(2, "float32")
    theirs["classifier.scale"] = numpy.zeros(2, "float32")
    theirs["features.1.bias"] = numpy.zeros(5, "float32")
    assert _differences(theirs).splitlines() == [
        "`features.1.bias` is [5], but `stem.batchnorm1.bias` is [4]",
        "no line fits `head.bias`",
        "`classifier.scale` would be `out.scale`, which belongs to no layer",
        "nothing becomes `out.bias`",
    ]


def test_two_keys_never_become_one() -> None:
    theirs = {**THEIRS, "head.bias": numpy.zeros(2, "float32")}
    assert _differences(theirs, f"{MAP}head.{{p}} -> out.{{p}}\n").splitlines() == [
        "`head.bias` and `classifier.bias` would both be `out.bias`"
    ]


def test_a_shape_changes_only_where_the_map_says_so() -> None:
    theirs = {**THEIRS, "classifier.weight": THEIRS["classifier.weight"].reshape(2, 4, 1, 1)}
    assert "a line may end in `reshaped`" in _differences(theirs)
    text = f"[net]\nclassifier.weight -> out.weight reshaped\n{MAP}"
    found = renamed(foreign(theirs), _key_map(text), GRAPH, "x")["out.weight"]
    numpy.testing.assert_array_equal(found, THEIRS["classifier.weight"])
    theirs["classifier.weight"] = numpy.zeros((3, 3), "float32")
    assert "is [3, 3], but `out.weight` is [2, 4]" in _differences(theirs, text)


def test_whole_numbers_are_no_weights() -> None:
    theirs = {**THEIRS, "classifier.bias": numpy.zeros(2, "int64")}
    assert "`classifier.bias` is" in _differences(theirs)


def test_a_map_that_does_not_know_the_network_is_refused() -> None:
    with pytest.raises(Failed, match="says nothing about network `net`"):
        renamed(foreign(THEIRS), _key_map("[nets]\na -> b"), GRAPH, "x")


def _torch_state(dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    state = {name: torch.tensor(array) for name, array in THEIRS.items()}
    return {n: each.to(dtype) if each.is_floating_point() else each for n, each in state.items()}


@pytest.mark.parametrize("around", [None, "state_dict", "model"])
def test_a_pickled_checkpoint_is_read(tmp_path: Path, around: str | None) -> None:
    state = _torch_state(torch.float64)
    torch.save({around: state, "epoch": 3} if around else state, tmp_path / "theirs.pt")
    found = read_checkpoint(tmp_path / "theirs.pt").weights
    assert found.keys() == THEIRS.keys()
    for name, array in found.items():
        assert array.dtype == THEIRS[name].dtype
        numpy.testing.assert_allclose(array, THEIRS[name])


class _Hostile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_nothing_but_tensors_is_unpickled(tmp_path: Path) -> None:
    torch.save({"a": _Hostile(tmp_path / "touched")}, tmp_path / "theirs.pth")
    with pytest.raises(Failed) as failed:
        read_checkpoint(tmp_path / "theirs.pth")
    assert failed.value.diagnostics[0].code == "E602"
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.pt", b"no zip"), ("a.pth", b""), ("a.safetensors", b"\xff" * 16), ("a.bin", b"")],
)
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Failed) as failed:
        read_checkpoint(tmp_path / name)
    assert failed.value.diagnostics[0].code == "E602"


def test_a_list_is_no_state_dict(tmp_path: Path) -> None:
    torch.save([torch.zeros(2)], tmp_path / "a.pt")
    with pytest.raises(Failed, match="it holds no state dict"):
        read_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_the_command_writes_a_checkpoint_that_fits(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "net.loom").write_text(SPEC)
    (tmp_path / "net.keys").write_text(MAP)
    theirs, ours = tmp_path / f"theirs{suffix}", tmp_path / "ours.safetensors"
    if suffix == ".pt":
        torch.save(_torch_state(torch.bfloat16), theirs)
    else:
        save_file(THEIRS, theirs)
    keys = tmp_path / "net.keys"
    found = netloom("import-weights", tmp_path / "net.loom", theirs, "--keys", keys, "-o", ours)
    assert found.returncode == 0, found.stderr
    weights = load_file(ours)
    assert weights.keys() == initial(GRAPH).keys()
    numpy.testing.assert_allclose(weights["out.bias"], THEIRS["classifier.bias"], rtol=1e-2)
