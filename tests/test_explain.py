"""`netloom explain` in its forms: the tree, the list, CSV and JSON, wide and narrow."""

import csv
import io
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from netloom.cli import check, explain  # noqa: F401  each registers a command
from netloom.cli.app import app
from netloom.cli.table import print_table
from netloom.compile import check_file
from netloom.emit.rows import COMPARED_AT, explained, tree
from netloom.ir.dims import number, size
from specimens import ROOT

GOOGLENET, SQUEEZENET, RESNET, LENET, UNET = (
    ROOT / "specs" / f"{name}.loom"
    for name in ("googlenet", "squeezenet", "resnet", "lenet", "unet")
)


def run(*arguments: str | Path, code: int = 0) -> Result:
    found = CliRunner().invoke(app, ["explain", *map(str, arguments)])
    assert found.exit_code == code, found.output
    return found


def table(text: str) -> list[dict[str, str]]:
    """The rows of a table, by column: each cell ends where its heading does, or begins there."""
    lines = text.splitlines()
    heading = lines[2]
    names = heading.split()
    starts = [heading.index(name) for name in names]
    ends = [start + len(name) for start, name in zip(starts, names, strict=True)]
    found = []
    for line in lines[4 : lines.index("", 4)]:
        row = {}
        for name, start, end in zip(names, starts, ends, strict=True):
            left = name in ("value", "operator", "shape", "note")
            row[name] = line[start:].split("   ")[0] if left else line[:end].split("   ")[-1]
        found.append({name: cell.strip() for name, cell in row.items()})
    return found


def test_counts_have_groups_of_three_also_before_sizes() -> None:
    assert number(1234567) == "1,234,567"
    h = size("h2000")
    assert number(118013952 * h * h + 4096) == "118,013,952*h2000*h2000 + 4,096"
    assert number(5000 * ((h + 1234) // 4096)) == "5,000*((h2000 + 1,234)//4,096)"


def test_the_tree_has_scopes_with_sums() -> None:
    rows = {row["value"]: row for row in table(run(GOOGLENET).stdout)}
    block = rows["inception3a"]
    assert (block["operator"], block["parameters"]) == ("inception", "163,696")
    assert rows["aux1"]["note"] == "training only"


def test_depth_folds() -> None:
    text = run(GOOGLENET, "--depth", "1").stdout
    assert "branch1" not in text
    assert "inception5b" in text
    assert "    branch1 " in run(GOOGLENET, "--depth", "2").stdout
    assert "      conv1 " not in run(GOOGLENET, "--depth", "2").stdout
    network = check_file(GOOGLENET).networks["googlenet"]
    deepest = 1 + max(row.depth for row in tree(explained(network, {})))
    assert run(GOOGLENET, "--depth", str(deepest)).stdout == run(GOOGLENET).stdout


def test_totals_are_those_of_the_graphs() -> None:
    lines = [line.split() for line in run(GOOGLENET).stdout.splitlines()]
    assert ["exported", "6,998,552", "1,582,671,872"] in lines
    assert ["in", "training", "13,378,280", "1,591,044,096"] in lines
    assert "in training" not in run(LENET).stdout


@pytest.mark.parametrize(
    ("order", "column"), [("params", "parameters"), ("macs", "MACs"), ("memory", "bytes")]
)
def test_a_list_is_sorted_by_what_it_costs(order: str, column: str) -> None:
    text = run(SQUEEZENET, "--sort", order).stdout
    largest = {"h": COMPARED_AT, "w": COMPARED_AT}
    cells = [row[column].replace(",", "") for row in table(text)]
    numbers = [eval(cell, {}, largest) if cell else 0 for cell in cells]
    assert numbers == sorted(numbers, reverse=True)
    assert numbers[0] > numbers[-1]


def test_a_list_by_name() -> None:
    names = [row["value"] for row in table(run(SQUEEZENET, "--sort", "name").stdout)]
    assert names == sorted(names)
    assert "fire2.branch1.conv1" in names


def test_csv_has_every_value_with_numbers_for_programs() -> None:
    network = check_file(RESNET).networks["resnet18"]
    rows = [*csv.DictReader(io.StringIO(run(RESNET, "-n", "resnet18", "--csv").stdout))]
    assert [row["name"] for row in rows] == [
        value.name for layer in network.graph.layers for value in layer.results
    ]
    assert sum(int(row["params"]) for row in rows) == 11_689_512
    first = rows[0]
    assert (first["network"], first["operator"], first["shape"]) == (
        "resnet18",
        "conv",
        "[N, 64, 16*h, 16*w]",
    )
    assert (first["field"], first["stride"], first["offset"]) == ("7", "2", "-3")
    assert (first["macs"], first["memory"]) == ("2408448*h*w", "65536*h*w")


def test_csv_can_be_sorted_and_has_one_heading() -> None:
    lines = run(RESNET, "--csv", "--sort", "params").stdout.splitlines()
    assert sum(line.startswith("network,") for line in lines) == 1
    (largest,) = [line for line in lines if line.startswith("resnet18,")][:1]
    assert largest.split(",")[1].endswith("conv2")


def test_sizes_put_numbers_everywhere() -> None:
    found = json.loads(run(RESNET, "--size", "h=7,w=7", "--json").stdout)["networks"]
    # He et al. 2015, table 1: 1.8 and 3.8 billion multiply-adds.
    assert (found["resnet18"]["macs"], found["resnet50"]["macs"]) == (1_814_073_344, 4_089_184_256)
    assert found["resnet18"]["sizes"] == {"h": 7, "w": 7}
    assert found["resnet18"]["values"][0]["shape"] == ["N", 64, 112, 112]
    separately = run(RESNET, "--size", "h=7", "--size", "w=7", "--json").stdout
    assert json.loads(separately)["networks"] == found
    text = run(RESNET, "-n", "resnet18", "--size", "w = 7").stdout
    assert "at w = 7" in text
    assert "16,859,136*h" in text


@pytest.mark.parametrize(
    ("size", "code", "words"),
    [
        ("q=3", "E203", "`squeezenet1_1` has no free size `q`"),
        ("N=3", "E203", "`N` counts samples"),
        ("h", "E206", "as in `--size h=7`"),
        ("h=0", "E206", "from 1 to"),
        ("h=1.5", "E206", "not `1.5`"),
        ("h=7w=7", "E206", "not `7w=7`"),
    ],
)
def test_wrong_sizes_are_told(size: str, code: str, words: str) -> None:
    found = run(SQUEEZENET, "--size", size, code=1)
    assert code in found.stderr
    assert words in found.stderr


def test_sizes_of_which_nothing_is_left_are_told(tmp_path: Path) -> None:
    spec = tmp_path / "net.loom"
    spec.write_text("network net {\n input x: float32[N, 3, h, w]\n head y = conv(4, 5)\n}\n")
    found = run(spec, "--size", "h=4", code=1)
    assert "E209" in found.stderr
    assert "at h = 4 nothing is left of `y`: [N, 4, 0, w - 4]" in found.stderr
    assert "leave `--size` out" in run(LENET, "--size", "h=3", code=1).stderr


@pytest.mark.parametrize(
    "options",
    [
        ("--json", "--csv"),
        ("--json", "--depth=1"),
        ("--csv", "--depth=1"),
        ("--json", "--sort=macs"),
        ("--sort=macs", "--depth=1"),
    ],
)
def test_options_that_exclude_each_other(options: tuple[str, ...]) -> None:
    assert "does not go with" in run(LENET, *options, code=2).stderr


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("path", [GOOGLENET, SQUEEZENET, LENET], ids=lambda path: path.stem)
def test_nothing_is_cut_off_silently(
    path: Path, width: int, capsys: pytest.CaptureFixture[str]
) -> None:
    (network,) = check_file(path).networks.values()
    shown = explained(network, {})
    rows = tree(shown)
    print_table(shown, rows, width)
    text = capsys.readouterr().out
    print_table(shown, rows, None)
    whole = capsys.readouterr().out
    assert "…" not in text
    missing = {*whole.splitlines()[2].split()} - {*text.splitlines()[2].split()}
    _, _, told = text.replace(",", "").partition("not shown for want of width:")
    assert {*told.split("\n\n")[0].split()} == missing
    assert missing or width > 60
    words = text.replace("\n", " ").split()
    assert all(row.label in words for row in rows)
    assert number(network.cost.params) in words
    assert number(network.cost.macs) in " ".join(words)
    assert max(map(len, text.splitlines()[2:])) <= width


@pytest.mark.parametrize("path", [SQUEEZENET, UNET], ids=lambda path: path.stem)
def test_a_terminal_of_80_columns_has_shapes_and_fields_of_free_sizes(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (network,) = check_file(path).networks.values()
    shown = explained(network, {})
    print_table(shown, tree(shown), 80)
    heading = capsys.readouterr().out.splitlines()[2].split()
    assert {"shape", "field", "parameters"} <= {*heading}


def test_free_sizes_are_told_with_numbers_that_can_be_given() -> None:
    text = run(SQUEEZENET).stdout
    (line,) = [each for each in text.splitlines() if each.startswith("  sizes")]
    assert line.startswith("  sizes      h, w are free; `--size h=")
    given = line.partition("--size ")[2].partition("`")[0]
    with_numbers = run(SQUEEZENET, "--size", given).stdout
    assert "*h" not in with_numbers.partition("\n")[2]
    assert "  sizes" not in with_numbers
    assert "w is free; `--size w=" in run(SQUEEZENET, "--size", "h=7").stdout
    assert "  sizes" not in run(LENET).stdout


@pytest.mark.parametrize("path", sorted((ROOT / "specs").glob("*.loom")), ids=lambda p: p.stem)
def test_rows_beside_one_another_have_different_names(path: Path) -> None:
    for network in check_file(path).networks.values():
        around: list[str] = []
        seen = set()
        for row in tree(explained(network, {})):
            around[row.depth :] = [row.label]
            assert tuple(around) not in seen
            seen.add(tuple(around))


def test_a_layer_behind_a_block_of_its_name_has_its_own() -> None:
    rows = table(run(UNET).stdout)
    bottom = [row["operator"] for row in rows if row["value"] == "bottom"]
    assert bottom == ["double"]
    assert [row["value"] for row in rows if row["operator"] == "dropout"] == [
        "dropout1",
        "dropout2",
    ]


def test_a_pipe_gets_no_blanks_at_line_ends_and_no_colours() -> None:
    text = run(SQUEEZENET).stdout
    assert not [line for line in text.splitlines() if line != line.rstrip()]
    assert "\x1b" not in text


def test_many_peaks_are_told_by_one(tmp_path: Path) -> None:
    body = "repeat i in 1..5 { conv(64 * i, 3, stride=2, pad=1) -> relu }"
    spec = tmp_path / "net.loom"
    spec.write_text(f"network net {{ input x: float32[N, 3, h, w]\n{body}\nhead y = relu }}\n")
    text = " ".join(run(spec).stdout.split())
    assert "inference at h = 1,000, w = 1,000: " in text
    assert "other moments may be the peak at other sizes" in text
    assert "other moments" not in run(spec, "--size", "h=64,w=64").stdout
