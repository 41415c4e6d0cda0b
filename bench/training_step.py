"""A training step of emitted modules beside torchvision's hand-written ones.

Forward, loss, backward and SGD with momentum, on the same weights and the same batch, in eager
mode and in channels_last. Before anything is timed, both must give the same gradients. GoogLeNet is
compared without auxiliary classifiers, which pool with windows that the language does not have.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from bench.networks import named
from bench.report import Table, at_most, compared, show
from bench.rounds import calls

OURS = "emitted"
THEIRS = "torchvision"


def hand_written(name: str) -> nn.Module:
    """Torchvision's network of this name."""
    if name == "googlenet":
        network: nn.Module = torchvision.models.googlenet(aux_logits=False, init_weights=False)
        return network
    made: nn.Module = torchvision.models.get_model(name)
    return made


def pair(name: str) -> dict[str, nn.Module]:
    """Both modules with the same weights; these are in the same order in both."""
    emitted, written = named(name).module, hand_written(name)
    tensors = emitted.state_dict().values()
    written.load_state_dict(dict(zip(written.state_dict(), tensors, strict=True)))
    return {OURS: emitted.train(), THEIRS: written.train()}


def training_step(module: nn.Module, image: Tensor, label: Tensor) -> Callable[[], Tensor]:
    """A call that makes one step; it gives the loss before it."""
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-4, momentum=0.9)

    def step() -> Tensor:
        optimizer.zero_grad()
        loss = functional.cross_entropy(module(image), label)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return loss.detach()

    return step


def check_equal_gradients(modules: Mapping[str, nn.Module], image: Tensor, label: Tensor) -> None:
    """Refuses to compare modules that do not learn the same; dropout draws the same numbers."""
    gradients = []
    for module in modules.values():
        torch.manual_seed(0)
        functional.cross_entropy(module(image), label).backward()  # type: ignore[no-untyped-call]
        gradients.append([parameter.grad for parameter in module.parameters()])
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def measured(name: str, batch: int, size: int, channels_last: bool, rounds: int) -> Table:
    """One network in one layout."""
    modules = pair(name)
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(batch, 3, size, size, generator=generator)
    label = torch.randint(1000, (batch,), generator=generator)
    if channels_last:
        image = image.contiguous(memory_format=torch.channels_last)
        for module in modules.values():
            module.to(memory_format=torch.channels_last)
    check_equal_gradients(modules, image, label)
    steps = {side: training_step(module, image, label) for side, module in modules.items()}
    for step in steps.values():
        step()
    found = calls(steps, rounds)
    layout = "channels_last" if channels_last else "eager"
    title = f"{name}, training step, batch {batch} of {size}, {layout}, {found.seconds(OURS):.2f} s"
    return Table(title, THEIRS, compared(found, THEIRS, {OURS: at_most(1.02)}))


def main(given: Sequence[str] | None = None) -> list[Table]:
    parser = argparse.ArgumentParser(prog="bench training_step", description=__doc__)
    parser.add_argument("--models", nargs="+", default=["resnet50", "googlenet"])
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args(given)
    torch.set_num_threads(1)
    tables: list[Table] = []
    for name in options.models:
        for channels_last in (False, True):
            size = 224 if name == "googlenet" else 160
            table = measured(name, options.batch, size, channels_last, options.rounds)
            tables.append(show(table))
    return tables


if __name__ == "__main__":
    main()
