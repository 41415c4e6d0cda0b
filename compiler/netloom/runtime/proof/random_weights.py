"""Weights for a proof without training."""

from typing import Any

import numpy

from netloom.emit.weights import Weights, expected
from netloom.ir.graph import Graph

Array = numpy.ndarray[Any, Any]


def randomised(graph: Graph, seed: int = 0) -> Weights:
    """Random weights; batch norm's statistics and scales are random too.

    Their size keeps a deep network between two ends: with larger weights (2 / fan_in, constants of
    0.5) rounding grows until MobileNetV3 differs from itself by 1e-3 from one precision to the
    next, with smaller ones the input no longer matters to EfficientNet.
    """
    generator = numpy.random.default_rng(seed)
    weights: dict[str, Array] = {}
    for name, parameter in expected(graph).items():
        if parameter.dtype != "float32":
            weights[name] = numpy.zeros(parameter.shape, parameter.dtype)
        elif len(parameter.shape) > 1:
            fan_in = numpy.prod(parameter.shape[1:])
            drawn = generator.normal(0, (1.7 / fan_in) ** 0.5, parameter.shape)
            weights[name] = drawn.astype("float32")
        else:
            is_factor = name.endswith(("running_var", ".weight"))
            low, high = (0.5, 1.5) if is_factor else (-0.2, 0.2)
            weights[name] = generator.uniform(low, high, parameter.shape).astype("float32")
    return weights
