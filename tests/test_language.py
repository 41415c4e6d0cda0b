"""What the language says beyond one block and one network: files, sharing, calls, lists, gates."""

import os
from pathlib import Path

import pytest
import torch

from netloom.compile import Network, Spec, check, check_file
from netloom.diagnostics import Diagnostic, Failed, Source
from netloom.emit import torch as emit_torch
from netloom.emit.weights import expected
from netloom.limits import DEFAULT
from netloom.runtime.verify import randomised, verify
from netloom.syntax.parse import parse
from specimens import built, mistakes, net


def sound(text: str, *settings: str) -> Spec:
    """A spec without mistakes."""
    return check(Source("net.loom", text), settings)


def shape(network: Network, name: str) -> str:
    """The shape of a named value."""
    return str(network.graph.named[name].type)


def paths(network: Network) -> list[str]:
    """The layers, in order."""
    return [layer.name for layer in network.graph.layers]


def written(folder: Path, **files: str) -> Path:
    """A project of several files; the path of `main`."""
    (folder / "pyproject.toml").write_text("")
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".loom")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return folder / "main.loom"


def refusals(path: Path) -> list[Diagnostic]:
    """The mistakes in a file."""
    with pytest.raises(Failed) as failed:
        check_file(path)
    return list(failed.value.diagnostics)


def assert_equal_in_torch_and_onnx(network: Network) -> None:
    """The emitted module and the exported model compute the same."""
    from netloom.emit import onnx

    weights = randomised(network.graph)
    proof = verify(network.graph, weights, onnx.model_bytes(network.graph, weights))
    assert proof.holds, proof.comparisons


# Lists, constants, expressions


def test_a_repeat_runs_over_a_list() -> None:
    found = built("let WIDTHS = [4, 8]\n" + net("repeat c in WIDTHS { conv(c, 1) }\ny = relu"))
    assert shape(found, "y") == "float32[N, 8, 32, 32]"
    assert paths(found)[:2] == ["repeat1.0", "repeat1.1"]


@pytest.mark.parametrize(
    ("expression", "channels"),
    [
        ("[4, 8, 16][1]", 8),
        ("[4, 8, 16][-1]", 16),
        ("[[1, 2], [3, 4]][1][0]", 3),
        ("max(3, 5, 4)", 5),
        ("min([3, 5])", 3),
        ("sum([1, 2, 3])", 6),
        ("len([7, 7])", 2),
        ("round(2.6)", 3),
        ("max(8, (30 + 4) // 8 * 8)", 32),
    ],
)
def test_expressions_of_lists_and_numbers(expression: str, channels: int) -> None:
    found = built(net(f"y = conv({expression}, 1)"))
    assert shape(found, "y") == f"float32[N, {channels}, 32, 32]"


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("[4, 8][2]", "E216"),
        ("[4, 8][0.5]", "E216"),
        ("3[0]", "E216"),
        ("max(true, 1)", "E205"),
        ("max([])", "E216"),
        ("len(3)", "E205"),
        ("round(1, 2)", "E204"),
        ("maximum(1, 2)", "E201"),
        ("round(sum([1e308, 1e308]))", "E216"),
        ("sum([round(1e308), round(1e308)])", "E216"),
        ("9223372036854775807 + 1", "E216"),
    ],
)
def test_expressions_that_have_no_value(expression: str, code: str) -> None:
    assert [found.code for found in mistakes(net(f"conv({expression}, 1)"))] == [code]


def test_constants_of_the_file_are_seen_everywhere_and_can_be_shadowed() -> None:
    text = "let CH = 4\nlet TWICE = 2 * CH\nblock b(CH: int = TWICE) { conv(CH, 1) }\n"
    assert shape(built(text + net("y = b")), "y") == "float32[N, 8, 32, 32]"
    assert shape(built(text + net("y = conv(CH, 1)")), "y") == "float32[N, 4, 32, 32]"


# Blocks


def test_a_block_may_have_several_results() -> None:
    block = "block two(c: int) { a = conv(c, 1) b = a -> relu return a, b }\n"
    found = built(block + net("low, high = two(4)\ny = concat { low high }"))
    assert shape(found, "y") == "float32[N, 8, 32, 32]"
    assert_equal_in_torch_and_onnx(found)


def test_of_several_results_the_first_goes_on() -> None:
    block = "block two { a = conv(4, 1) b = conv(2, 1) return b, a }\n"
    found = built(block + net("two\ny = relu"))
    assert shape(found, "y") == "float32[N, 2, 32, 32]"


@pytest.mark.parametrize(
    "block", ["block b { return nothing }", "block b { a = relu return a relu }"]
)
def test_a_return_that_cannot_be(block: str) -> None:
    assert mistakes(f"{block}\n" + net("b"))[0].code in ("E201", "E215")


def test_a_network_does_not_return() -> None:
    (found,) = mistakes(net("a = relu\nreturn a"))
    assert (found.code, found.help) == ("E215", "a network names its outputs by `head`")


def test_a_block_takes_values_as_parameters() -> None:
    block = "block up(c: int, skip: tensor) { upsample(2) -> concat { in skip } -> conv(c, 1) }\n"
    body = "a = maxpool(2) -> conv(4, 1)\nb = a -> up(8, image)\ny = a -> up(2, skip=b)"
    found = built(block + net(body))
    assert shape(found, "y") == "float32[N, 2, 32, 32]"
    source = emit_torch.source(found.graph)
    assert source.count("class Up(") == 1
    assert "def forward(self, x: Tensor, skip: Tensor)" in source
    assert_equal_in_torch_and_onnx(found)


def test_a_tensor_parameter_wants_a_value() -> None:
    block = "block up(skip: tensor) { concat { in skip } }\n"
    assert [found.code for found in mistakes(block + net("up(3)"))] == ["E205"]
    assert [found.code for found in mistakes(block + net("up"))] == ["E204"]


def test_a_residual_under_a_condition_is_its_body_alone_where_that_does_not_hold() -> None:
    block = "block b(c: int) { residual if in.channels == c { conv(c, 3, pad=1) } }\n"
    found = built(block + net("b(4)\nb(4)"))
    assert [layer.op.name for layer in found.graph.layers] == ["conv", "conv", "add", "relu"]


def test_a_gate_multiplies_channels_or_pixels() -> None:
    channels = "gate { global_avgpool -> conv(1, 1) -> relu -> conv(3, 1) -> sigmoid }"
    found = built(net(f"{channels}\ngate {{ conv(1, 3, pad=1) -> sigmoid }}"))
    assert "gate1.conv2" in paths(found)
    assert_equal_in_torch_and_onnx(found)


def test_a_gate_of_another_shape_is_told() -> None:
    (found,) = mistakes(net("gate { global_avgpool -> conv(4, 1) }"))
    assert found.code == "E208"
    assert "[N, 3, 1, 1]" in found.message


# Networks that call networks, and what is shared

EMBED = """
network embed(width: int = 4) {
    input image: float32[N, 3, 2*h, 2*w]
    features = conv(width, 3, pad=1) -> maxpool(2)
    head vector = features -> global_avgpool -> flatten
    head map = features
    train head classes = vector -> linear(10)
}
"""


def siamese(calls: str) -> Network:
    """A network of two images that calls `embed`."""
    body = f"input left: float32[N, 3, 8, 8] input right: float32[N, 3, 8, 8]\n{calls}"
    return sound(f"{EMBED}\nnetwork same {{ {body} }}").networks["same"]


def test_a_network_called_twice_has_one_set_of_weights() -> None:
    found = siamese("a = left -> embed.vector b = right -> embed.vector head y = mul { a b }")
    assert list(expected(found.graph)) == ["embed.features.weight", "embed.features.bias"]
    assert found.cost.params == 4 * 3 * 9 + 4
    source = emit_torch.source(found.graph)
    assert source.count("self.embed = ") == 1
    assert source.count("self.embed(") == 2
    assert_equal_in_torch_and_onnx(found)


def test_gradients_of_both_calls_meet_in_the_shared_weights() -> None:
    found = siamese("a = left -> embed.vector b = right -> embed.vector head y = mul { a b }")
    scope: dict[str, object] = {}
    exec(emit_torch.source(found.graph), scope)
    module = scope["Same"]()  # type: ignore[operator]
    left, right = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    module(left, right).sum().backward()
    both = module.embed.features.weight.grad.clone()
    module.zero_grad()
    module(left, right.detach() * 0).sum().backward()
    assert not torch.equal(both, module.embed.features.weight.grad)


def test_heads_are_the_results_of_a_call_without_those_for_training() -> None:
    found = siamese("v, m = left -> embed head y = m head z = v")
    assert shape(found, "m") == "float32[N, 4, 4, 4]"
    assert "classes" not in " ".join(paths(found))


def test_a_call_whose_first_result_is_not_used_still_owns_the_weights() -> None:
    found = siamese("a = left -> embed head y = right -> embed.vector")
    assert list(expected(found.graph)) == ["embed.features.weight", "embed.features.bias"]
    assert_equal_in_torch_and_onnx(found)


def test_a_head_of_a_shared_network_is_chosen_where_it_is_called() -> None:
    found = siamese(
        "share e = embed() a = left -> e.vector b = right -> e.map head y = a head z = b"
    )
    assert (shape(found, "a"), shape(found, "b")) == ("float32[N, 4]", "float32[N, 4, 4, 4]")
    assert list(expected(found.graph)) == ["e.features.weight", "e.features.bias"]
    assert_equal_in_torch_and_onnx(found)


@pytest.mark.parametrize(
    ("calls", "code"),
    [
        ("head y = left -> embed.nothing", "E201"),
        ("share e = embed() head y = left -> e.nothing", "E201"),
        ("share e = relu head y = left -> e.nothing", "E215"),
        ("head y = left -> embed(width=3, height=4)", "E203"),
        ("a = left -> embed head y = right -> embed(width=8)", "E220"),
        ("head y = left -> conv(4, 1) -> embed", "E208"),
        ("head y = left -> maxpool(8) -> embed", "E208"),
        ("head y = left -> concat { { relu -> embed.map -> relu } in }", "E221"),
        ("head y = left -> relu.vector", "E215"),
    ],
)
def test_calls_that_cannot_be(calls: str, code: str) -> None:
    body = f"input left: float32[N, 3, 8, 8] input right: float32[N, 3, 8, 8]\n{calls}"
    assert code in {found.code for found in mistakes(f"{EMBED}\nnetwork same {{ {body} }}")}


def test_networks_that_call_one_another_are_told_as_a_cycle() -> None:
    text = "".join(
        f"network {name} {{ input x: float32[N, 3] head y = {other} }}\n"
        for name, other in [("a", "b"), ("b", "a")]
    )
    assert {found.code for found in mistakes(text)} == {"E214"}


def test_a_network_of_several_inputs_is_given_them_by_name() -> None:
    text = """
        network join { input a: float32[N, 2] input b: float32[N, k] head y = concat { a b } }
        network main { input x: float32[N, 2] head z = x -> join(b=x) }
    """
    found = sound(text).networks["main"]
    assert shape(found, "z") == "float32[N, 4]"


def test_an_instance_of_a_block_or_operator_can_be_shared() -> None:
    text = "block unit(c: int) { conv(c, 3, pad=1) -> batchnorm }\n"
    body = "share tower = unit(3)\nshare last = conv(2, 1)\n"
    body += "a = image -> tower\nb = a -> relu -> tower\nu = a -> last\ny = add { { b -> last } u }"
    found = built(text + net(body.replace("{ b -> last }", "b -> last")))
    keys = {key.split(".")[0] for key in expected(found.graph)}
    assert keys == {"tower", "last"}
    assert_equal_in_torch_and_onnx(found)


def test_calls_that_are_wired_differently_cannot_share_weights() -> None:
    block = """
        block f() {
            a = conv(3, 1)
            b = in -> conv(3, 1)
            if in.height == 32 { a -> sigmoid } else { b -> sigmoid }
            c = relu
            add { c a b }
        }
    """
    body = "share s = f()\np = image -> s\nq = image -> maxpool(2) -> s -> upsample(2)\nadd { p q }"
    assert [found.code for found in mistakes(block + net(body))] == ["E220"]


def test_arguments_of_something_shared_mean_what_they_mean_where_it_is_declared() -> None:
    body = "let k = 4\nshare c = conv(k, 1)\nif true { let k = 7 c }\ny = relu"
    assert shape(built(net(body)), "y") == "float32[N, 4, 32, 32]"


def test_a_network_calls_a_network_that_calls_one_twice() -> None:
    text = """
        network inner { input x: float32[N, 3, h, w] head y = conv(3, 1) }
        network outer { input x: float32[N, 3, h, w] head y = inner -> inner -> conv(3, 1) }
    """
    body = "outer -> relu -> outer"
    found = sound(text + net(body)).networks["net"]
    assert {key.split(".")[1] for key in expected(found.graph)} == {"inner", "y"}
    assert len(expected(found.graph)) == 4


def test_a_network_called_by_two_networks_is_told() -> None:
    text = """
        network inner { input x: float32[N, 3, h, w] head y = conv(3, 1) }
        network outer { input x: float32[N, 3, h, w] head y = inner }
    """
    assert [found.code for found in mistakes(text + net("inner\nouter"))] == ["E221"]


def test_a_network_imported_under_two_names_is_one(tmp_path: Path) -> None:
    lib = "network inner { input x: float32[N, 3, h, w] head y = conv(3, 1) }"
    main = 'from "lib.loom" import inner, inner as other\n' + net("inner\nother")
    found = check_file(written(tmp_path, lib=lib, main=main)).networks["net"]
    assert len(expected(found.graph)) == 2


def test_an_imported_block_may_have_the_name_of_one_that_calls_it(tmp_path: Path) -> None:
    lib = "block unit(n: int) { conv(n, 1) }"
    main = 'from "lib.loom" import unit as base\nblock unit(n: int) { base(n) -> relu }\n'
    assert check_file(written(tmp_path, lib=lib, main=main + net("unit(3)"))).networks


def test_a_size_that_a_call_would_make_negative_does_not_fit() -> None:
    text = "network inner { input x: float32[N, 3, h + 40, w] head y = relu }\n"
    assert [found.code for found in mistakes(text + net("inner"))] == ["E208"]


def test_a_head_may_stand_in_an_if_of_a_network() -> None:
    text = net("a = conv(4, 1)\nif aux { train head early = a -> flatten -> linear(2) }")
    text = text.replace("network net", "network net(aux: bool = true)")
    heads = [head.name for head in sound(text).networks["net"].graph.heads]
    assert heads == ["early", "out"]
    assert [h.name for h in sound(text, "aux=false").networks["net"].graph.heads] == ["out"]


def test_a_head_cannot_depend_on_a_target() -> None:
    text = net("relu").replace(
        "relu\n", "relu\n    target t: float32[N, 3]\n    head y = t -> tanh\n", 1
    )
    assert [found.code for found in mistakes(text)] == ["E508"]


@pytest.mark.parametrize(
    "body",
    [
        "if true { out = conv(3, 3, pad=1) }",
        "if true { image = conv(3, 3, pad=1) }",
        "residual { image = conv(3, 3, pad=1) -> relu }",
        "residual { conv(4, 3, pad=1) } shortcut { conv(4, 1) }\nhead shortcut = conv(3, 1)",
        "a = sigmoid -> relu -> chain",
        "a = maxpool(2) -> chain -> relu",
        "repeat 2 { a = sigmoid -> chain -> relu }",
    ],
)
def test_no_two_things_have_one_name(body: str) -> None:
    import onnx

    from netloom.emit import onnx as emit_onnx

    block = "block chain() { relu -> conv(3, 3, pad=1) -> relu }\n"
    found = built(block + net(body))
    names = [layer.name for layer in found.graph.layers]
    assert len(names) == len(set(names))
    model = emit_onnx.model_bytes(found.graph, randomised(found.graph))
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    assert_equal_in_torch_and_onnx(found)


# Settings from outside


def test_a_setting_takes_the_place_of_a_default() -> None:
    text = net("y = conv(classes, 1)").replace("network net", "network net(classes: int = 3)")
    assert shape(sound(text).networks["net"], "y") == "float32[N, 3, 32, 32]"
    assert shape(sound(text, "classes=2 * 5").networks["net"], "y") == "float32[N, 10, 32, 32]"


@pytest.mark.parametrize(
    ("setting", "code"),
    [("clases=10", "E203"), ("classes=ten", "E201"), ("classes=[1]", "E205"), ("classes", "E101")],
)
def test_a_setting_that_does_not_fit_is_told(setting: str, code: str) -> None:
    text = net("conv(classes, 1)").replace("network net", "network net(classes: int = 3)")
    with pytest.raises(Failed) as failed:
        sound(text, setting)
    assert [found.code for found in failed.value.diagnostics] == [code]


# Several files

BLOCKS = "let WIDTH = 4\nblock unit(c: int = WIDTH) { conv(c, 1) -> relu }\n"


def test_blocks_constants_and_networks_come_from_other_files(tmp_path: Path) -> None:
    main = 'from "lib/blocks.loom" import unit as plain, WIDTH\n' + net("y = plain\nconv(WIDTH, 1)")
    found = check_file(written(tmp_path, lib__blocks=BLOCKS, main=main)).networks["net"]
    assert shape(found, "y") == "float32[N, 4, 32, 32]"


def test_an_imported_block_means_what_it_means_at_home(tmp_path: Path) -> None:
    main = 'from "lib/blocks.loom" import unit\nlet WIDTH = 9\n' + net("y = unit")
    found = check_file(written(tmp_path, lib__blocks=BLOCKS, main=main)).networks["net"]
    assert shape(found, "y") == "float32[N, 4, 32, 32]"


def test_mistakes_in_an_imported_file_are_told_in_it(tmp_path: Path) -> None:
    blocks = "block unit { conv(3 }\nblock other { relu }\n"
    main = 'from "blocks.loom" import unit, other\n' + net("unit -> nosuch\nother")
    found = refusals(written(tmp_path, blocks=blocks, main=main))
    files = [os.path.basename(each.span.source.name) for each in found if each.span]
    assert sorted(files) == ["blocks.loom", "main.loom"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("../outside.loom", "E106"),
        ("lib/../../outside.loom", "E106"),
        ("/etc/passwd", "E106"),
        ("/etc/hostname.loom", "E106"),
        ("link.loom", "E106"),
        ("linked/outside.loom", "E106"),
        ("fifo.loom", "E106"),
        ("folder.loom", "E106"),
        ("https://example.org/x.loom", "E106"),
        ("file:///etc/passwd.loom", "E106"),
        ("..\\\\outside.loom", "E106"),
        ("none.loom", "E106"),
        ("notes.txt", "E106"),
        ("main.loom", "E107"),
        ("circle.loom", "E107"),
    ],
)
def test_imports_that_are_refused(tmp_path: Path, path: str, code: str) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (tmp_path / "outside.loom").write_text("block secret { relu }")
    circle = 'from "main.loom" import net\nblock secret { relu }'
    main = written(project, circle=circle, main=f'from "{path}" import secret\n' + net("secret"))
    (project / "link.loom").symlink_to(tmp_path / "outside.loom")
    (project / "linked").symlink_to(tmp_path)
    (project / "folder.loom").mkdir()
    (project / "notes.txt").write_text("block secret { relu }")
    os.mkfifo(project / "fifo.loom")
    found = refusals(main)
    assert [each.code for each in found] == [code]


def test_a_file_that_two_import_is_read_once(tmp_path: Path) -> None:
    files = {
        "base": "block unit { relu }",
        "a": 'from "base.loom" import unit\nblock first { unit }',
        "b": 'from "base.loom" import unit\nblock second { unit }',
        "main": 'from "a.loom" import first\nfrom "b.loom" import second\n' + net("first\nsecond"),
    }
    assert check_file(written(tmp_path, **files)).networks


@pytest.mark.parametrize(("limit", "files"), [("files", 12), ("imports", 12)])
def test_many_files_are_refused(tmp_path: Path, limit: str, files: int) -> None:
    texts = {f"f{i}": f'from "f{i + 1}.loom" import unit' for i in range(files)}
    texts[f"f{files}"] = "block unit { relu }"
    main = written(tmp_path, main='from "f0.loom" import unit\n' + net("unit"), **texts)
    assert check_file(main).networks
    limits = DEFAULT._replace(**{limit: 10})
    with pytest.raises(Failed) as failed:
        check_file(main, limits=limits)
    assert {found.code for found in failed.value.diagnostics} == {"E217"}


# Contracts


def test_alignment_can_be_required() -> None:
    body = """
        even = concat { conv(4, 3, pad=1) conv(4, 4, pad=2) -> conv(4, 4, pad=1) }
        gated = even -> gate { global_avgpool -> conv(8, 1) }
        shifted = even -> concat { conv(4, 3, pad=1, stride=2) conv(4, 2, stride=2) }
        require aligned(even) and aligned(gated)
        require aligned(shifted)
    """
    (found,) = mistakes(net(body))
    assert found.code == "E401"
    assert "the centres lie at 0 and 0.5 pixels" in found.notes[0].message


# Words of other frameworks


@pytest.mark.parametrize(
    ("body", "help"),
    [
        ("Conv2d(4, 3)", "did you mean `conv`?"),
        ("AdaptiveAvgPool2d(1)", "did you mean `global_avgpool`?"),
        ("Dense(3)", "did you mean `linear`?"),
        ("conv(4, kernel_size=3)", "did you mean `kernel`?"),
        ("conv(4, 3, padding=1)", "did you mean `pad`?"),
        ("conv(4, 3, in_channels=3)", "what enters has its channels"),
        ("conv(3, 16, 3)", "`stride=3`; of channels only those that come out are given"),
        ("conv(4, 3, bias=False)", "write `false`"),
        ("conv(4, 3, pad=None)", "leave it out"),
        ("softmax(dim=1)", "did you mean `axis`?"),
        ("concat { in, relu }", "need no separator"),
        ("if in.channels = 3 { relu }", "`==` compares"),
        ("relu + tanh", "`add { a  b }`"),
        ("c = concat(a, b)\nrelu", "stand in braces"),
        ("relu ->", "`head` begins a statement"),
        ("for i in 3 { relu }", "`repeat i in"),
    ],
)
def test_words_of_other_frameworks_are_understood(body: str, help: str) -> None:
    (found,) = mistakes(net(body))
    assert help in (found.help or "")


def test_the_origin_of_channels_is_the_layer_that_states_them() -> None:
    body = "stem = conv(16, 1)\nnarrow = conv(16, 3, pad=1)\nrelu\nadd { conv(32, 1) in }"
    (found,) = mistakes(net(body))
    (note,) = [note for note in found.notes if note.message == "here the channel count becomes 16"]
    assert note.span
    assert note.span.source.text[note.span.start :].startswith("conv(16, 3, pad=1)")


# What is computed for nothing


def warnings(text: str) -> list[tuple[str, str]]:
    """The warnings of a sound spec, with the text at their places."""
    found = sound(text).warnings
    spans = [each.span for each in found if each.span]
    return [
        (each.code, span.source.text[span.start : span.end])
        for each, span in zip(found, spans, strict=True)
    ]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("a = conv(4, 3)\nb = image -> tanh", ["conv(4, 3)"]),
        ("a = conv(4, 3) -> tanh\nimage -> relu", ["tanh"]),
        ("a = conv(4, 3)\nimage -> relu\nrequire rf(a) == 3", []),
        ("a, b = split(3)\na -> relu", []),
        ("a = tanh\nconcat { in a }", []),
    ],
)
def test_what_no_head_needs_is_told_once(body: str, told: list[str]) -> None:
    assert warnings(net(body)) == [("W201", text) for text in told]


def test_what_one_call_of_a_block_needs_is_used() -> None:
    block = "block two { a = conv(3, 1) b = conv(3, 3, pad=1) return a, b }\n"
    assert warnings(block + net("two\na, b = two\nconcat { a b }")) == []
    assert warnings(block + net("two\ntwo")) == [("W201", "conv(3, 3, pad=1)")]


def test_sizes_are_compared_with_fractions() -> None:
    spec = "network net { input image: float32[N, 3, h, w] y = relu head out = y\n"
    assert sound(spec + "require y.height >= 0.5 and y.height > 0.5 and y.height != 1.5 }")
    for wrong in ("y.height < 0.5", "y.height == 1.5", "y.height >= 1.5"):
        assert [found.code for found in mistakes(spec + f"require {wrong} }}")] == ["E401"]


def test_shapes_differ_for_all_sizes_only_where_one_axis_always_does() -> None:
    spec = "network net { input image: float32[N, 3, h, w] y = relu head out = y\n"
    for always in ("[N, 4, h, w]", "[N, 4, 5, 5]", "[N, 3, h + 1, 5]", "[N, 3, h]"):
        assert sound(spec + f"require shape(y) != {always} }}")
        assert [found.code for found in mistakes(spec + f"require shape(y) == {always} }}")] == [
            "E401"
        ]
    for sometimes in ("[N, 3, 5, 5]", "[N, 3, h, 5]", "[N, 3, w, h]"):
        (found,) = mistakes(spec + f"require shape(y) != {sometimes} }}")
        assert found.code == "E402"
        (found,) = mistakes(spec + f"if shape(y) == {sometimes} {{ relu }} }}")
        assert found.code == "E216"
    (found,) = mistakes(spec + "require shape(y) != shape(image) }")
    assert found.code == "E401"


# Recovery


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("block unit(n int) { conv(n, 1) }\n" + net("share c = unit(3)\nc"), ["E101"]),
        ("network e(n int) { head y = relu }\n" + net("a = image -> e\nimage -> e.y"), ["E101"]),
        (net("share c = conv(3, 1, padd=3)"), ["E203"]),
    ],
)
def test_no_mistake_is_invented_or_hidden(text: str, codes: list[str]) -> None:
    assert [found.code for found in mistakes(text)] == codes


def test_one_missing_brace_does_not_hide_the_rest() -> None:
    text = net("conv(4, 3") + net("conf(4, 3)").replace("network net", "network other")
    assert [found.code for found in mistakes(text)] == ["E103", "E202"]


def test_what_uses_a_damaged_block_is_not_judged() -> None:
    text = "block b { conv(4, 3\n}\nblock c { conf }\n" + net("b -> nosuch\nimage -> c")
    assert [found.code for found in mistakes(text)] == ["E103", "E202", "E202"]


def test_every_line_with_a_mistake_is_told() -> None:
    body = "a = = relu\nb = relu -> -> relu\nc = relu )\nd = relu\ne = conv(3, 3\nf = d"
    with pytest.raises(Failed) as failed:
        parse(Source("net.loom", net(body)))
    lines = [
        found.span.source.position(found.span.start)[0]
        for found in failed.value.diagnostics
        if found.span
    ]
    assert lines == [3, 4, 5, 7]


VALID = "network net {{ input x: float32[N, 3, h, w] head o = conv(4, 3) {} }}"


@pytest.mark.parametrize(
    "condition", ["o.height >= 1", "h >= 3", "macs >= 108", "o.height + 2 == h", "h + w > 5"]
)
def test_requirements_hold_for_the_sizes_that_a_network_takes(condition: str) -> None:
    check(Source("net.loom", VALID.format(f"require {condition}")))


def test_a_witness_is_a_size_that_the_network_takes() -> None:
    with pytest.raises(Failed) as failed:
        check(Source("net.loom", VALID.format("require h > 3 and w <= 5")))
    told = [each.message for each in failed.value.diagnostics]
    assert any("for instance at h = 3" in each for each in told), told
    assert any("for instance at" in each and "w = 6" in each for each in told), told


def test_fields_can_be_required_by_axis() -> None:
    text = "network net { input x: float32[N, 1, h, w] y = conv(1, [3, 5], pad=[1, 0]) head y %s }"
    check(Source("net.loom", text % "require rf(y) == [3, 5] and offset(y) == [-1, 0]"))
    check(Source("net.loom", text % "require rf(y) <= [3, 6] and stride(y) == [1, 1]"))
    with pytest.raises(Failed, match=r"is \[3, 5\]"):
        check(Source("net.loom", text % "require rf(y) == [5, 3]"))


@pytest.mark.parametrize("name", ["lenet", "other"])
def test_a_value_may_have_the_name_of_a_network(name: str) -> None:
    text = f"""
        network other {{ input x: float32[N, 3, h, w] head y = relu }}
        network lenet {{
            input x: float32[N, 3, h, w]
            {name} = conv(8, 3)
            head o = {name} -> conv(4, 3) -> relu
        }}
    """
    found = check(Source("net.loom", text)).networks["lenet"].graph
    assert [layer.name for layer in found.layers] == [name, "o", "o.relu1"]
