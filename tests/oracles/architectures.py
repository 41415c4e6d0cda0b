"""Networks of the literature with one channel a layer, which leaves receptive fields as they are.

Where torchvision has the network its own code is taken, thinned.
"""

import torch
import torchvision
from torch import nn


def lenet() -> nn.Module:
    """LeCun et al. 1998, up to S4."""
    return nn.Sequential(nn.Conv2d(1, 1, 5), nn.AvgPool2d(2), nn.Conv2d(1, 1, 5), nn.AvgPool2d(2))


def alexnet() -> nn.Module:
    """The convolutions of torchvision's AlexNet."""
    with torch.device("meta"):
        network = torchvision.models.alexnet()
    return _thin(network.features)


def vgg16() -> nn.Module:
    """The convolutions of torchvision's VGG-16."""
    with torch.device("meta"):
        network = torchvision.models.vgg16(init_weights=False)
    return _thin(network.features)


def resnet18() -> nn.Module:
    """torchvision's ResNet-18 without what looks at the whole map."""
    with torch.device("meta"):
        network = torchvision.models.resnet18()
    return _thin(nn.Sequential(*list(network.children())[:-2]))


def patchgan() -> nn.Module:
    """Isola et al. 2017: three layers of stride 2, two of stride 1."""
    return nn.Sequential(
        *(nn.Conv2d(1, 1, 4, stride=2, padding=1) for _ in range(3)),
        *(nn.Conv2d(1, 1, 4, padding=1) for _ in range(2)),
    )


def pnet() -> nn.Module:
    """Zhang et al. 2016, the first stage."""
    return nn.Sequential(
        nn.Conv2d(1, 1, 3), nn.MaxPool2d(2, ceil_mode=True), nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3)
    )


def discriminator() -> nn.Module:
    """Radford et al. 2016: four layers of stride 2 and one that takes what is left."""
    return nn.Sequential(
        *(nn.Conv2d(1, 1, 4, stride=2, padding=1) for _ in range(4)), nn.Conv2d(1, 1, 4)
    )


def _thin(module: nn.Module) -> nn.Module:
    """The module with one channel in place of many."""
    for name, child in module.named_children():
        thin: nn.Module = _thin(child)
        if isinstance(child, nn.Conv2d):
            kernel, stride, padding = _pair(child.kernel_size), child.stride, child.padding
            assert not isinstance(padding, str)
            thin = nn.Conv2d(1, 1, kernel, _pair(stride), _pair(padding), bias=False)
        if isinstance(child, nn.BatchNorm2d):
            thin = nn.BatchNorm2d(1)
        setattr(module, name, thin)
    return module


def _pair(sides: tuple[int, ...]) -> tuple[int, int]:
    height, width = sides
    return height, width
