"""Whatever a file holds, the compiler answers soon, with a result or with diagnostics."""

import random
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netloom.compile import check
from netloom.diagnostics import Diagnostic, Failed, Source
from netloom.diagnostics.render import render
from netloom.limits import DEFAULT
from netloom.passes.suggestions import suggestions
from netloom.syntax.source import from_bytes, read
from specimens import ROOT, SPECS, built, mistakes, net

LENET = next(path for path in SPECS if path.stem == "lenet")


def test_a_byte_order_mark_and_windows_line_ends_mean_the_same() -> None:
    text = LENET.read_text(encoding="utf-8")
    source = from_bytes("net.loom", b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert source.text == text
    assert check(source).networks


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"relu\rrelu", "control character 0x0d"),
        (b"relu\r\r\n", "control character 0x0d"),
        (b"relu\x00", "control character 0x00"),
        (b"# \x1b[2J", "control character 0x1b"),
        ("# \x85".encode(), "control character 0x85"),
        ("# \u202e".encode(), "right-to-left override"),
        ("# \u2066".encode(), "left-to-right isolate"),
        ("# \u2028".encode(), "line separator"),
    ],
)
def test_characters_that_mislead_are_refused_with_their_place(content: bytes, what: str) -> None:
    with pytest.raises(Failed) as failed:
        from_bytes("net.loom", content)
    (found,) = failed.value.diagnostics
    assert found.code == "E002"
    assert what in found.message
    assert found.span
    assert not found.span.source.text[found.span.start].isprintable()


@pytest.mark.parametrize("character", ["é", "卷", "🙂", "\t"])
def test_other_characters_may_stand_in_comments(character: str) -> None:
    assert check(from_bytes("net.loom", (f"# {character}\n" + net("relu")).encode())).networks


@pytest.mark.parametrize("content", [b"\xff\xfe", b"relu \xc3", b"\xed\xa0\x80", b"PK\x03\x04\x80"])
def test_what_is_not_utf_8_is_refused(content: bytes) -> None:
    with pytest.raises(Failed) as failed:
        from_bytes("net.loom", content)
    assert failed.value.diagnostics[0].code == "E002"


def test_a_file_that_is_missing_names_those_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "there.loom").touch()
    with pytest.raises(Failed) as failed:
        read(tmp_path / "here.loom")
    (found,) = failed.value.diagnostics
    assert found.code == "E001"
    assert "there.loom" in (found.help or "")


def test_a_folder_is_not_a_spec(tmp_path: Path) -> None:
    with pytest.raises(Failed) as failed:
        read(tmp_path)
    (found,) = failed.value.diagnostics
    assert found.code == "E001"
    assert "is a folder" in found.message


BRACKETS = {
    "parentheses": ("conv(", "(", "4", ")", ", 3)"),
    "lists": ("conv(4, ", "[", "3", "]", ")"),
    "functions": ("conv(4, ", "shape(", "image", ")", ")"),
    "conditions": ("", "if true { ", "relu", " }", ""),
}


def _nested(kind: str, depth: int) -> str:
    """A network in which brackets of one kind are nested, those of the network and call counted."""
    before, opening, innermost, closing, after = BRACKETS[kind]
    inside = depth - 1 - before.count("(")
    return net(f"{before}{opening * inside}{innermost}{closing * inside}{after}")


@pytest.mark.parametrize("kind", BRACKETS)
def test_200_brackets_in_one_another_are_read_and_201_are_refused(kind: str) -> None:
    refused = {found.code for found in _told(_nested(kind, 200))}
    assert "E217" not in refused
    assert [found.code for found in mistakes(_nested(kind, 201))] == ["E217"]


def _told(text: str, name: str = "net.loom") -> tuple[Diagnostic, ...]:
    """The mistakes in a spec, which may have none."""
    try:
        check(Source(name, text))
    except Failed as failure:
        return failure.diagnostics
    return ()


def _blocks(innermost: str) -> str:
    """Forty blocks, each of which calls the next one twice."""
    chain = "".join(f"block b{i}() {{ b{i + 1}  b{i + 1} }}\n" for i in range(40))
    return f"{chain}block b40() {{ {innermost} }}\n" + net("b0")


SECOND = 3
"""A second, and what other tests beside this one may cost it."""

BOMBS = {
    "a long repeat": net("repeat 1_000_000_000 { relu }"),
    "a long range": net("repeat i in 7..1_000_000_007 { conv(i, 1) }"),
    "repeats in repeats": net("repeat 500 { repeat 500 { repeat 500 { relu } } }"),
    "repeats of nothing": net("repeat 99_999 { repeat 99_999 { } }"),
    "blocks": _blocks("relu"),
    "blocks of nothing": _blocks(""),
    "blocks in branches": _blocks("concat { in in }"),
    "doubled channels": net("repeat 100 { concat { in in } }"),
    "a product of sums": net("relu", "N, 3, " + "*".join(["(a + b + c)"] * 60) + ", w"),
    "a power": net("relu", "N, 3, " + "*".join(["h"] * 2_000) + ", w"),
    "many sizes": net("relu", "N, 3, " + " + ".join(f"h{i}" for i in range(2_000)) + ", w"),
    "a trillion parameters": net("conv(1_000_000, 1) -> conv(1_000_000, 1)"),
    "a list in a list": "".join(
        f"let l{i} = [{', '.join([f'l{i - 1}' if i else '1'] * 10)}]\n" for i in range(9)
    )
    + net("relu"),
    "a repeat that a parameter counts": "block b(n: int) { repeat n { repeat n { relu } } }\n"
    + net("b(100_000)"),
    "blocks that a parameter chooses": "".join(
        f"block b{i}(go: bool) {{ if go {{ b{i + 1}(go) b{i + 1}(go) }} else {{ relu }} }}\n"
        for i in range(40)
    )
    + "block b40(go: bool) { relu }\n"
    + net("b0(true)"),
    "floors in floors": net("repeat 60 { upsample(3) -> maxpool(2) }", "N, 3, h, w"),
    "100,000 parentheses": net(f"conv({'(' * 100_000}4{')' * 100_000}, 3)"),
    "100,000 braces": net("if true { " * 100_000 + "}" * 100_000),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_are_refused_within_a_second(bomb: str) -> None:
    begin = time.process_time()
    assert {found.code for found in mistakes(BOMBS[bomb])} == {"E217"}
    assert time.process_time() - begin < SECOND


@pytest.mark.parametrize(
    "body",
    [
        "upsample(1_000_000_000)",
        "upsample(9_973) -> upsample(9_967)",
        "deconv(3, 2, stride=1_000_000)",
        "deconv(3, 1, stride=2) -> conv(3, 100_001)",
        "deconv(3, [20_001, 1], stride=[3, 1], dilation=[10_000_000, 1])",
        "conv(100_000, 3) -> conv(100_000, 1)",
        "repeat 60 { concat { in in } }",
        "maxpool([1_000_000_000, 1], 1, pad=[500_000_000, 0], dilation=3)",
        "maxpool([900_000_000, 1], 1, pad=[400_000_000, 0], dilation=900_000_000)",
        "maxpool([900_000_000, 1], 100_000_000, pad=[400_000_000, 0], dilation=2)",
        "repeat 5 { upsample(3) -> maxpool(2) }",
    ],
)
def test_large_numbers_take_no_longer_than_small_ones(body: str) -> None:
    begin = time.process_time()
    assert built(net(body, "N, 3, h, w"))
    assert time.process_time() - begin < SECOND


def test_a_check_imports_none_of_the_heavy_libraries() -> None:
    script = f"""
import sys
from pathlib import Path
from netloom.compile import check_file
for path in {[str(path) for path in SPECS]!r}:
    check_file(Path(path))
print(*({{"torch", "onnx", "onnxruntime", "numpy", "rich", "typer"}} & set(sys.modules)))
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "\n"), found.stderr


def test_a_check_opens_the_spec_and_its_imports_and_runs_nothing(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "blocks.loom").write_text("block unit { conv(4, 3) -> relu }\n")
    main = tmp_path / "main.loom"
    text = 'from "blocks.loom" import unit\n' + net("unit")
    main.write_text(text + 'train net { data "py:os:system?x=1" loss mse(out, image) }\n')
    script = f"""
import sys
from netloom.compile import check_file
from netloom.diagnostics import Failed
import netloom.passes.training, netloom.diagnostics.names, difflib, fractions
seen = []
sys.addaudithook(lambda event, given: seen.append((event, str(given[:1]))))
try:
    check_file({str(main)!r})
except Failed:
    pass
done = list(seen)
for event, given in done:
    if event in ("exec", "compile", "import") or event.split(".")[0] in ("subprocess", "socket"):
        print("ran", event, given)
    if event == "open":
        print("opened", given)
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert not found.stderr
    lines = found.stdout.splitlines()
    assert not [line for line in lines if line.startswith("ran")]
    assert {Path(line.split("'")[1]).name for line in lines} <= {
        "main.loom",
        "blocks.loom",
        "netloom.lark",
    }


TOKEN = re.compile(r'"[^"\n]*"|#[^\n]*|\w+|->|\.\.|[<>=!]=|//|\s+|.', re.DOTALL)


def _mutated(text: str, chance: random.Random) -> str:
    """The text with some of its tokens or characters deleted, doubled, exchanged or replaced."""
    pieces = TOKEN.findall(text) if chance.random() < 0.7 else list(text)
    for _ in range(chance.choice([1, 1, 2, 4])):
        here, there = chance.randrange(len(pieces)), chance.randrange(len(pieces))
        match chance.choice(["delete", "double", "exchange", "insert", "overwrite"]):
            case "delete":
                del pieces[here : here + chance.choice([1, 1, 3])]
            case "double":
                pieces.insert(here, pieces[here])
            case "exchange":
                pieces[here], pieces[there] = pieces[there], pieces[here]
            case "insert":
                pieces.insert(here, chance.choice(STRANGERS))
            case _:
                pieces[here] = pieces[there]
    return "".join(pieces)


STRANGERS = [
    *'{}()[],=:-*/%.<>"#\\;é\n\t0',
    *("in", "if", "else", "repeat", "block", "network", "head", "train", "infer", "require"),
    *("let", "not", "and", "or", "concat", "add", "->", "..", "==", "999999999999", "-1", "0.5"),
    *("1e300", "true", "[1, 2]", "image", "shape(x)", "rf(image)", "N", "h"),
    *("share", "gate", "return", "from", "import", "residual", "shortcut", "as", "x[0]", "tensor"),
]


@pytest.mark.parametrize("seed", range(400))
def test_a_mutated_spec_is_sound_or_has_mistakes_that_can_be_shown(seed: int) -> None:
    chance = random.Random(seed)
    text = _mutated(SPECS[seed % len(SPECS)].read_text(encoding="utf-8"), chance)
    _is_answered(text)


ZOO = sorted((ROOT / "specs").glob("*.loom"))


@pytest.mark.parametrize("part", range(40))
def test_a_mutated_network_of_the_zoo_is_answered(part: int) -> None:
    for seed in range(5 * part, 5 * part + 5):
        _mutate_the_zoo(seed)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(100))
def test_ten_thousand_mutated_networks_of_the_zoo_are_answered(part: int) -> None:
    for seed in range(1_000 + 100 * part, 1_100 + 100 * part):
        _mutate_the_zoo(seed)


def _mutate_the_zoo(seed: int) -> None:
    path = ZOO[seed % len(ZOO)]
    text = _mutated(path.read_text(encoding="utf-8"), random.Random(seed))
    _is_answered(text, str(path))


@given(st.lists(st.sampled_from([*STRANGERS, "relu", "conv(4, 3)", "a =", "b ="])))
def test_familiar_pieces_in_any_order_are_answered(pieces: list[str]) -> None:
    _is_answered(net(" ".join(pieces), "N, 3, h, w"))


def _is_answered(text: str, name: str = "net.loom") -> None:
    told = _told(text, name)
    for found in told:
        for span in filter(None, [found.span, *(note.span for note in found.notes)]):
            assert 0 <= span.start <= span.end <= len(span.source.text)
    assert render(told).count("error[") >= len(told)
    assert render(told, colour=True).count("\x1b[1;31merror[") == len(told)


# What a spec of few lines can ask a check to look at again and again.

SLOW = {
    "else if, again and again": net(
        "if image.channels == 5 { relu } " + "else if image.channels == 6 { relu } " * 200
    ),
    "calls of one shared name": net("share c = conv(3, 1)\n" + "c " * 4_000),
    "words behind a mistake": ") " + "a " * 400_000,
    "long numbers": "".join(f"let a{i} = {'9' * 20}\n" for i in range(10_000)),
    "mistakes": net("relu " + "in " * 20_000),
    "parameters": f"block b({', '.join(f'p{i}: int = 1' for i in range(1_000))}) {{ relu }}\n"
    + net("b " * 500),
    "values that requirements need": net(
        "".join(f"a{i} = relu\n" for i in range(1_000))
        + "".join(f"require shape(a{i}) == shape(image)\n" for i in range(1_000))
    ),
    "aligned": net(
        "".join(f"a{i} = add {{ in in }}\n" for i in range(700))
        + "".join(f"require aligned(a{i})\n" for i in range(700))
    ),
    "what is seen from one value": net(
        "".join(f"a{i} = conv(3, 3, pad=1)\n" for i in range(800))
        + "".join(f"require rf(a{i}, from=a0) == {2 * i + 1}\n" for i in range(1, 800))
    ),
    "names that are not known": net(
        "".join(f"some_name{i} = in -> relu\n" for i in range(1_000))
        + "".join(f"let b{i} = other_name{i}\n" for i in range(1_000))
    ),
    "comparisons of sizes": net(
        "".join(f"require (h + {i}) // 4093 + h == (h + {i + 1}) // 4093 + h\n" for i in range(90)),
        "N, 3, h, w",
    ),
}


@pytest.mark.parametrize("slow", SLOW)
def test_nothing_is_looked_at_again_and_again(slow: str) -> None:
    begin = time.process_time()
    render(_told(SLOW[slow]))
    assert time.process_time() - begin < SECOND


def test_all_networks_of_a_file_have_the_nodes_of_one() -> None:
    network = "input x: float32[N, 3, 8, 8]\n repeat 60 { relu }\n head out = relu\n"
    text = "".join(f"network n{i} {{ {network} }}\n" for i in range(8))
    limits = DEFAULT._replace(nodes=200)
    with pytest.raises(Failed) as failed:
        check(Source("net.loom", text), limits=limits)
    assert {found.code for found in failed.value.diagnostics} == {"E217"}
    assert check(Source("net.loom", text), limits=limits._replace(nodes=2_000)).networks


@pytest.mark.parametrize(
    "body",
    [
        "conv(3, 3, stride=2, pad=1)",
        "maxpool(2, ceil=true)",
        "maxpool(2) -> deconv(3, 3, stride=2)",
    ],
)
def test_deep_chains_of_strides_take_time_that_grows_with_their_length(body: str) -> None:
    text = net(f"repeat 3200 {{ {body} }}", "N, 3, h, w")
    begin = time.process_time()
    built(text)
    assert time.process_time() - begin < 3 * SECOND  # a minute, if it were quadratic


def test_a_thousand_mistakes_are_told_and_the_others_counted() -> None:
    found = mistakes(net("relu " + "in " * 3_000))
    assert len(found) == 1_000
    assert "there are 2,000 more" in found[-1].notes[-1].message


def test_a_long_line_is_quoted_in_part() -> None:
    found = mistakes(net("relu " + "in " * 3_000 + "# 卷"))
    text = render(found)
    assert max(map(len, text.splitlines())) < 2_100
    assert "^^\n" in text
    span = found[-1].as_json()["span"]
    assert span["end"] - span["start"] == 2


@pytest.mark.parametrize("more", ["", "é", "\né卷\n\n卷"])
def test_offsets_in_bytes_are_those_of_the_encoded_text(more: str) -> None:
    source = Source("net.loom", f"a{more}b\nc{more}")
    for offset in range(len(source.text) + 1):
        assert source.byte_offset(offset) == len(source.text[:offset].encode())


def test_what_is_no_longer_explained_is_damage_all_the_same() -> None:
    broken = "".join(f"block b{i}() {{ ( }}\n" for i in range(60))
    assert {found.code for found in mistakes(broken + net("b59"))} == {"E101"}


HUGE = [
    "conv(2, [1, 99_999], pad=[0, 49_999])\nadd { in  { pad([0, 1], [0, -1]) } }",
    "conv(2, 1)\nconv(2, 1, stride=2)",
    "repeat 40 { same_pad(3, stride=2) -> conv(2, 3, stride=2) -> upsample(2) }",
    "add { conv(2, 99_999, pad=49_999)  { pad(1, -1) -> conv(2, 1) } }",
]


@pytest.mark.parametrize("body", HUGE)
@pytest.mark.parametrize("shape", ["N, 2, h, w", "N, 2, 1_000_001, 999_999"])
def test_analyses_take_no_longer_for_large_numbers(body: str, shape: str) -> None:
    text = f"network net {{ input x: float32[{shape}]\n{body}\nhead y = relu }}"
    begin = time.perf_counter()
    network = check(Source("net.loom", text)).networks["net"]
    suggestions(network)
    assert time.perf_counter() - begin < 5
