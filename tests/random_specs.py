"""Sound specs by chance: values wired in every way, on maps of one shape, so that all fits."""

import random
import re

NAMES = ("a", "b", "x", "y", "z", "stem", "conv1", "half", "self", "_x", "x2", "add1", "outputs")

KEEPING = (
    "relu",
    "tanh",
    "batchnorm",
    "dropout",
    "conv(4, 3, pad=1)",
    "conv(4, 1, bias=false)",
    "conv(4, 3, pad=1, groups=2)",
    "conv(8, 1) -> relu -> conv(4, 1)",
    "maxpool(3, stride=1, pad=1)",
    "maxpool(2) -> upsample(2)",
    "conv(4, 2, stride=2) -> deconv(4, 2, stride=2)",
    "leaky_relu(0.2)",
    "softmax",
)
"""Stages that keep a map of four channels and even sides as large as it is."""


def random_spec(seed: int) -> str:
    """A spec with blocks and one network, in which every value is [N, 4, 2*h, 2*w]."""
    return _Writer(random.Random(seed)).spec()


class _Writer:
    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.blocks: list[str] = []

    def spec(self) -> str:
        blocks = ""
        for name in ("unit", "tensor"):
            body = self.statements([], 1)
            twice = self.statements([], 1)
            blocks += f"block {name}(twice: bool = false) {{\n{body}if twice {{\n{twice}}}\n}}\n"
            self.blocks.append(name)
        names = ["image"]
        body = self.statements(names, 2)
        heads = "".join(
            f"{self.chance.choice(['', '', 'train ', 'infer '])}"
            f"head h{index} = {self.pipeline(names, 1)}\n"
            for index in range(self.chance.randrange(3))
        )
        heads += "".join(f"head {name}\n" for name in names if self.chance.random() < 0.2)
        return (
            f"{blocks}network net {{\ninput image: float32[N, 4, 2*h, 2*w]\n{body}{heads}"
            f"head last = {self.pipeline([], 1)}\n}}\n"
        )

    def statements(self, names: list[str], depth: int) -> str:
        """A few lines; the names that they give are added to `names`, which can be read."""
        return "".join(self.line(names, depth) for _ in range(self.chance.randint(1, 3)))

    def line(self, names: list[str], depth: int) -> str:
        free = [name for name in NAMES if name not in names]
        if self.chance.random() < 0.4:
            pipeline = self.pipeline(names, depth)
            names.append(self.chance.choice(free))
            return f"{names[-1]} = {pipeline}\n"
        if self.chance.random() < 0.1:
            return f"if true {{\n{self.statements(list(names), depth - 1)}}}\n"
        return f"{self.pipeline(names, depth)}\n"

    def pipeline(self, names: list[str], depth: int) -> str:
        stages = [self.stage(names, depth) for _ in range(self.chance.choice([1, 1, 2, 3]))]
        if names and self.chance.random() < 0.2:
            stages.insert(0, self.chance.choice(names))
        return " -> ".join(stages)

    def stage(self, names: list[str], depth: int) -> str:
        if depth < 1 or self.chance.random() < 0.5:
            return self.chance.choice(KEEPING)
        match self.chance.choice(["join", "concat", "residual", "repeat", "block"]):
            case "join":
                branches = "".join(
                    self.branch(names, depth) for _ in range(self.chance.choice([2, 3]))
                )
                return f"{self.chance.choice(['add', 'mul'])} {{\n{branches}}}"
            case "concat":
                return f"concat {{\nin\n{self.branch(names, depth)}}} -> conv(4, 1)"
            case "residual":
                shortcut = self.chance.choice(["", " shortcut { conv(4, 1) }"])
                return f"residual {{\n{self.statements(list(names), depth - 1)}}}{shortcut}"
            case "repeat":
                count = self.chance.choice(["2", "3", "i in 1..3"])
                return f"repeat {count} {{\n{self.statements(list(names), depth - 1)}}}"
            case _:
                return self.call()

    def call(self) -> str:
        """A call of a block that is already written, so that none comes to call itself."""
        if not self.blocks:
            return "relu"
        arguments = self.chance.choice(["", "(true)", "(twice=true)"])
        return self.chance.choice(self.blocks) + arguments

    def branch(self, names: list[str], depth: int) -> str:
        if self.chance.random() < 0.3:
            return self.chance.choice(["in", *names]) + "\n"
        if self.chance.random() < 0.5:
            return f"{{\n{self.statements(list(names), depth - 1)}}}\n"
        return f"{self.pipeline(names, depth - 1)}\n"


ITEMS = (
    'from "more.loom" import leaf, stem as trunk',
    "let widths = [16, 2 * 16, 64,]",
    "let deep = -1 + 3 * (widths[0] - 1) // 2",
    "block pair(ch: int, rate: float = 0.5) { a, b = split(2) return a, b }",
    "block none() { }",
    "network judge { input view: float32[N, 3, 32 * h, (w + 1) // 2] head score = view }",
    'train net { data "digits?size=16" augment { hflip rotate(10) } batch 2 * 16 loss '
    "(mse(last, image)) + 0.5 * mse(h0, image) steps [1, 2] metric accuracy(last, label) }",
    "train judge { augment { } }",
)
STATEMENTS = (
    "input mask: bool[N, 1, 2 * h, w]",
    "target label: int64[N]",
    "target boxes: float32[]",
    "share twin = unit(true)",
    "gate { global_avgpool -> conv(4, 1) -> sigmoid }",
    "let k = [[1, 2], [3, -k]][0][1] % 2",
    "if k == 1 { relu } else if not k or k < 3 and k > 1 { tanh } else { }",
    "train head early = judge(a).score -> flatten -> linear(10) -> softmax",
    "require shape(a) == [N, 4, 2 * h, w] and -rf(in) <= - -3 or params(a) // 2 != in.channels",
    "repeat i in 0..3 { conv(i + 1, 1) }",
    "repeat i in k .. k * 2 - 1 { }",
    "repeat i in [1, 2] { twin }",
    "residual if k >= 2 { relu } shortcut if (k) + 1 < 2 { conv(4, 1, stride=2) batchnorm }",
    "concat(axis=2) { in { relu tanh } in -> pair(4, rate=0.25) }",
    'squeezed = resample([32, 32], mode="bilinear, not # nearest", corners=false, factor=1e-3)',
)
"""Items and statements that are well formed, with little regard to what they mean."""


def random_layout(seed: int) -> str:
    """A spec that parses, laid out by chance, with comments between its tokens."""
    chance = random.Random(seed)
    text = random_spec(seed)
    for statement in chance.sample(STATEMENTS, 5):
        places = [match.end() for match in re.finditer(r"float32\[N, 4, 2\*h, 2\*w\]\n", text)]
        text = text[: places[0]] + statement + "\n" + text[places[0] :]
    items = chance.sample(ITEMS, 4)
    text = chance.choice(["netloom 1\n", ""]) + "\n".join([*items[:2], text, *items[2:]])
    habits = chance.choice([_TIDY, _DENSE, _WILD])
    pieces = re.split(r"(\s+|\"[^\"]*\"|\w+|->|//|\.\.|[=!<>]=|.)", text)
    return "".join(_spaced(piece, chance, habits) for piece in pieces if piece)


_TIDY = (0.05, 0.02)
_DENSE = (0.0, 0.0)
_WILD = (0.3, 0.1)
"""How often blanks and line ends are changed, and how often a comment is put there."""


def _spaced(piece: str, chance: random.Random, habits: tuple[float, float]) -> str:
    """A token, with something behind it by chance, or blanks instead of other blanks."""
    changed, commented = habits
    blank = chance.choice([" ", "   ", "\t", "\n", " \n\n\n  "])
    if chance.random() < commented:
        comment = chance.choice(["#", "# why", "#!x", "##  {a", "#é", '# "->'])
        before, after = chance.choice(["", " ", "\n", "\n\n"]), chance.choice(["", "\n", "  "])
        blank += f"{before}{comment}\n{after}"
    elif chance.random() >= changed:
        blank = piece if piece.isspace() else ""
    if piece.isspace():
        return blank
    return piece + blank if not _joins_on(piece) else piece


def _joins_on(piece: str) -> bool:
    """Whether what comes behind a token may be a part of it: digits, dots and signs of numbers."""
    return bool(re.search(r"[\d.+-]$", piece)) or piece == "1e"
