"""Samples to batches of tensors, for training and for evaluation."""

from collections.abc import Iterator, Mapping

import torch
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from netloom.train.augmentations import Augmentation, augmented
from netloom.train.order import batch_ends, batches, generator, order
from netloom.train.preprocessing import Array
from netloom.train.sources import Dataset, Field, Samples

Batch = dict[str, torch.Tensor]
Key = tuple[int, int]
"""An epoch, and the index of a sample: together they decide what the sample looks like."""


class KeyedOrder(Sampler[Key]):
    """The samples of the current epoch; the trainer calls `set_epoch` before each."""

    def __init__(self, count: int, seed: int) -> None:
        self.count = count
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch, counted from 0."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Key]:
        for index in order(self.seed, self.epoch, self.count):
            yield self.epoch, index


class KeyedBatches(Sampler[list[Key]]):
    """The keys of `sampler` in batches; which samples fall together depends on nothing else."""

    def __init__(self, sampler: KeyedOrder, size: int) -> None:
        self.sampler = sampler
        self.size = size

    def __len__(self) -> int:
        return len(batch_ends(len(self.sampler), self.size))

    def __iter__(self) -> Iterator[list[Key]]:
        yield from batches(list(self.sampler), self.size)


class Augmented(TorchDataset[Batch]):
    """Training samples by key, their images changed at random if augmentation is asked for."""

    def __init__(
        self,
        samples: Samples,
        fields: tuple[Field, ...],
        augment: tuple[Augmentation, ...],
        seed: int,
    ) -> None:
        self.samples = samples
        self.images = [field.name for field in fields if field.preprocessing]
        self.augment = augment
        self.seed = seed

    def __getitem__(self, key: Key) -> Batch:
        epoch, index = key
        sample = dict(self.samples[index])
        if self.augment:
            for name in self.images:
                # Several images of one sample are changed alike.
                random = generator(self.seed, epoch, index)
                sample[name] = augmented(sample[name], self.augment, random)
        return _tensors(sample)


class Plain(TorchDataset[Batch]):
    """Samples as they are."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Batch:
        return _tensors(self.samples[index])


def training_loader(
    dataset: Dataset, augment: tuple[Augmentation, ...], batch: int, seed: int, workers: int = 0
) -> DataLoader[Batch]:
    """Training batches, shuffled anew each epoch; the same for any number of workers."""
    keys = KeyedBatches(KeyedOrder(len(dataset.train), seed), batch)
    return DataLoader(
        Augmented(dataset.train, dataset.fields, augment, seed),
        batch_sampler=keys,
        num_workers=workers,
        generator=_own_generator(seed),
    )


def evaluation_loader(dataset: Dataset, batch: int, workers: int = 0) -> DataLoader[Batch]:
    """Test batches, in the order of the data and without augmentation."""
    samples = Plain(dataset.test)
    return DataLoader(samples, batch_size=batch, num_workers=workers, generator=_own_generator(0))


def _own_generator(seed: int) -> torch.Generator:
    """Without one, each iterator draws a number from the generator that makes dropout masks."""
    return torch.Generator().manual_seed(seed)


def _tensors(sample: Mapping[str, Array]) -> Batch:
    return {name: torch.as_tensor(array) for name, array in sample.items()}
