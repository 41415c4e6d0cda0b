"""netloom from Python."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import onnx
import pytest
import torch

import netloom
from netloom.emit.weights import expected
from specimens import ROOT

RESNET = ROOT / "specs" / "resnet.loom"
LENET = ROOT / "specs" / "lenet.loom"


def test_a_module_with_parameters() -> None:
    network = netloom.load(RESNET).network("resnet50", classes=10, strides=[2, 1])
    with torch.device("meta"):
        module = network.module()
        given = module(torch.empty(2, 3, 64, 96))
    assert isinstance(module, torch.nn.Module)
    assert given.shape == (2, 10)
    assert network.parameters == sum(each.numel() for each in module.parameters())


def test_the_facts_of_a_network() -> None:
    network = netloom.load(RESNET).network("resnet18")
    assert network.name == "resnet18"
    assert network.inputs == {"image": ("N", 3, "32*h", "32*w")}
    assert network.heads == {"logits": ("N", 1000)}
    assert network.parameters == 11_689_512
    assert eval(str(network.macs), {"h": 7, "w": 7}) == 1_814_073_344
    assert repr(network).startswith("<network resnet18: image: [N, 3, 32*h, 32*w] -> logits")


def test_the_macs_of_a_network_without_free_sizes_are_a_number() -> None:
    assert netloom.load(LENET).network().macs == 416_520


def test_the_source_defines_the_module() -> None:
    network = netloom.load(LENET).network()
    namespace: dict[str, object] = {}
    exec(network.source(), namespace)
    assert isinstance(namespace["Lenet"], type)
    assert network.module().state_dict().keys() == namespace["Lenet"]().state_dict().keys()


def test_weights_of_a_module_go_into_another_and_into_onnx(tmp_path: Path) -> None:
    network = netloom.load(LENET).network()
    state = network.module().state_dict()
    again = network.module(state).state_dict()
    for name, tensor in state.items():
        torch.testing.assert_close(again[name], tensor, rtol=0, atol=0)
    model = onnx.load_from_string(network.onnx(state))
    onnx.checker.check_model(model, full_check=True)
    assert network.onnx(seed=1) != network.onnx(seed=2)
    assert network.onnx() == network.onnx()


def test_weights_of_torchvision_by_a_key_map() -> None:
    import torchvision

    theirs = torchvision.models.resnet18().eval()
    keys = ROOT / "specs" / "torchvision" / "resnet.keys"
    own = netloom.load(RESNET).network("resnet18").module(theirs.state_dict(), keys).eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(own(image), theirs(image), rtol=1e-5, atol=1e-5)


def test_the_text_of_a_mistake_is_what_the_command_line_prints(tmp_path: Path) -> None:
    path = tmp_path / "net.loom"
    path.write_text("network net {\n    input x: float32[N, 3]\n    head y = linar(2)\n}\n")
    with pytest.raises(netloom.Failed) as failed:
        netloom.load(path)
    text = str(failed.value)
    assert text.startswith("error[E202]: ")
    assert "net.loom:3:14" in text
    assert "did you mean `linear`?" in text


@pytest.mark.parametrize(
    ("name", "parameters", "code", "said"),
    [
        ("resnet5", {}, "E201", "did you mean `resnet50`?"),
        (None, {}, "E608", "has 5 networks"),
        ("resnet18", {"clases": 3}, "E203", "did you mean `classes`?"),
        ("resnet18", {"strides": [2, 1]}, "E203", "network `resnet18` has no parameter"),
        ("resnet18", {"classes": "ten"}, "E205", "classes"),
    ],
)
def test_what_is_not_there_is_told(
    name: str | None, parameters: dict[str, object], code: str, said: str
) -> None:
    spec = netloom.load(RESNET)
    with pytest.raises(netloom.Failed) as failed:
        spec.network(name, **parameters)
    assert [each.code for each in failed.value.diagnostics] == [code]
    assert said in str(failed.value)


def test_weights_that_do_not_fit_are_told() -> None:
    network = netloom.load(LENET).network()
    for method in (network.module, network.onnx):
        with pytest.raises(netloom.Failed, match=r"error\[E603\]: the state dict does not hold"):
            method({"a": torch.zeros(1)})


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda _: netloom.load(cast(Any, 3)),
            "the path of a spec is a str or a pathlib.Path, not int",
        ),
        (
            lambda _: netloom.load(cast(Any, b"x.loom")),
            "the path of a spec is a str or a pathlib.Path",
        ),
        (
            lambda _: netloom.load(LENET).network(cast(Any, 3)),
            "the name of a network is a text, not int",
        ),
        (lambda n: n.module(3), "`weights` is a checkpoint's path or a state dict, not int"),
        (lambda n: n.onnx([1]), "`weights` is a checkpoint's path or a state dict, not list"),
        (lambda n: n.module(n.module()), r"not a module: give Lenet.state_dict\(\)"),
        (lambda n: n.module({"c1.weight": 3}), "this has int at `c1.weight`"),
        (lambda n: n.module(keys="x.keys"), "give `weights`, too"),
        (lambda n: n.onnx(keys="x.keys"), "give `weights`, too"),
        (lambda n: n.module({}, keys=3), "path of a key map, is a str or a pathlib.Path, not int"),
        (lambda n: n.onnx(seed="a"), "`seed` is a whole number, not str"),
    ],
)
def test_what_is_of_the_wrong_type_is_told(call: Callable[[Any], Any], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        call(netloom.load(LENET).network())


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), [1.0, float("inf")]])
def test_a_parameter_that_is_not_finite_is_told(value: object) -> None:
    with pytest.raises(ValueError, match="parameter `classes` takes finite numbers, not"):
        netloom.load(RESNET).network("resnet18", classes=value)


def test_a_seed_below_0_is_told() -> None:
    with pytest.raises(ValueError, match="`seed` is at least 0, not -1"):
        netloom.load(LENET).network().onnx(seed=-1)


def test_arrays_of_every_width_are_weights() -> None:
    network = netloom.load(LENET).network()
    state = network.module().state_dict()
    half = {name: each.numpy().astype("float16") for name, each in state.items()}
    found = network.module(half).state_dict()
    torch.testing.assert_close(found["c1.weight"], torch.tensor(half["c1.weight"]).float())


def test_a_value_that_a_spec_cannot_have_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="parameter `classes` takes a number"):
        netloom.load(RESNET).network("resnet18", classes=torch.tensor(3))


@pytest.mark.parametrize("value", [3, -1, 0.5, 1e-7, 1e30, True, 'a "b" \\ \n\t', [1, [2, 3]], ()])
def test_parameters_reach_the_network_as_they_are(tmp_path: Path, value: object) -> None:
    kind = {bool: "bool", int: "int", float: "float", str: "string", list: "list", tuple: "list"}
    default = {"bool": "false", "int": "0", "float": "0.0", "string": '""', "list": "[]"}
    name = kind[type(value)]
    path = tmp_path / "net.loom"
    path.write_text(
        f"network net(value: {name} = {default[name]}) {{\n"
        "    input x: float32[N, 3]\n    head y = taker(value)\n}\n"
        f"block taker(value: {name}) {{ relu }}\n"
    )
    network = netloom.load(path).network(value=value)
    (taken,) = [scope.arguments for scope in network._network.graph.scope.scopes() if scope.block]
    wanted = tuple(value) if isinstance(value, list) else value
    found = taken["value"]
    assert repr(_as_lists(found)) == repr(_as_lists(wanted))


def _as_lists(value: object) -> object:
    return [_as_lists(each) for each in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("statement", ["import netloom", "netloom.load", "netloom.load(LENET)"])
def test_importing_and_checking_are_light(statement: str) -> None:
    script = (
        f"import sys, netloom\nLENET = {str(LENET)!r}\n{statement}\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'numpy', 'typer', 'rich', 'netloom.compile'}\n"
        f"heavy -= {{'netloom.compile'}} if 'load' in {statement!r} else set()\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


def test_what_is_not_there_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="`netloom` has no attribute `lode`"):
        _ = netloom.lode
    assert {"load", "Failed", "Spec", "Network", "__version__"} <= set(dir(netloom))


def test_the_page_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    monkeypatch.chdir(ROOT)
    namespace: dict[str, object] = {}
    programs = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert len(programs) >= 2
    for program in programs:
        exec(program, namespace)


def test_keys_of_the_state_dict_are_paths_of_the_spec() -> None:
    network = netloom.load(RESNET).network("resnet18")
    assert set(network.module().state_dict()) == set(expected(network._network.graph))
