"""Weights of other libraries: patterns for their keys, and what is refused."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as save_tensors

from netloom.compile import check
from netloom.diagnostics import Failed, Source
from netloom.emit.foreign import foreign, read_checkpoint, renamed
from netloom.emit.key_map import KeyMap, first_fitting
from netloom.emit.weights import initial, load
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


def _differences(theirs: Mapping[str, Any], text: str = MAP) -> str:
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


def test_a_counter_of_another_type_is_told_by_its_type_and_last() -> None:
    state = _torch_state()
    state["features.1.num_batches_tracked"] = torch.tensor(2.5, dtype=torch.float16)
    state["classifier.bias"] = torch.zeros(3)
    assert _differences(state).splitlines() == [
        "`classifier.bias` is [3], but `out.bias` is [2]",
        "`features.1.num_batches_tracked` is float16, but "
        "`stem.batchnorm1.num_batches_tracked` is int64",
    ]


def test_a_counter_that_became_a_float_is_still_a_counter() -> None:
    state = {name: each.half() for name, each in _torch_state().items()}
    state["features.1.num_batches_tracked"] += 17
    found = renamed(foreign(state), _key_map(MAP), GRAPH, "x")[
        "stem.batchnorm1.num_batches_tracked"
    ]
    assert (found.dtype, int(found)) == ("int64", 17)


@pytest.mark.parametrize("prefix", ["module.", "module.model."])
def test_a_prefix_without_which_the_keys_fit_is_proposed(prefix: str) -> None:
    theirs = {f"{prefix}{name}": array for name, array in THEIRS.items()}
    theirs_and_one_more = {**theirs, "n_averaged": numpy.array(3)}
    for state in (theirs, theirs_and_one_more):
        proposed = f"the keys fit without `{prefix}`: `--strip-prefix {prefix}` leaves it out"
        assert _differences(state) == proposed
    for given in (prefix, prefix.removesuffix(".")):
        found = renamed(foreign(theirs), _key_map(MAP), GRAPH, "x", given)
        numpy.testing.assert_array_equal(found["out.bias"], THEIRS["classifier.bias"])


def test_a_prefix_that_does_not_help_is_not_proposed() -> None:
    assert "strip" not in _differences({f"x.y{name}": array for name, array in THEIRS.items()})
    few = {f"module.{n}" if "bias" in n else n: array for n, array in THEIRS.items()}
    assert "strip" not in _differences(few)
    assert "strip" not in _differences({})


def test_what_is_left_without_a_prefix_is_still_one_key() -> None:
    theirs = {f"module.{name}": array for name, array in THEIRS.items()}
    theirs["classifier.bias"] = THEIRS["classifier.bias"]
    with pytest.raises(Failed) as failed:
        renamed(foreign(theirs), _key_map(MAP), GRAPH, "x", "module.")
    told = failed.value.diagnostics[0].help
    assert told == "`classifier.bias` and `module.classifier.bias` would both be `out.bias`"


def test_a_prefix_that_no_key_has_is_refused() -> None:
    with pytest.raises(Failed, match=r"no key of x begins with `modul\.`"):
        renamed(foreign(THEIRS), _key_map(MAP), GRAPH, "x", "modul.")


def test_without_a_map_the_keys_are_ours() -> None:
    ours = initial(GRAPH)
    assert renamed(foreign(ours), None, GRAPH, "x").keys() == ours.keys()
    with pytest.raises(Failed) as failed:
        renamed(foreign(THEIRS), None, GRAPH, "`x`")
    (told,) = failed.value.diagnostics
    assert (told.code, told.message) == ("E603", "`x` does not hold the weights of network `net`")
    assert "`features.0.weight` belongs to no layer" in (told.help or "")
    assert "`--keys MAP` says how" in (told.help or "")


def test_what_is_no_key_map_is_told_once() -> None:
    with pytest.raises(Failed) as failed:
        _key_map(SPEC)
    (told,) = failed.value.diagnostics
    assert told.code == "E609"
    assert told.help is not None
    assert "is this a key map?\nits lines are of the form `their key -> our key`" in told.help
    with pytest.raises(Failed) as failed:
        _key_map("a -> b\nc -> d\ne\nf\n")
    assert len(failed.value.diagnostics) == 2


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


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([torch.zeros(2)], "it holds no state dict but list"),
        (torch.nn.Linear(2, 2), "an object of `torch.nn.modules.linear.Linear`, and not tensors"),
        ({"epoch": 3, "a": torch.zeros(2)}, "`epoch` is int, not a tensor"),
    ],
)
def test_what_is_no_state_dict_is_told_in_one_sentence(
    tmp_path: Path, content: object, words: str
) -> None:
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(Failed) as failed:
        read_checkpoint(tmp_path / "a.pt")
    (told,) = failed.value.diagnostics
    assert words in told.message
    assert told.message.isprintable()
    assert "`torch.save(model.state_dict(), path)`" in (told.help or "")


@pytest.mark.parametrize("name", ["a.pt", "pytorch_model.bin", "old.ckpt"])
def test_a_pickle_is_known_by_what_it_holds(tmp_path: Path, name: str) -> None:
    torch.save(_torch_state(), tmp_path / name, _use_new_zipfile_serialization="old" not in name)
    assert read_checkpoint(tmp_path / name).weights.keys() == THEIRS.keys()


@pytest.mark.parametrize("name", ["a.pt", "a.bin"])
def test_a_pickle_in_place_of_weights_is_told_with_what_converts_it(
    tmp_path: Path, name: str
) -> None:
    state = {name: torch.tensor(array) for name, array in initial(GRAPH).items()}
    torch.save(state, tmp_path / name)
    with pytest.raises(Failed) as failed:
        load(tmp_path / name, GRAPH)
    (told,) = failed.value.diagnostics
    assert told.code == "E602"
    assert "was pickled by PyTorch" in told.message
    _follow(told.help or "", tmp_path)
    assert load(tmp_path / "a.safetensors", GRAPH).keys() == initial(GRAPH).keys()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_width_are_told_with_what_converts_them(
    tmp_path: Path, dtype: torch.dtype
) -> None:
    state = {name: torch.tensor(array) for name, array in initial(GRAPH).items()}
    other = {n: each.to(dtype) if each.is_floating_point() else each for n, each in state.items()}
    save_tensors(other, tmp_path / "a.safetensors")
    with pytest.raises(Failed) as failed:
        load(tmp_path / "a.safetensors", GRAPH)
    (told,) = failed.value.diagnostics
    width = str(dtype).removeprefix("torch.")
    assert (told.code, f"holds weights in {width}" in told.message) == ("E603", True)
    said = _follow(told.help or "", tmp_path)
    floats = sum(each.is_floating_point() for each in state.values())
    assert f"converted {floats} tensors from {width}: weights to float32" in said
    found = load(tmp_path / "a.float32.safetensors", GRAPH)
    numpy.testing.assert_array_equal(found["out.bias"], other["out.bias"].float().numpy())


def _follow(help: str, folder: Path) -> str:
    """Runs the command that a help names for the spec of this file; what it says."""
    (folder / "net.loom").write_text(SPEC)
    command = help.split("`")[1].replace("SPEC", str(folder / "net.loom")).split()
    found = netloom(*command[1:])
    assert found.returncode == 0, found.stderr
    return found.stderr


def test_the_command_writes_over_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "net.loom").write_text(SPEC)
    (tmp_path / "net.keys").write_text(MAP)
    theirs = tmp_path / "theirs.safetensors"
    save_file(THEIRS, theirs)
    (tmp_path / "link.safetensors").symlink_to(theirs)
    (tmp_path / "notes.txt").write_text("mine")
    arguments = ("import-weights", tmp_path / "net.loom", theirs, "--keys", tmp_path / "net.keys")
    for name in ("theirs.safetensors", "link.safetensors", "net.loom", "./net.keys"):
        before = (tmp_path / name).read_bytes()
        found = netloom(*arguments, "--force", "-o", f"{tmp_path}/{name}")
        assert (found.returncode, "error[E620]" in found.stderr) == (1, True)
        assert (tmp_path / name).read_bytes() == before
    refused = netloom(*arguments, "-o", tmp_path / "notes.txt")
    assert "exists and is not a safetensors file" in refused.stderr
    assert (tmp_path / "notes.txt").read_text() == "mine"
    for options in (("--force",), ()):
        assert netloom(*arguments, *options, "-o", tmp_path / "notes.txt").returncode == 0


def test_the_command_leaves_a_prefix_out(tmp_path: Path) -> None:
    (tmp_path / "net.loom").write_text(SPEC)
    save_file({f"module.{n}": a for n, a in initial(GRAPH).items()}, tmp_path / "x.safetensors")
    arguments = ("import-weights", tmp_path / "net.loom", tmp_path / "x.safetensors")
    refused = netloom(*arguments, "-o", tmp_path / "y.safetensors")
    assert "the keys fit without `module.`" in refused.stderr
    found = netloom(*arguments, "-o", tmp_path / "y.safetensors", "--strip-prefix", "module.")
    assert found.returncode == 0, found.stderr
    assert load_file(tmp_path / "y.safetensors").keys() == initial(GRAPH).keys()


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
