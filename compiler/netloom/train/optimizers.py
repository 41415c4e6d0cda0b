"""How gradients change the weights. Each optimizer is PyTorch's of that name."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from netloom.ir.declared import Declared, Reject, arg

if TYPE_CHECKING:
    import torch

# ruff: noqa: D102  the base of the family documents its rules


class Optimizer(Declared, family="optimizer"):
    """A rule that changes the weights after each batch; every one has a learning rate."""

    required_rules = ("create",)

    lr: float

    def check(self) -> None:
        """Raises `Reject` where arguments contradict each other."""

    def create(self, weights: "Iterable[torch.Tensor]") -> "torch.optim.Optimizer":
        """PyTorch's optimizer for these weights."""
        raise NotImplementedError


class Sgd(Optimizer, name="sgd"):
    """Stochastic gradient descent, with momentum if wanted (torch.optim.SGD)."""

    lr: float = arg("learning rate", above=0)
    momentum: float = arg("share of the last step kept in the next", default=0.0, minimum=0)
    weight_decay: float = arg("factor of the weights added to the gradient", default=0.0, minimum=0)
    nesterov: bool = arg("look ahead along the momentum", default=False)

    def check(self) -> None:
        if self.nesterov and self.momentum == 0:
            raise Reject("E206", "`nesterov` needs a momentum", "nesterov", "`momentum=0.9`")

    def create(self, weights: "Iterable[torch.Tensor]") -> "torch.optim.Optimizer":
        from torch.optim import SGD

        return SGD(
            weights,
            lr=self.lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
        )


class Adam(Optimizer, name="adam"):
    """Steps scaled by running means of the gradient and its square (torch.optim.Adam)."""

    lr: float = arg("learning rate", default=1e-3, above=0)
    beta1: float = arg("decay of the mean of the gradient", default=0.9, minimum=0, maximum=1)
    beta2: float = arg("decay of the mean of its square", default=0.999, minimum=0, maximum=1)
    eps: float = arg("added to the divisor", default=1e-8, above=0)
    weight_decay: float = arg("factor of the weights added to the gradient", default=0.0, minimum=0)

    def check(self) -> None:
        _check_decays(self.beta1, self.beta2)

    def create(self, weights: "Iterable[torch.Tensor]") -> "torch.optim.Optimizer":
        from torch.optim import Adam

        betas = (self.beta1, self.beta2)
        return Adam(weights, lr=self.lr, betas=betas, eps=self.eps, weight_decay=self.weight_decay)


class AdamW(Optimizer, name="adamw"):
    """Adam whose weight decay does not pass through the gradient (torch.optim.AdamW)."""

    lr: float = arg("learning rate", default=1e-3, above=0)
    beta1: float = arg("decay of the mean of the gradient", default=0.9, minimum=0, maximum=1)
    beta2: float = arg("decay of the mean of its square", default=0.999, minimum=0, maximum=1)
    eps: float = arg("added to the divisor", default=1e-8, above=0)
    weight_decay: float = arg("share of the weights lost a step, times lr", default=0.01, minimum=0)

    def check(self) -> None:
        _check_decays(self.beta1, self.beta2)

    def create(self, weights: "Iterable[torch.Tensor]") -> "torch.optim.Optimizer":
        from torch.optim import AdamW

        betas = (self.beta1, self.beta2)
        return AdamW(weights, lr=self.lr, betas=betas, eps=self.eps, weight_decay=self.weight_decay)


class RmsProp(Optimizer, name="rmsprop"):
    """Steps scaled by a running mean of the squared gradient (torch.optim.RMSprop)."""

    lr: float = arg("learning rate", default=0.01, above=0)
    alpha: float = arg("decay of the mean of squares", default=0.99, minimum=0, maximum=1)
    eps: float = arg("added to the divisor", default=1e-8, above=0)
    momentum: float = arg("share of the last step kept in the next", default=0.0, minimum=0)
    weight_decay: float = arg("factor of the weights added to the gradient", default=0.0, minimum=0)

    def create(self, weights: "Iterable[torch.Tensor]") -> "torch.optim.Optimizer":
        from torch.optim import RMSprop

        return RMSprop(
            weights,
            lr=self.lr,
            alpha=self.alpha,
            eps=self.eps,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
        )


def _check_decays(beta1: float, beta2: float) -> None:
    """A mean with a decay of exactly 1 never sees a gradient, and its correction divides by 0."""
    for name, beta in (("beta1", beta1), ("beta2", beta2)):
        if beta == 1:
            raise Reject("E206", f"`{name}` must be less than 1", name)
