"""The classification networks: each against torchvision's own, or against the literature."""

import itertools
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import onnx
import pytest
import torch
import torchvision
from torch import Tensor, nn

from netloom.compile import Network, Spec, check_file
from netloom.emit import onnx as emit_onnx
from netloom.emit import torch as emit_torch
from netloom.emit.foreign import foreign, renamed
from netloom.emit.key_map import read_key_map
from netloom.emit.rows import explained
from netloom.emit.summary import network_json
from netloom.emit.weights import expected
from netloom.ir.dims import evaluate_to_int
from netloom.ir.graph import Graph
from netloom.passes.admissible import small_sizes
from netloom.passes.memory import memory
from netloom.runtime.verify import randomised, verify
from oracles.liveness import bytes_made, peak_when_run
from oracles.work import count_macs
from specimens import ROOT, SPECS

ZOO = sorted(set((ROOT / "specs").glob("*.loom")) - set(SPECS))

CHECKED: dict[Path, Spec] = {path: check_file(path) for path in ZOO}
NETWORKS: dict[str, Network] = {
    name: network for spec in CHECKED.values() for name, network in spec.networks.items()
}

EVERY: dict[str, Network] = {
    **NETWORKS,
    **{name: network for path in SPECS for name, network in check_file(path).networks.items()},
}
"""Those that are small enough for any test, too."""

models = torchvision.models

IN_TORCHVISION: dict[str, Callable[[], nn.Module]] = {
    "alexnet": models.alexnet,
    "vgg11": lambda: models.vgg11(init_weights=False),
    "vgg13": lambda: models.vgg13(init_weights=False),
    "vgg16": lambda: models.vgg16(init_weights=False),
    "vgg19": lambda: models.vgg19(init_weights=False),
    "resnet18": models.resnet18,
    "resnet34": models.resnet34,
    "resnet50": models.resnet50,
    "resnet101": models.resnet101,
    "resnet152": models.resnet152,
    "resnext50_32x4d": models.resnext50_32x4d,
    "wide_resnet50_2": models.wide_resnet50_2,
    "densenet121": models.densenet121,
    "squeezenet1_1": models.squeezenet1_1,
    "mobilenet_v2": models.mobilenet_v2,
    "mobilenet_v3_large": models.mobilenet_v3_large,
    "efficientnet_b0": models.efficientnet_b0,
    "convnext_tiny": models.convnext_tiny,
}


def _unet() -> int:
    """Ronneberger et al. 2015, figure 1, with one channel in and two classes out."""

    def conv(channels: int, out: int, kernel: int) -> int:
        return out * (channels * kernel**2 + 1)

    widths = [1, 64, 128, 256, 512, 1024]
    down = sum(conv(c, out, 3) + conv(out, out, 3) for c, out in itertools.pairwise(widths))
    up = sum(conv(2 * w, w, 2) + conv(2 * w, w, 3) + conv(w, w, 3) for w in widths[1:-1])
    return down + up + conv(64, 2, 1)


IN_THE_LITERATURE = {
    "alexnet_2012": 60_965_224,  # Caffe's bvlc_alexnet, which has the paper's layers
    "googlenet": 6_998_552,  # Caffe's bvlc_googlenet, without its auxiliary classifiers
    "lenet_caffe": 431_080,  # Caffe's examples/mnist
    "unet": _unet(),
}

QUICK = [
    "resnet18",
    "resnet50",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "densenet121",
    "squeezenet1_1",
    "convnext_tiny",
    "efficientnet_b0",
]
"""Those that are compared with torchvision in values every time."""

NUMERIC = ["resnet18", "mobilenet_v3_large", "densenet121", "convnext_tiny", "efficientnet_b0"]
"""A network of each kind of block, compared with ONNX Runtime."""


def test_every_network_has_something_to_be_compared_with() -> None:
    assert set(NETWORKS) == {*IN_TORCHVISION, *IN_THE_LITERATURE}


def _on_meta(name: str) -> nn.Module:
    """torchvision's network without memory for its weights."""
    with torch.device("meta"):
        return IN_TORCHVISION[name]()


def _shapes(shapes: list[tuple[int, ...]]) -> Counter[tuple[int, ...]]:
    return Counter(_as_matrix(shape) for shape in shapes)


def _as_matrix(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A 1x1 convolution is a linear layer at each pixel, and torchvision writes some as such."""
    return shape[:2] if len(shape) == 4 and shape[2:] == (1, 1) else shape


@pytest.mark.parametrize("name", IN_TORCHVISION)
def test_parameters_are_those_of_torchvision(name: str) -> None:
    network, theirs = NETWORKS[name], _on_meta(name)
    assert network.cost.params == sum(each.numel() for each in theirs.parameters())
    own = [
        parameter.shape
        for layer in network.graph.layers
        for parameter in layer.op.params().values()
        if parameter.learned
    ]
    assert _shapes(own) == _shapes([tuple(each.shape) for each in theirs.parameters()])


DECOMPOSED = {"alexnet_2012", "googlenet", "convnext_tiny", "efficientnet_b0"}
"""Those with layers that PyTorch writes as several operations: lrn, layernorm, drop_path."""


def _without_memory(
    network: Network, sizes: dict[str, int], batch: int
) -> tuple[nn.Module, Tensor]:
    """The emitted network and an image, which have shapes only."""
    (image,) = network.graph.inputs
    shape = [evaluate_to_int(dim, {**sizes, "N": batch}) for dim in image.type.shape]
    with torch.device("meta"):
        module = emit_torch.module(network.graph)
        return module.to("meta"), torch.empty(shape)


@pytest.mark.parametrize("name", EVERY)
def test_explain_states_the_macs_that_pytorch_counts(name: str) -> None:
    network = EVERY[name]
    for sizes in small_sizes(network.graph):
        own, image = _without_memory(network, sizes, 1)
        module = _on_meta(name) if name in IN_TORCHVISION else own
        stated = network_json(explained(network, sizes))
        assert stated["macs"] == count_macs(module.eval(), [image])
        assert stated["macs"] == sum(row["macs"] for row in stated["values"] if _exported(row))
        counted = sum(row["params"] for row in stated["values"] if _exported(row))
        assert stated["params"] == counted == network.cost.params


def _exported(row: dict[str, Any]) -> bool:
    return row["mode"] in ("both", "infer")


@pytest.mark.parametrize("name", sorted(EVERY.keys() - DECOMPOSED))
def test_memory_is_what_pytorch_makes(name: str) -> None:
    network = EVERY[name]
    sizes = list(small_sizes(network.graph))[-1]
    stated = memory(network.graph, sizes)
    module, image = _without_memory(network, sizes, 1)
    assert [each.bytes for each in stated.peaks] == [peak_when_run(module.eval(), [image])]
    module, images = _without_memory(network, sizes, 2)
    assert 2 * stated.training == bytes_made(module.train(), [images])


@pytest.mark.parametrize("name", IN_THE_LITERATURE)
def test_parameters_are_those_of_the_literature(name: str) -> None:
    assert NETWORKS[name].cost.params == IN_THE_LITERATURE[name]


@pytest.mark.parametrize("bn", [False, True])
@pytest.mark.parametrize("depth", [11, 13, 16, 19])
def test_vgg_with_and_without_normalisation(depth: int, bn: bool) -> None:
    spec = check_file(ROOT / "specs" / "vgg.loom", [f"bn={str(bn).lower()}"])
    make = getattr(models, f"vgg{depth}{'_bn' * bn}")
    with torch.device("meta"):
        theirs = make(init_weights=False)
    wanted = sum(each.numel() for each in theirs.parameters())
    assert spec.networks[f"vgg{depth}"].cost.params == wanted


def test_googlenet_has_its_auxiliary_classifiers_in_training_only() -> None:
    # 13,378,280 with both of them, as in Caffe's bvlc_googlenet.
    graph = NETWORKS["googlenet"].graph
    with torch.device("meta"):
        module = emit_torch.module(graph)
        image = torch.empty(2, 3, 224, 224)
    assert sum(each.numel() for each in module.parameters()) == 13_378_280
    trained, exported = module(image), module.eval()(image)
    assert {name: tuple(each.shape) for name, each in trained.items()} == {
        "logits": (2, 1000),
        "aux1": (2, 1000),
        "aux2": (2, 1000),
    }
    assert list(exported) == ["logits"]


@pytest.mark.parametrize("path", ZOO, ids=lambda path: path.stem)
def test_requirements_hold_for_any_number_of_classes(path: Path) -> None:
    counts = [
        [network.cost.params for network in check_file(path, [f"classes={n}"]).networks.values()]
        for n in (2, 10, 12)
    ]
    for two, ten, twelve in zip(*counts, strict=True):
        assert 0 < ten - two == 4 * (twelve - ten), "the count is not of the first degree"


@pytest.mark.parametrize(
    ("strides", "extents"), [("[1, 2]", (427, 971, 1451)), ("[2, 1]", (483, 1027, 1507))]
)
def test_resnets_stride_in_either_convolution(strides: str, extents: tuple[int, ...]) -> None:
    # Published ones (the second row) as in Araujo, Norris, Sim 2019, "Computing Receptive Fields".
    spec = check_file(ROOT / "specs" / "resnet.loom", [f"strides={strides}"])
    for depth, extent in zip((50, 101, 152), extents, strict=True):
        network = spec.networks[f"resnet{depth}"]
        field: Any = network.fields[network.graph.named["features"]]["image"]["h"]
        assert field.sizes == (extent,)
        assert network.cost.params == NETWORKS[f"resnet{depth}"].cost.params


def test_specs_are_as_short_as_their_figures() -> None:
    lines = {path.stem: len(path.read_text().splitlines()) for path in ZOO}
    assert max(lines.values()) < 120, lines
    assert lines["googlenet"] < 70


def test_resnet152_needs_less_than_60_lines() -> None:
    text = (ROOT / "specs" / "resnet.loom").read_text()
    parts = dict(re.findall(r"^(?:block|network) (\w+)(.*?^\})", text, re.M | re.S))
    needed: set[str] = set()
    waiting = {"resnet152"}
    while waiting:
        needed |= waiting
        words = {word for name in waiting for word in re.findall(r"\w+", parts[name])}
        waiting = words & parts.keys() - needed
    assert needed == {"resnet152", "stem", "bottleneck_stages", "bottleneck_stage", "bottleneck"}
    assert sum(len(parts[name].splitlines()) for name in needed) < 60


def test_emitted_sources_pass_ruff_in_lint_and_layout(tmp_path: Path) -> None:
    for name, network in NETWORKS.items():
        source = emit_torch.source(network.graph)
        (tmp_path / f"{name}.py").write_text(source, encoding="ascii")
    for command in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--isolated", "--no-cache", str(tmp_path)]
        found = subprocess.run(ruff, capture_output=True, text=True)
        assert found.returncode == 0, found.stdout


KEYS = {
    "resnext50_32x4d": "resnet",
    "wide_resnet50_2": "resnet",
    "mobilenet_v3_large": "mobilenet_v3",
    "densenet121": "densenet",
    "squeezenet1_1": "squeezenet",
    "efficientnet_b0": "efficientnet",
    "convnext_tiny": "convnext",
}
"""The key maps that are not called after their network, but for the number of layers."""


def _keys(name: str) -> Path:
    """The key map of a network in `specs/torchvision`."""
    file = KEYS.get(name) or re.sub(r"(resnet|vgg)\d+", r"\1", name)
    return ROOT / "specs" / "torchvision" / f"{file}.keys"


def _randomise(module: nn.Module) -> None:
    """Numbers with which every layer matters, also where training would begin with ones or 0."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in module.state_dict().items():
        if name.endswith(("weight", "bias", "running_mean")) and tensor.dim() != 1:
            fan_in = tensor[0].numel()
            tensor.normal_(std=(2 / fan_in) ** 0.5, generator=generator)
        elif name.endswith(("bias", "running_mean")):
            tensor.normal_(std=0.1, generator=generator)
        elif tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5, generator=generator)


def _compare_values(graph: Graph, theirs: nn.Module, keys: Path) -> None:
    _randomise(theirs)
    own = emit_torch.module(graph)
    found = renamed(foreign(theirs.state_dict()), read_key_map(keys), graph, "torchvision")
    own.load_state_dict({key: torch.from_numpy(array) for key, array in found.items()})
    (image,) = graph.inputs
    height, width = (dim if isinstance(dim, int) else 64 for dim in image.type.shape[2:])
    shape = (2, 3, height, width if width == height == 224 else 96)
    images = torch.randn(shape, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        wanted, given = (module.double().eval()(images) for module in (theirs, own))
    largest = float(wanted.abs().max())
    assert wanted.std(0).mean() > 1e-4 * largest, "the image does not matter"
    torch.testing.assert_close(given, wanted, rtol=0, atol=1e-9 * largest)


@pytest.mark.parametrize("name", QUICK)
def test_values_are_those_of_torchvision(name: str) -> None:
    _compare_values(NETWORKS[name].graph, IN_TORCHVISION[name](), _keys(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(IN_TORCHVISION.keys() - set(QUICK)))
def test_values_are_those_of_torchvision_for_the_others(name: str) -> None:
    _compare_values(NETWORKS[name].graph, IN_TORCHVISION[name](), _keys(name))


def _covers(graph: Graph, theirs: nn.Module, keys: Path) -> bool:
    """Whether a key map gives every weight a place, which it refuses where it does not."""
    state = {
        key: numpy.broadcast_to(numpy.zeros((), str(tensor.dtype)[6:]), tensor.shape)
        for key, tensor in theirs.state_dict().items()
    }
    return renamed(foreign(state), read_key_map(keys), graph, "x").keys() == expected(graph).keys()


@pytest.mark.parametrize("name", IN_TORCHVISION)
def test_the_key_map_covers_torchvision(name: str) -> None:
    assert _covers(NETWORKS[name].graph, _on_meta(name), _keys(name))


def _vgg_bn(depth: int) -> tuple[Graph, nn.Module, Path]:
    spec = check_file(ROOT / "specs" / "vgg.loom", ["bn=true"])
    theirs = getattr(models, f"vgg{depth}_bn")(init_weights=False)
    return spec.networks[f"vgg{depth}"].graph, theirs, ROOT / "specs/torchvision/vgg_bn.keys"


@pytest.mark.parametrize("depth", [11, 13, 16, 19])
def test_the_key_map_covers_vgg_with_normalisation(depth: int) -> None:
    with torch.device("meta"):
        assert _covers(*_vgg_bn(depth))


@pytest.mark.slow
def test_values_of_vgg_with_normalisation() -> None:
    _compare_values(*_vgg_bn(11))


def _compare_with_onnx(name: str) -> None:
    graph = NETWORKS[name].graph
    weights = randomised(graph)
    model = emit_onnx.model_bytes(graph, weights)
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    proof = verify(graph, weights, model)
    assert proof.holds, proof.comparisons


@pytest.mark.parametrize("name", NUMERIC)
def test_onnx_runtime_computes_the_same(name: str) -> None:
    _compare_with_onnx(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(NETWORKS.keys() - set(NUMERIC)))
def test_onnx_runtime_computes_the_same_for_the_others(name: str) -> None:
    _compare_with_onnx(name)
