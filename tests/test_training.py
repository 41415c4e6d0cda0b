"""Train sections: what is refused, what is minimised, and what a run leaves behind."""

import csv
import json
import math
from collections import Counter
from pathlib import Path

import numpy
import pytest
import safetensors.numpy
import torch
from PIL import Image

from netloom.compile import Spec, check
from netloom.diagnostics import Diagnostic, Failed, Source
from netloom.emit.weights import expected
from netloom.ir.graph import Value
from netloom.ir.types import Type
from netloom.train.augmentations import Affine, Augmentation
from netloom.train.history import Epoch
from netloom.train.loading import training_loader
from netloom.train.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    MeanAbsoluteError,
    MeanSquaredError,
)
from netloom.train.optimizers import Adam, Sgd
from netloom.train.order import batches, order
from netloom.train.preprocessing import Preprocessing
from netloom.train.run import Options, train
from netloom.train.run_directory import save_weights
from netloom.train.schedules import Constant, Cosine, Length, OneCycle, Step
from netloom.train.sources import resolve
from netloom.train.sources.digits import read_digits, split

NETWORK = """
network net {
    input  image: float32[N, 1, 8, 8]
    target label: int64[N]
    hidden = conv(4, 3, stride=2) -> relu
    head logits = flatten -> linear(10)
    train head early = hidden -> global_avgpool -> flatten -> linear(10)
    infer head p = logits -> softmax
}
"""

SECTION = """
train net {
    data      "digits"
    loss      cross_entropy(logits, label) + 0.5*cross_entropy(early, label)
    optimizer sgd(lr=0.05, momentum=0.9)
    epochs    2
    batch     64
    metric    accuracy(logits, label)
}
"""


def spec(section: str = SECTION, network: str = NETWORK) -> Spec:
    return check(Source("net.loom", network + section))


def mistakes(section: str) -> tuple[Diagnostic, ...]:
    with pytest.raises(Failed) as failed:
        spec(section)
    return failed.value.diagnostics


LOSS = "loss cross_entropy(logits, label)"

REFUSED = [
    (f"{LOSS} «epoch» 3", "E501", "`epochs`"),
    ("«epochs 3»", "E502", "cross_entropy"),
    (f"{LOSS} {LOSS.replace('loss', '«loss»', 1)}", "E211", ""),
    ("loss «crossentropy»(logits, label)", "E", "`cross_entropy`"),
    ("loss cross_entropy(logits, «labels»)", "E201", "`label`"),
    ("loss cross_entropy(logits, label, «smothing»=0.1)", "E203", "`smoothing`"),
    ("loss cross_entropy(logits, label, smoothing=«2.0»)", "E206", ""),
    (f"{LOSS} optimizer «sdg»(lr=1)", "E", "`sgd`"),
    (f"{LOSS} optimizer «sgd»", "E204", "lr"),
    (f"{LOSS} schedule cosine(«warmup=10»)", "E206", ""),
    (f"{LOSS} augment {{ «rotat»(3) }}", "E", "`rotate`"),
    (f'{LOSS} data «"digit"»', "E504", "`digits`"),
    (f'{LOSS} data "digits?«sise»=8"', "E504", "`size`"),
    (f"{LOSS} metric «acuracy»(logits, label)", "E", "`accuracy`"),
    (f"{LOSS} epochs «0»", "E206", ""),
    (f"{LOSS} batch «1.5»", "E205", ""),
]


@pytest.mark.parametrize(("settings", "code", "told"), REFUSED, ids=[each[0] for each in REFUSED])
def test_a_wrong_setting_is_told_at_its_place(settings: str, code: str, told: str) -> None:
    text = f"train net {{ {settings} }}"
    (found,) = mistakes(text.replace("«", "").replace("»", ""))
    assert found.code.startswith(code), found.message
    assert told in (found.help or ""), found.help
    if found.code != "E502":
        assert found.span is not None
        assert found.span.start == len(NETWORK) + text.index("«")
        assert found.span.end == len(NETWORK) + text.index("»") - 1


def test_every_wrong_setting_of_a_section_is_told() -> None:
    found = mistakes('train net { data "digit"  optimizer sgd  epoch 3  loss mse(logits, label) }')
    assert len(found) == 4


@pytest.mark.parametrize(
    "loss",
    [
        "mse(logits, label)",
        "cross_entropy(image, label)",
        "cross_entropy(label, label)",
        "cross_entropy(p, label)",
        "cross_entropy(logits, label) + label",
        "3",
    ],
)
def test_a_loss_of_other_shapes_kinds_or_modes_is_refused(loss: str) -> None:
    assert mistakes(f"train net {{ loss {loss} }}")


def test_training_of_no_network_and_twice_the_same() -> None:
    assert mistakes("train nett { loss cross_entropy(logits, label) }")[0].code == "E201"
    assert mistakes(f"train net {{ {LOSS} }} train net {{ {LOSS} }}")[0].code == "E211"


def test_defaults_are_the_documented_ones() -> None:
    program = spec(f"train net {{ {LOSS} }}").programs["net"]
    assert isinstance(program.optimizer, Adam)
    assert program.optimizer.lr == 1e-3
    assert isinstance(program.schedule, Constant)
    assert (program.epochs, program.batch, program.seed, program.data) == (10, 64, 0, None)


def value(*shape: int, dtype: str = "float32") -> Value:
    return Value("x", Type(dtype, shape))  # type: ignore[arg-type]


def test_losses_are_their_formulas() -> None:
    draw = numpy.random.default_rng(0)
    logits, other = draw.normal(size=(2, 5, 7))
    labels = draw.integers(0, 7, 5)
    shifted = numpy.exp(logits - logits.max(1, keepdims=True))
    log_p = numpy.log(shifted / shifted.sum(1, keepdims=True))
    wanted = numpy.full((5, 7), 0.1 / 7)
    wanted[numpy.arange(5), labels] += 0.9
    p = 1 / (1 + numpy.exp(-logits))
    share = 1 / (1 + numpy.exp(-other))
    a, b = value(5, 7), value(5, 7)
    label = value(5, dtype="int64")
    numbers = {a: torch.tensor(logits), b: torch.tensor(other), label: torch.tensor(labels)}
    shares = {a: torch.tensor(logits), b: torch.tensor(share)}
    cases = [
        (CrossEntropy(logits=a, label=label), numbers, -log_p[numpy.arange(5), labels].mean()),
        (CrossEntropy(a, label, smoothing=0.1), numbers, -(wanted * log_p).sum(1).mean()),
        (MeanSquaredError(a, b), numbers, ((logits - other) ** 2).mean()),
        (MeanAbsoluteError(a, b), numbers, abs(logits - other).mean()),
        (
            BinaryCrossEntropy(a, b),
            shares,
            -(share * numpy.log(p) + (1 - share) * numpy.log(1 - p)).mean(),
        ),
    ]
    for loss, tensors, truth in cases:
        assert loss.value(tensors).item() == pytest.approx(truth, rel=1e-12), loss.name


def test_schedules_are_their_formulas() -> None:
    length = Length(epochs=10, batches=4)
    cosine = Cosine(warmup=1)
    assert [cosine.factor(step, length) for step in range(4)] == [0.25, 0.5, 0.75, 1]
    assert cosine.factor(22, length) == pytest.approx((1 + math.cos(math.pi * 18 / 36)) / 2)
    assert Step(every=3, gamma=0.5).factor(24, length) == 0.25
    assert Constant().factor(39, length) == 1
    weight = torch.nn.Parameter(torch.zeros(1))
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        torch.optim.SGD([weight], lr=1.0), max_lr=1.0, total_steps=40
    )
    for step in range(40):
        assert OneCycle().factor(step, length) == pytest.approx(theirs.get_last_lr()[0], rel=1e-9)
        theirs.optimizer.step()
        if step < 39:
            theirs.step()


def test_sgd_with_momentum_is_its_formula() -> None:
    weight = torch.nn.Parameter(torch.tensor([2.0]))
    optimizer = Sgd(lr=0.1, momentum=0.9, weight_decay=0.01).create([weight])
    expected_weight, velocity = 2.0, 0.0
    for _ in range(3):
        optimizer.zero_grad()
        (weight**2).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        velocity = 0.9 * velocity + 2 * expected_weight + 0.01 * expected_weight
        expected_weight -= 0.1 * velocity
    assert weight.item() == pytest.approx(expected_weight, rel=1e-6)


def test_an_epoch_is_a_permutation_of_seed_and_number() -> None:
    first = order(0, 0, 100)
    assert sorted(first) == list(range(100))
    assert order(0, 0, 100) == first
    assert order(0, 1, 100) != first
    assert order(1, 0, 100) != first


def test_no_batch_is_a_lone_sample() -> None:
    assert [len(batch) for batch in batches(list(range(129)), 64)] == [64, 65]
    assert [len(batch) for batch in batches(list(range(130)), 64)] == [64, 64, 2]


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_do_not_depend_on_the_number_of_workers(workers: int) -> None:
    dataset = resolve("digits").source.open({})
    augment: tuple[Augmentation, ...] = (Affine(degrees=10, fraction=0.1),)

    def first_two(count: int) -> list[torch.Tensor]:
        torch.rand(count + 1)  # what else is drawn must not matter
        loader = iter(training_loader(dataset, augment, 32, seed=3, workers=count))
        return [next(loader)["image"] for _ in range(2)]

    for alone, loaded in zip(first_two(0), first_two(workers), strict=True):
        assert torch.equal(alone, loaded)


def test_augmentation_changes_with_the_epoch_and_leaves_the_chance_of_others_alone() -> None:
    dataset = resolve("digits").source.open({})
    samples = training_loader(dataset, (Affine(degrees=10),), 32, seed=0).dataset
    torch.manual_seed(5)
    untouched = torch.rand(3)
    torch.manual_seed(5)
    first, second = samples[0, 7]["image"], samples[1, 7]["image"]
    assert torch.equal(torch.rand(3), untouched)
    assert not torch.equal(first, second)
    assert torch.equal(samples[0, 7]["image"], first)


def test_digits_are_split_alike_in_each_class() -> None:
    _, labels = read_digits()
    train_part, test_part = split(labels)
    assert (len(train_part), len(test_part)) == (1347, 450)
    assert set(train_part) | set(test_part) == set(range(1797))
    whole, tested = Counter(labels.tolist()), Counter(labels[test_part].tolist())
    assert all(abs(tested[digit] - whole[digit] / 4) <= 1 for digit in range(10))
    assert [part.tolist() for part in split(labels)] == [train_part.tolist(), test_part.tolist()]


def test_a_digit_read_from_a_file_is_the_one_trained_on(tmp_path: Path) -> None:
    images, labels = read_digits()
    _, test_part = split(labels)
    dataset = resolve("digits?size=32").source.open({})
    for position in (0, 17):
        path = tmp_path / "digit.png"
        Image.fromarray(images[test_part[position]]).save(path)
        with Image.open(path) as image:
            read = Preprocessing("grey", 32, 32).apply(image)
        assert numpy.array_equal(read, dataset.test[position]["image"])


@pytest.mark.parametrize(
    ("data", "shape", "told"),
    [
        ("digits", "N, 3, 8, 8", "image"),
        ("digits?size=16", "N, 1, 8, 8", "16"),
    ],
)
def test_data_that_does_not_fit_is_refused_before_training(
    data: str, shape: str, told: str, tmp_path: Path
) -> None:
    network = NETWORK.replace("N, 1, 8, 8", shape)
    with pytest.raises(Failed) as failed:
        train(spec(SECTION, network), Options(data=data, out=tmp_path / "run"))
    (found,) = failed.value.diagnostics
    assert found.code == "E505"
    assert told in f"{found.message} {found.help}"
    assert not (tmp_path / "run").exists()


def test_labels_beyond_the_logits_are_refused(tmp_path: Path) -> None:
    network = NETWORK.replace("linear(10)", "linear(7)")
    with pytest.raises(Failed) as failed:
        train(spec(SECTION, network), Options(out=tmp_path / "run"))
    assert failed.value.diagnostics[0].code == "E505"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(spec(), Options(out=tmp_path_factory.mktemp("runs") / "a", quiet=True))


def test_a_run_leaves_everything_behind(run: Path) -> None:
    files = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    assert files == {
        "spec.loom",
        "config.json",
        "model.py",
        "metrics.csv",
        "result.json",
        "plots/loss.png",
        "checkpoints/last.safetensors",
        "checkpoints/best.safetensors",
    }
    config = json.loads((run / "config.json").read_text())
    assert config["classes"] == list("0123456789")
    assert config["preprocessing"]["image"]["height"] == 8
    assert (run / "spec.loom").read_text() == NETWORK + SECTION
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[1]["train_loss"]) < float(rows[0]["train_loss"])
    with Image.open(run / "plots" / "loss.png") as picture:
        assert picture.width > 600


def test_checkpoints_have_the_keys_of_the_network(run: Path) -> None:
    weights = safetensors.numpy.load_file(run / "checkpoints" / "last.safetensors")
    wanted = expected(spec().networks["net"].graph)
    assert {name: array.shape for name, array in weights.items()} == {
        name: parameter.shape for name, parameter in wanted.items()
    }


def test_equal_seeds_give_equal_weights_and_others_do_not(run: Path, tmp_path: Path) -> None:
    def weights(folder: Path) -> bytes:
        return (folder / "checkpoints" / "last.safetensors").read_bytes()

    torch.rand(7)
    again = train(spec(), Options(out=tmp_path / "again", quiet=True))
    other = train(spec(), Options(out=tmp_path / "other", seed=1, quiet=True))
    assert weights(again) == weights(run)
    assert weights(other) != weights(run)


def test_auxiliary_heads_count_in_training_only(run: Path) -> None:
    alone = SECTION.replace(" + 0.5*cross_entropy(early, label)", "")
    program = spec().programs["net"]
    assert [term.weight for term in program.loss] == [1, 0.5]
    assert [term.weight for term in program.evaluated_loss] == [1]
    assert len(spec(alone).programs["net"].loss) == 1
    result = json.loads((run / "result.json").read_text())["last"]
    # Two summands at the start of training are larger than one, by what the second adds.
    assert result["train_loss"] > result["val_loss"]


def test_a_folder_in_use_is_refused_and_replaced_on_demand(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(Failed) as failed:
        train(spec(), Options(out=tmp_path, epochs=1, quiet=True))
    assert failed.value.diagnostics[0].code == "E004"
    assert train(spec(), Options(out=tmp_path, epochs=1, force=True, quiet=True)) == tmp_path


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (Options(epochs=0), "E206"),
        (Options(seed=-1), "E206"),
        (Options(network="nett"), "E201"),
        (Options(data="digit"), "E504"),
    ],
)
def test_options_out_of_bounds_are_refused(options: Options, code: str) -> None:
    with pytest.raises(Failed) as failed:
        train(spec(), options)
    assert failed.value.diagnostics[0].code == code


def test_a_loss_that_is_no_number_ends_training_and_is_not_saved(tmp_path: Path) -> None:
    section = SECTION.replace("lr=0.05", "lr=1e30")
    with pytest.raises(Failed) as failed:
        train(spec(section), Options(out=tmp_path / "run", quiet=True))
    (found,) = failed.value.diagnostics
    assert found.code == "E507"
    assert "epoch 1" in found.message
    assert not list((tmp_path / "run" / "checkpoints").glob("*.safetensors"))


def test_a_failed_write_keeps_the_checkpoint_before(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from netloom.emit.torch import module

    graph = spec().networks["net"].graph
    path = tmp_path / "last.safetensors"
    save_weights(path, graph, module(graph))
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(Failed) as failed:
        save_weights(path, graph, module(graph))
    assert failed.value.diagnostics[0].code == "E005"
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["last.safetensors"]


def test_quiet_training_says_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    train(spec(), Options(out=tmp_path / "run", epochs=1, quiet=True))
    told = capfd.readouterr()
    assert (told.out, told.err) == ("", "")


def test_progress_is_one_line_an_epoch_where_nobody_watches(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    train(spec(), Options(out=tmp_path / "run"))
    told = capfd.readouterr()
    assert told.out == ""
    lines = told.err.splitlines()
    assert lines[0].startswith("digits: 1347 train / 450 test")
    assert sum(line.startswith("epoch ") for line in lines) == 2
    assert not any("Lightning" in line or "GPU" in line or "litlogger" in line for line in lines)


def test_an_epoch_without_test_loss_is_still_a_row() -> None:
    assert Epoch(1, 10, 0.5, None, {}, 0.1, 2.0).row()["val_loss"] is None
