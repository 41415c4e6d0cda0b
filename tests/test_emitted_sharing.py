"""Emitted modules where things are shared, dead, or of one name."""

import itertools
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from netloom.compile import Network, check, check_file
from netloom.diagnostics import Source
from netloom.emit import onnx as emit_onnx
from netloom.emit import torch as emit_torch
from netloom.emit.weights import expected
from netloom.runtime.verify import randomised, verify
from specimens import ROOT

INPUT = "input x: float32[N, 2, 8, 8]\n"
TWO = "block f() { a = conv(4, 3, pad=1) b = a -> conv(5, 3, pad=1) return a, b }\n"
SIDES = "block f(o: tensor) { a = conv(4, 1) b = o -> conv(4, 1) return a, b }\n"
EMBED = """
    network emb { input i: float32[N, 2, 8, 8] a = conv(4, 1) head v = a -> conv(3, 1)
    head o = a -> conv(2, 1) head same = i }
"""
SUM = "block two(a: tensor) { add { in a } -> conv(2, 1) }\n"
PAIR = "network pair { input a: float32[N, 2, 8, 8] input b: float32[N, 2, 8, 8]\n"
PAIR += "head y = add { a -> conv(2, 1) b -> conv(2, 3, pad=1) } }\n"
DEEPER = """
    block mix(a: tensor, b: tensor) { add { in -> conv(2, 1) a b -> conv(2, 3, pad=1) } }
    block deep(a: tensor) { u = two(a) v = a -> two(in) repeat 2 { add { in a u v } -> relu } }
    block up(i: tensor) { conv(2, 1) -> unpool(i) -> conv(2, 1) }
    block within() { p, i = maxpool(2, indices=true) conv(2, 1) -> up(i) }
    block twice(a: tensor) {
        share s = two()
        k = in -> s(a) l = a -> s(in) m = k -> s(k)
        p, i = maxpool(2, indices=true)
        n = p -> unpool(i)
        add { k l m n }
    }
    block hidden() {
        share s = up()
        share r = two()
        p, i = maxpool(2, indices=true)
        k = p -> s(i) l = p -> relu -> s(i) m = k -> r(k) n = l -> r(in)
        add { m n }
    }
    network over {
        input a: float32[N, 2, 8, 8]
        input b: float32[N, 2, 8, 8]
        k = a -> pair(b=b)
        head y = k -> pair(b=k)
    }
"""


def last(text: str) -> Network:
    """The last network of a sound spec."""
    return list(check(Source("net.loom", text)).networks.values())[-1]


def assert_sound(network: Network) -> None:
    """The module has the documented weights and computes what the model computes."""
    graph = network.graph
    state = emit_torch.module(graph).state_dict()
    wanted = {name: parameter.shape for name, parameter in expected(graph).items()}
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == wanted
    weights = randomised(graph)
    proof = verify(graph, weights, emit_onnx.model_bytes(graph, weights))
    assert proof.holds, proof.comparisons


@pytest.mark.parametrize(
    ("blocks", "body"),
    [
        (TWO, "p, q = f head y = p"),
        (TWO, "p, q = f head y = q"),
        (TWO, "p, q = f head y = q train head z = p"),
        (TWO, "p, q = f r, t = x -> f head y = add { q t } head z = p"),
        (TWO, "p, q = f p -> conv(2, 1) head y = relu"),
        (TWO, "repeat 2 { p, q = f p -> conv(2, 1) } head y = relu"),
        (TWO, "repeat 2 { p, q = f conv(2, 1) } head y = relu"),
        (TWO, "share s = f() p, q = x -> s r, t = x -> relu -> s head y = add { p r }"),
        (TWO, "share s = f() p, q = x -> s r, t = x -> s head y = add { p -> conv(5, 1) t }"),
        (TWO, "share s = f() p, q = x -> s r, t = x -> relu -> s head y = t"),
        (TWO, "share s = f() p, q = x -> s r, t = x -> s head y = p train head z = t"),
        (TWO, "share s = f() p, q = x -> s r, t = x -> s train head z = p head y = t"),
        (SIDES, "u = conv(2, 1) p, q = x -> f(u) head y = p"),
        (SIDES, "u = conv(2, 1) p, q = x -> f(u) head y = q"),
        (SIDES, "share s = f() u = relu p, q = x -> s(u) r, t = u -> s(x) head y = add { p t }"),
        # Only the dead result of a call reads `u`, which has weights of its own.
        (
            SIDES,
            "share s = f() u = conv(2, 1) p, q = x -> s(u) r, t = x -> s(x) head y = add {p t}",
        ),
        (SIDES, "u = conv(2, 1) p, q = x -> f(u) head y = p train head z = q"),
        (SIDES, "u = conv(2, 1) p, q = x -> f(u) train head y = p head z = q"),
        (
            SIDES,
            "share s = f() u = conv(2, 1) p, q = x -> s(u) r, t = x -> s(x) head y = p\n"
            "train head z = t",
        ),
        (
            "block f(o: tensor) { k = in -> relu a = conv(2, 1) return o, a, k }\n",
            "u = relu p, q, r = x -> f(u) head y = add { p q r }",
        ),
        (
            "block f(o: tensor) { k = in -> relu a = conv(2, 1) return o, a, k }\n",
            "share s = f() u = relu p, q, r = x -> s(u) k, l, m = x -> s(x)\n"
            "head y = add { p q r l m }",
        ),
        ("block f() { a = conv(2, 1) return a, a }\n", "p, q = f head y = add { p q }"),
        (
            TWO + "block g() { p, q = f r, t = q -> conv(2, 1) -> f return p, q, r, t }\n",
            "share s = g() a, b, c, d = s k, l, m, n = x -> relu -> s\n"
            "head y = add { a m } head z = l",
        ),
        (EMBED, "head y = x -> emb.v"),
        (EMBED, "l = x -> emb.v r = x -> emb.o head y = l head z = r"),
        (EMBED, "l = x -> emb.o r = x -> relu -> emb.o k = x -> emb.same head y = add { l r k }"),
        (EMBED, "l = x -> emb.o r = x -> relu -> emb.v head y = concat { l r }"),
    ],
)
def test_dead_results(blocks: str, body: str) -> None:
    assert_sound(last(f"{blocks}network m {{ {INPUT}{body} }}"))


@pytest.mark.parametrize(
    "body",
    [
        "share s = two() u = relu q = x -> s(x) p = x -> s(u)",
        "share s = two() u = relu p = x -> s(u) q = x -> s(x)",
        "share s = two() u = relu p = u -> s(x) q = x -> s(u)",
        "share s = two() u = relu p = x -> s(x) q = u -> s(u)",
        "u = relu p = x -> two(u) q = x -> two(x)",
        "u = relu p = x -> two(x) q = u -> two(u)",
        "share s = mix() u = relu v = tanh p = x -> s(u, v) q = x -> s(u, u)",
        "share s = mix() u = relu v = tanh p = x -> s(x, v) q = x -> s(u, u)",
        "share s = mix() u = relu v = tanh p = x -> s(u, u) q = x -> s(v, x)",
        "share s = deep() u = relu p = x -> s(x) q = x -> s(u)",
        "share s = deep() u = relu p = x -> s(u) q = u -> s(u)",
        "u = relu p = x -> pair(b=x) q = x -> pair(b=u)",
        "u = relu p = x -> pair(b=u) q = u -> pair(b=u)",
        "u = relu p = x -> over(b=x) q = u",
        # The pooled map is read beside what is given.
        "share s = up() m, i = x -> maxpool(2, indices=true) p = m -> s(i)\n"
        "n, j = x -> relu -> maxpool(2, indices=true) q = n -> s(j)",
        "share s = twice() p = x -> s(x) q = x -> relu -> s(x)",
        "share s = within() p = x -> s q = x -> relu -> s",
        "share s = hidden() p = x -> s q = x -> relu -> s",
    ],
)
def test_arguments_that_coincide(body: str) -> None:
    network = f"network m {{ {INPUT}{body} head y = add {{ p q }} }}"
    assert_sound(last(SUM + PAIR + DEEPER + network))


@pytest.mark.parametrize(
    "body",
    [
        "stem2 = conv(4, 3, pad=1) -> maxpool(2) stem2_maxpool1 = conv(4, 3, pad=1) head y = relu",
        "stem2_maxpool1 = conv(4, 3, pad=1) stem2 = conv(4, 3, pad=1) -> maxpool(2) head y = relu",
        "u = concat { { s = conv(4, 1) -> maxpool(2) s_maxpool1 = conv(4, 1) } maxpool(2) }\n"
        "head y = relu",
        "u = add { { share s = conv(2, 1) s s } in } head y = relu",
        "u = add { { share s = unit() s -> s } in } head y = relu",
        "s = conv(2, 1) -> maxpool(2) s_maxpool1 = repeat 2 { conv(2, 1) } head y = relu",
    ],
)
def test_attributes_of_one_name(body: str) -> None:
    text = f"block unit() {{ conv(2, 1) -> relu }} network m {{ {INPUT}{body} }}"
    assert_sound(last(text))


def test_the_joined_name_of_a_pooling_gives_way() -> None:
    body = "stem2 = conv(4, 3, pad=1) -> maxpool(2) stem2_maxpool1 = conv(4, 3, pad=1)"
    network = last(f"network m {{ {INPUT}{body} head y = relu }}")
    keys = emit_torch.module(network.graph).state_dict()
    assert {key.split(".")[0] for key in keys} == {"stem2", "stem2_maxpool1"}


def test_blocks_of_one_name_from_two_files(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("")
    for index, name in enumerate(("a", "b"), 1):
        block = "block unit(n: int) { residual { conv(n, 3, pad=1) } -> conv(n, 1) }"
        (tmp_path / f"f{index}.loom").write_text(re.sub(r"\bn\b", name, block))
    imports = "".join(f'from "f{i}.loom" import unit as u{i}\n' for i in (1, 2))
    main = tmp_path / "main.loom"
    main.write_text(
        f"{imports}network m {{ {INPUT} u1(2) -> u2(2) conv(3, 1) -> u2(3) head y = relu }}"
    )
    assert_sound(check_file(main).networks["m"])


def test_a_block_and_a_pipeline_of_one_name() -> None:
    block = "block stem(n: int) { residual { conv(n, 3, pad=1) } -> conv(n, 1) }\n"
    body = "a = stem(2) conv(3, 1) stem = residual { conv(3, 3, pad=1) } -> conv(3, 1)"
    assert_sound(last(f"{block}network m {{ {INPUT}{body} head y = relu }}"))


# Random specs


def random_sharing(seed: int) -> str:
    """A spec with blocks of several results and tensor arguments, shared or not, some dead."""
    chance = random.Random(seed)
    blocks: list[tuple[str, int, int]] = []
    text = ""
    for number in range(chance.randint(1, 3)):
        tensors = [f"t{i}" for i in range(chance.randint(0, 2))]
        results = chance.randint(1, 3)
        parameters = ", ".join(f"{name}: tensor" for name in tensors)
        body = statements(chance, ["in", *tensors], blocks, results)
        names = ", ".join(chance.sample(_made(body), results))
        text += f"block b{number}({parameters}) {{\n{body}return {names}\n}}\n"
        blocks.append((f"b{number}", len(tensors), results))
    if chance.random() < 0.6:
        inputs = ["i0", "i1"][: chance.randint(1, 2)]
        body = statements(chance, inputs, blocks, 2)
        declared = "".join(f"input {name}: float32[N, 2, 8, 8]\n" for name in inputs)
        heads = "".join(
            f"head h{i} = {each}\n" for i, each in enumerate(chance.sample(_made(body), 2))
        )
        text += f"network part {{\n{declared}{body}{heads}}}\n"
        blocks.append((f"part/{len(inputs)}", len(inputs) - 1, 2))
    body = statements(chance, ["x"], blocks, 4)
    made = chance.sample(_made(body), 3)
    heads = f"head y = {made[0]}\nhead z = add {{ {made[1]} x }}\n"
    if chance.random() < 0.4:
        heads += f"train head t = {made[2]}\n"
    return f"{text}network m {{\n{INPUT}{body}{heads}}}\n"


def _made(body: str) -> list[str]:
    """The values that statements name."""
    lines = [line.partition(" = ")[0] for line in body.splitlines() if line.startswith("v")]
    return [name for line in lines for name in line.split(", ")]


def statements(
    chance: random.Random, values: list[str], blocks: list[tuple[str, int, int]], least: int
) -> str:
    """Lines that each name values of one shape; calls of blocks, of instances, of networks."""
    values, text = list(values), ""
    count = itertools.count()
    text += "share c = conv(2, 1)\n"
    callees = [*blocks, ("c", 0, 1)]
    for index, (name, tensors, results) in enumerate(blocks):
        if "/" not in name and chance.random() < 0.8:
            text += f"share s{index} = {name}()\n"
            callees += [(f"s{index}", tensors, results)] * 3
    while len(_made(text)) < least or chance.random() < 0.85:
        entry, other = chance.choice(values), chance.choice(values)
        kind = chance.choice(["conv", "add", "call", "call", "call", "repeat", "relu"])
        names = [f"v{next(count)}"]
        if kind == "call" and callees:
            callee, tensors, results = chance.choice(callees)
            given = [chance.choice(values) for _ in range(tensors)]
            callee, _, inputs = callee.partition("/")
            arguments = ""
            if given:
                arguments = f"({', '.join(f'i1={each}' if inputs else each for each in given)})"
            names += [f"v{next(count)}" for _ in range(results - 1)]
            line = f"{entry} -> {callee}{arguments}"
        elif kind == "add":
            line = f"add {{ {entry} -> conv(2, 1) {other} }}"
        elif kind == "repeat":
            line = f"{entry} -> repeat 2 {{ add {{ conv(2, 1) {other} }} -> relu }}"
        else:
            line = f"{entry} -> relu" if kind == "relu" else f"{entry} -> conv(2, 3, pad=1)"
        text += f"{', '.join(names)} = {line}\n"
        values += names
    return text


@pytest.mark.parametrize("seeds", [range(start, start + 10) for start in range(0, 40, 10)])
def test_random_sharing(seeds: range) -> None:
    for seed in seeds:
        assert_sound(last(random_sharing(seed)))


def test_nothing_hangs_on_the_order_of_hashes() -> None:
    script = (
        "import hashlib\nfrom test_emitted_sharing import *\n"
        "for seed in range(12):\n"
        "    graph = last(random_sharing(seed)).graph\n"
        "    print(emit_torch.source(graph), list(expected(graph)))\n"
        "    print(hashlib.sha256(emit_onnx.model_bytes(graph, randomised(graph))).hexdigest())\n"
    )
    paths = os.pathsep.join([str(ROOT / "compiler"), str(ROOT / "tests")])
    found = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1
