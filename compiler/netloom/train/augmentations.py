"""Random changes to the training images; none of them changes their size.

An augmentation draws from the generator that it is given and from nothing else, so an image is a
function of the generator's seed. Those that only move what the image shows (`source`) are put
together where they follow one another: the image is sampled once, and blurred once.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, ClassVar

import numpy

from netloom.extras import need
from netloom.ir.declared import Declared, Reject, arg

if TYPE_CHECKING:
    from numpy.random import Generator

    from netloom.train.preprocessing import Array

# ruff: noqa: D102, ARG002  the base of the family documents its rules and their arguments
