"""Data: its sources, what becomes of a sample, in which order they come, and what does not fit."""

import io
import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from netloom.compile import check
from netloom.diagnostics import Failed, Source
from netloom.ir.declared import operand
from netloom.ir.types import Type
from netloom.train.augmentations import Augmentation, augmented
from netloom.train.fitting import open_for
from netloom.train.loading import Batch, KeyedBatches, evaluation_loader, training_loader
from netloom.train.order import batches, order
from netloom.train.preprocessing import Array, Preprocessing
from netloom.train.program import Program
from netloom.train.sources import Dataset, DataSource, resolve
from netloom.train.sources.digits import read_digits, split

SPEC = """
network net(classes: int = 10) {
    input  image: float32[N, 1, 8, 8]
    target label: int64[N]
    head logits = image -> flatten -> linear(classes)
}
train net {
    data "digits"
    loss cross_entropy(logits, label)
    augment { rotate(20) translate(0.1) noise(0.1) }
}
"""


def program_of(text: str) -> Program:
    return check(Source("spec", text)).programs["net"]


def digits_for(text: str = SPEC) -> tuple[Program, Dataset]:
    program = program_of(text)
    assert program.data is not None
    return program, open_for(program, program.data)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return digits_for()[1]


def augment(*calls: str) -> tuple[Augmentation, ...]:
    line = f"augment {{ {' '.join(calls)} }}"
    return program_of(
        SPEC.replace("augment { rotate(20) translate(0.1) noise(0.1) }", line)
    ).augment


def picture(channels: int = 3, height: int = 13, width: int = 9, seed: int = 0) -> Array:
    return numpy.random.default_rng(seed).random((channels, height, width), numpy.float32)


# ---- the order of samples


@given(st.integers(0, 2**32 - 1), st.integers(0, 1000), st.integers(1, 300))
def test_an_epoch_has_every_sample_once(seed: int, epoch: int, count: int) -> None:
    assert sorted(order(seed, epoch, count)) == list(range(count))
    assert order(seed, epoch, count) == order(seed, epoch, count)


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = {tuple(order(seed, epoch, 50)) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25


@given(st.integers(1, 400), st.integers(1, 70))
def test_batches_are_whole_and_never_a_lone_sample(count: int, size: int) -> None:
    parts = list(batches(range(count), size))
    assert [index for part in parts for index in part] == list(range(count))
    assert all(len(part) == size for part in parts[:-2])
    assert max(map(len, parts)) <= size + 1
    if size > 1 and count > 1:
        assert min(map(len, parts)) > 1


# ---- loading


def load(
    dataset: Dataset, size: int = 64, seed: int = 0, epoch: int = 0, workers: int = 0
) -> list[Batch]:
    calls = augment("rotate(20)", "translate(0.1)", "noise(0.1)")
    loader = training_loader(dataset, calls, size, seed, workers)
    assert isinstance(loader.batch_sampler, KeyedBatches)
    loader.batch_sampler.sampler.set_epoch(epoch)  # as the trainer does
    return list(loader)


def samples(loaded: list[Batch]) -> dict[bytes, int]:
    """Each image, and how often it occurs."""
    found: dict[bytes, int] = {}
    for batch in loaded:
        for image in batch["image"]:
            key = image.numpy().tobytes()
            found[key] = found.get(key, 0) + 1
    return found


def equal(left: list[Batch], right: list[Batch]) -> bool:
    return len(left) == len(right) and all(
        torch.equal(one[name], other[name])
        for one, other in zip(left, right, strict=True)
        for name in ("image", "label")
    )


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # a machine with one core
def test_batches_do_not_depend_on_the_number_of_workers(digits: Dataset) -> None:
    alone = load(digits)
    assert equal(alone, load(digits, workers=1))
    assert equal(alone, load(digits, workers=2))


def test_a_sample_does_not_depend_on_its_batch(digits: Dataset) -> None:
    assert samples(load(digits, 64)) == samples(load(digits, 7))


def test_epoch_and_seed_decide_what_a_batch_is(digits: Dataset) -> None:
    first = load(digits, seed=3, epoch=2)
    assert equal(first, load(digits, seed=3, epoch=2))
    for other in (load(digits, seed=3, epoch=1), load(digits, seed=4, epoch=2)):
        assert not samples(first).keys() & samples(other).keys()


def test_loading_draws_nothing_from_the_generators_of_others(digits: Dataset) -> None:
    before = torch.get_rng_state(), repr(numpy.random.get_state())
    load(digits)
    list(evaluation_loader(digits, 64))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert repr(numpy.random.get_state()) == before[1]


def test_augmentation_changes_training_images_and_nothing_else(digits: Dataset) -> None:
    raw = digits.train[5]["image"].copy()
    plain = list(training_loader(digits, (), 64, 0))
    changed = load(digits)
    assert not samples(plain).keys() & samples(changed).keys()
    for one, other in zip(plain, changed, strict=True):
        assert torch.equal(one["label"], other["label"])
    numpy.testing.assert_array_equal(digits.train[5]["image"], raw)
    tested = torch.cat([batch["image"] for batch in evaluation_loader(digits, 64)])
    stored = numpy.stack([digits.test[i]["image"] for i in range(len(digits.test))])
    numpy.testing.assert_array_equal(tested.numpy(), stored)


# ---- augmentations

CALLS = {
    "rotate": "rotate(30)",
    "translate": "translate(0.2)",
    "scale": "scale(0.7, 1.4)",
    "hflip": "hflip",
    "random_crop": "random_crop(3)",
    "noise": "noise(0.2)",
    "erase": "erase(1.0)",
}


@pytest.mark.parametrize("name", sorted(Augmentation.registry))
def test_an_augmentation_keeps_type_and_size_and_original(name: str) -> None:
    calls, image = augment(CALLS[name]), picture()
    original = image.copy()
    results = [augmented(image, calls, numpy.random.default_rng(seed)) for seed in range(20)]
    again = augmented(image, calls, numpy.random.default_rng(7))
    numpy.testing.assert_array_equal(image, original)
    numpy.testing.assert_array_equal(results[7], again)
    assert {(each.dtype.name, each.shape) for each in results} == {("float32", (3, 13, 9))}
    assert all(each.min() >= 0 and each.max() <= 1 for each in results)
    assert len({each.tobytes() for each in results}) > 1


def seen_at(image: Array, movement: tuple[float, ...]) -> Array:
    """Each pixel of the result looked up in the image, bilinearly; black outside."""
    _, height, width = image.shape
    a, b, c, d, e, f = movement
    result = numpy.zeros_like(image)
    for row in range(height):
        for column in range(width):
            x, y = column + 0.5 - width / 2, row + 0.5 - height / 2
            u = a * x + b * y + c + width / 2
            v = d * x + e * y + f + height / 2
            if not (0 <= u < width and 0 <= v < height):
                continue
            left, top = int(numpy.floor(u - 0.5)), int(numpy.floor(v - 0.5))
            right_share, low_share = u - 0.5 - left, v - 0.5 - top
            columns = numpy.clip([left, left + 1], 0, width - 1)
            rows = numpy.clip([top, top + 1], 0, height - 1)
            upper, lower = (
                image[:, r, columns[0]] * (1 - right_share) + image[:, r, columns[1]] * right_share
                for r in rows
            )
            result[:, row, column] = upper * (1 - low_share) + lower * low_share
    return result


@pytest.mark.parametrize("seed", range(5))
def test_a_rotation_looks_pixels_up_around_the_centre(seed: int) -> None:
    (rotate,), image = augment("rotate(90)"), picture(seed=seed)
    angle = numpy.radians(numpy.random.default_rng(seed).uniform(-90, 90))
    sine, cosine = numpy.sin(angle), numpy.cos(angle)
    result = augmented(image, [rotate], numpy.random.default_rng(seed))
    expected = seen_at(image, (cosine, -sine, 0, sine, cosine, 0))
    numpy.testing.assert_allclose(result, expected, atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_a_translation_is_a_share_of_each_side(seed: int) -> None:
    (translate,), image = augment("translate(0.3)"), picture(seed=seed)
    x, y = numpy.random.default_rng(seed).uniform(-0.3, 0.3, 2)
    result = augmented(image, [translate], numpy.random.default_rng(seed))
    numpy.testing.assert_allclose(result, seen_at(image, (1, 0, 9 * x, 0, 1, 13 * y)), atol=1e-5)


def test_scaling_by_two_shows_the_middle_half() -> None:
    image = numpy.zeros((1, 8, 8), numpy.float32)
    image[:, 2:6, 2:6] = 1
    large = augmented(image, augment("scale(2, 2)"), numpy.random.default_rng(0))
    assert large[:, 1:7, 1:7].min() == 1
    small = augmented(image, augment("scale(0.5, 0.5)"), numpy.random.default_rng(0))
    assert small.sum() == pytest.approx(4)


@given(st.integers(0, 2**31), st.permutations(["rotate(9)", "translate(0.1)", "scale(0.9, 1.2)"]))
def test_movements_made_at_once_equal_those_made_in_turn(seed: int, calls: list[str]) -> None:
    # A plane survives bilinear resampling unchanged, away from what comes in at the edges.
    rows, columns = numpy.mgrid[0:41, 0:31].astype(numpy.float32)
    image = (2 * rows - 3 * columns + 500)[None]
    at_once = augmented(image, augment(*calls), numpy.random.default_rng(seed))
    random = numpy.random.default_rng(seed)
    for call in calls:
        image = augmented(image, augment(call), random)
    inner = (slice(None), slice(13, -13), slice(10, -10))
    numpy.testing.assert_allclose(at_once[inner], image[inner], atol=1e-2)


def test_hflip_mirrors_exactly_and_in_half_of_the_cases() -> None:
    image, random, sometimes = picture(), numpy.random.default_rng(0), augment("hflip")
    mirrored = augmented(image, augment("hflip(1)"), random)
    numpy.testing.assert_array_equal(mirrored, image[:, :, ::-1])
    numpy.testing.assert_array_equal(augmented(image, augment("hflip(0)"), random), image)
    results = [augmented(image, sometimes, random) for _ in range(400)]
    assert sum(numpy.array_equal(each, mirrored) for each in results) == pytest.approx(200, abs=40)


def test_random_crop_is_a_window_of_the_padded_image() -> None:
    image, random, crop = picture(), numpy.random.default_rng(0), augment("random_crop(2)")
    padded = numpy.pad(image, ((0, 0), (2, 2), (2, 2)))
    windows = {
        padded[:, top : top + 13, left : left + 9].tobytes(): (top, left)
        for top in range(5)
        for left in range(5)
    }
    found = {windows[augmented(image, crop, random).tobytes()] for _ in range(300)}
    assert found == set(windows.values())


def test_noise_has_its_deviation_and_stays_in_bounds() -> None:
    grey = numpy.full((1, 100, 100), 0.5, numpy.float32)
    noisy = augmented(grey, augment("noise(0.1)"), numpy.random.default_rng(0))
    assert noisy.std() == pytest.approx(0.1, rel=0.05)
    loud = augmented(grey, augment("noise(5)"), numpy.random.default_rng(0))
    assert (loud.min(), loud.max()) == (0, 1)


def test_erase_blackens_one_rectangle_of_its_size() -> None:
    white, random = numpy.ones((3, 60, 40), numpy.float32), numpy.random.default_rng(0)
    always, sometimes, shares = augment("erase(1)"), augment("erase(0.25)"), []
    for _ in range(300):
        black = augmented(white, always, random)[0] == 0
        rows, columns = black.any(1), black.any(0)
        assert numpy.array_equal(black, rows[:, None] & columns[None])
        assert all(
            numpy.count_nonzero(numpy.diff(edge.astype(int))) <= 2 for edge in (rows, columns)
        )
        shares.append(black.mean())
    assert 0.015 < min(shares) < 0.05
    assert 0.28 < max(shares) < 0.34
    results = [augmented(white, sometimes, random) for _ in range(400)]
    assert sum(each.min() == 0 for each in results) == pytest.approx(100, abs=35)


# ---- preprocessing


def as_png(image: Array) -> Image.Image:
    content = io.BytesIO()
    Image.fromarray(image).save(content, "png")
    content.seek(0)
    return Image.open(content)


@pytest.mark.parametrize("size", [8, 16, 32, 5])
@pytest.mark.parametrize("colours", ["grey", "rgb"])
@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 3), (8, 8, 4)])
def test_a_png_gives_exactly_what_the_array_gives(
    size: int, colours: Any, shape: tuple[int, ...]
) -> None:
    image = numpy.random.default_rng(0).integers(0, 256, shape, numpy.uint8)
    preprocessing = Preprocessing(colours, size, size, mean=(0.1,), std=(0.3,))
    numpy.testing.assert_array_equal(preprocessing.apply(as_png(image)), preprocessing.apply(image))


def test_a_digit_saved_as_png_is_the_training_sample() -> None:
    pixels, labels = read_digits()
    train, _ = split(labels)
    for size in (8, 32):
        data = resolve(f"digits?size={size}").source.open({})
        preprocessing = data.fields[0].preprocessing
        assert preprocessing is not None
        again = Preprocessing.from_json(json.loads(json.dumps(preprocessing.as_json())))
        for index in (0, 100, 1000):
            sample = again.apply(as_png(pixels[train[index]]))
            numpy.testing.assert_array_equal(sample, data.train[index]["image"])


def test_preprocessing_is_scaled_and_normalised_by_channel() -> None:
    image = numpy.random.default_rng(1).integers(0, 256, (4, 6, 3), numpy.uint8)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    result = Preprocessing("rgb", 4, 6, mean=mean, std=std).apply(image)
    expected = (image.astype(float) / 255 - mean) / std
    assert result.dtype == numpy.float32
    numpy.testing.assert_allclose(result, expected.transpose(2, 0, 1), atol=1e-5)


def test_grey_is_the_luma_of_itu_r_601_and_alpha_is_dropped() -> None:
    image = numpy.random.default_rng(2).integers(0, 256, (5, 7, 4), numpy.uint8)
    luma = image[..., :3].astype(float) @ (0.299, 0.587, 0.114)
    result = Preprocessing("grey", 5, 7).apply(image)
    assert result.shape == (1, 5, 7)
    numpy.testing.assert_allclose(result[0] * 255, luma, atol=0.51)


def test_preprocessing_survives_json() -> None:
    first = Preprocessing("rgb", 3, 5, "bicubic", 1 / 255, (0.1, 1 / 3, 0.2), (1.0, 2.0, 1 / 7))
    assert Preprocessing.from_json(json.loads(json.dumps(first.as_json()))) == first


@pytest.mark.parametrize(
    "image",
    [
        numpy.zeros((4, 4), numpy.float32),
        numpy.zeros((4, 4), numpy.uint16),
        numpy.zeros((4, 4, 2), numpy.uint8),
        numpy.zeros(4, numpy.uint8),
        Image.new("I;16", (4, 4)),
        Image.new("F", (4, 4)),
    ],
    ids=["float", "uint16", "two channels", "one axis", "16 bit image", "float image"],
)
def test_what_is_no_8_bit_image_is_refused(image: Any) -> None:
    with pytest.raises(ValueError, match="an image"):
        Preprocessing("grey", 4, 4).apply(image)


# ---- digits


def test_digits_are_the_published_ones(digits: Dataset) -> None:
    images = numpy.stack([digits.train[i]["image"] for i in range(len(digits.train))])
    assert (len(digits.train), len(digits.test)) == (1347, 450)
    assert (images.dtype.name, images.shape[1:]) == ("float32", (1, 8, 8))
    assert (images.min(), images.max()) == (0, 1)
    assert digits.train[0]["label"].dtype == numpy.int64
    assert digits.classes == tuple("0123456789")
    assert digits.summary == "1347 train / 450 test, 8x8, 10 classes"


def test_the_split_is_stratified_and_whole() -> None:
    _, labels = read_digits()
    train, test = split(labels)
    assert sorted([*train, *test]) == list(range(1797))
    for digit in range(10):
        wanted = (labels == digit).sum() / 4
        assert abs((labels[test] == digit).sum() - wanted) < 1


def test_the_split_does_not_depend_on_any_seed(digits: Dataset) -> None:
    numpy.random.seed(99)
    torch.manual_seed(99)
    program, again = digits_for(SPEC.replace("data", "seed 5 data"))
    assert program.seed == 5
    for part, other in ((digits.train, again.train), (digits.test, again.test)):
        for index in range(len(part)):
            numpy.testing.assert_array_equal(part[index]["image"], other[index]["image"])


@pytest.mark.parametrize(
    ("shape", "data", "expected"),
    [
        ("1, 32, 32", "digits", (1, 32, 32)),
        ("1, 12, 20", "digits", (1, 12, 20)),
        ("1, 4*h, 4*w", "digits?size=16", (1, 16, 16)),
        ("1, 4*h, 4*w", "digits", (1, 8, 8)),
        ("1, h//2, h//2", "digits", (1, 8, 8)),
        ("1, h - 3, 2*h - 14", "digits", (1, 8, 8)),
    ],
)
def test_digits_are_drawn_at_the_size_of_the_input(
    shape: str, data: str, expected: tuple[int, ...]
) -> None:
    text = SPEC.replace("1, 8, 8", shape).replace('"digits"', f'"{data}"')
    text = text.replace("image -> flatten", "image -> global_avgpool -> flatten")
    _, dataset = digits_for(text)
    assert dataset.train[0]["image"].shape == dataset.fields[0].shape == expected


# ---- data that does not fit

CLASSES = "classes: int = 10"
HEAD = "head logits = image -> flatten -> linear(classes)"
POOLED = "head logits = image -> global_avgpool -> flatten -> linear(classes)"


@pytest.mark.parametrize(
    ("changes", "place", "message"),
    [
        ({"image": "picture"}, "picture", "the data has nothing for input `picture`"),
        ({"label": "digit"}, "digit", "the data has nothing for target `digit`"),
        ({"[N, 1, 8, 8]": "[N, 3, 8, 8]"}, "image", "is [3, 8, 8], not [1, 8, 8]"),
        ({'"digits"': '"digits?size=9"'}, "image", "is [1, 8, 8], not [1, 9, 9]"),
        ({"[N, 1, 8, 8]": "[N, 64]"}, "image", "is [64], not [1, 8, 8]"),
        ({"[N, 1, 8, 8]": "[N, 1, 3*h, 8]", HEAD: POOLED}, "image", "is [1, 3*h, 8]"),
        ({"[N, 1, 8, 8]": "[N, 1, h, h + 1]", HEAD: POOLED}, "image", "is [1, h, h + 1]"),
        ({"[N, 1, 8, 8]": "[N, 1, h + w, w]", HEAD: POOLED}, "image", "is [1, h + w, w]"),
        ({"[N, 1, 8, 8]": "[N, 1, N, 8]", HEAD: POOLED}, "image", "must be a free batch"),
        ({CLASSES: "classes: int = 9"}, "label", "run from 0 to 9, but the network tells 9"),
        (
            {"int64[N]": "float32[N, 10]", "cross_entropy": "mse"},
            "label",
            "target `label` is float32[N, 10], but the data is int64",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_data_that_does_not_fit_is_told_at_the_declaration(
    changes: Mapping[str, str], place: str, message: str
) -> None:
    text = SPEC
    for old, new in changes.items():
        text = text.replace(old, new)
    with pytest.raises(Failed) as failed:
        digits_for(text)
    (diagnostic,) = failed.value.diagnostics
    assert diagnostic.code == "E505"
    assert message in diagnostic.message
    assert diagnostic.span is not None
    line = text[diagnostic.span.start :].splitlines()[0]
    assert line.startswith((f"input  {place}:", f"target {place}:", f"{place}:"))
    assert diagnostic.help is not None
    assert "offers image: float32[1, " in diagnostic.help
    (note,) = diagnostic.notes
    assert note.span is not None
    assert text[note.span.start :].startswith('"digits')


def test_a_fixed_batch_is_refused() -> None:
    text = SPEC.replace("[N, 1, 8, 8]", "[4, 1, 8, 8]").replace("int64[N]", "int64[4]")
    with pytest.raises(Failed) as failed:
        digits_for(text)
    assert [each.code for each in failed.value.diagnostics] == ["E505", "E505"]
    assert all("a free batch" in each.message for each in failed.value.diagnostics)


def test_more_classes_than_labels_are_fine() -> None:
    assert digits_for(SPEC.replace(CLASSES, "classes: int = 12"))


def test_all_that_does_not_fit_is_told_at_once() -> None:
    text = SPEC.replace("[N, 1, 8, 8]", "[N, 3, 8, 8]").replace("label", "digit")
    with pytest.raises(Failed) as failed:
        digits_for(text)
    assert [each.message.split("`")[1] for each in failed.value.diagnostics] == ["image", "digit"]


# ---- data strings


@pytest.mark.parametrize(
    ("text", "code", "place", "help"),
    [
        ("digit", "E504", "digit", "did you mean `digits`?"),
        ("nothing", "E504", "nothing", "one of `digits`"),
        ("digit?size=8", "E504", "digit", "did you mean `digits`?"),
        ("digits:here", "E504", "here", "`digits`"),
        ("digits?sise=8", "E504", "sise", "did you mean `size`?"),
        ("digits?size", "E504", "size", "`scheme:path?option=value&…`"),
        ("digits?", "E504", "", "`scheme:path?option=value&…`"),
        ("digits?size=big", "E205", "big", None),
        ("digits?size=8.5", "E205", "8.5", None),
        ("digits?size=0", "E206", "0", None),
        ("digits?size=1025", "E206", "1025", None),
        ("digits?size=8&size=9", "E211", "size", None),
    ],
)
def test_a_bad_data_string_is_told_at_its_part(
    text: str, code: str, place: str, help: str | None
) -> None:
    spec = SPEC.replace('"digits"', f'"{text}"')
    begin = spec.index(f'"{text}"') + 1
    for action in (lambda: resolve(text), lambda: check(Source("spec", spec))):
        with pytest.raises(Failed) as failed:
            action()
        (diagnostic,) = failed.value.diagnostics
        assert (diagnostic.code, diagnostic.help) == (code, help)
        span = diagnostic.span
        assert span is not None
        assert span.source.text[span.start : span.end].strip('"') == place
        if span.source.name == "spec":
            assert begin - 1 <= span.start <= span.end <= begin + len(text) + 1


def test_all_mistakes_of_a_data_string_are_told_at_once() -> None:
    with pytest.raises(Failed) as failed:
        resolve("digits:x?sise=3&size=0&so")
    codes = [each.code for each in failed.value.diagnostics]
    assert codes == ["E504", "E504", "E206", "E504"]
    starts = [each.span.start for each in failed.value.diagnostics if each.span]
    assert all(left < right for left, right in pairwise(starts))


@pytest.fixture
def shelf() -> Iterator[type[DataSource]]:
    """A data source that has a path, as those that read folders do."""

    class Shelf(DataSource, name="shelf"):
        """Samples on a shelf."""

        path: str = operand("the path of a shelf")

        def open(self, wanted: Mapping[str, Type]) -> Dataset:
            raise NotImplementedError

    yield Shelf
    del DataSource.registry["shelf"]


def test_a_path_stands_behind_the_colon(shelf: type[DataSource]) -> None:
    data = resolve("shelf:a:b/c")
    assert isinstance(data.source, shelf)
    assert vars(data.source) == {"path": "a:b/c"}


@pytest.mark.parametrize("text", ["shelf", "shelf:", "shelf?"])
def test_a_path_that_is_missing_is_told(shelf: type[DataSource], text: str) -> None:
    with pytest.raises(Failed, match=r"E504\]: data source `shelf` needs the path of a shelf"):
        resolve(text)
