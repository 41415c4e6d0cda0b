"""Where samples come from: one class a scheme of data strings."""

from netloom.train.sources import digits as digits
from netloom.train.sources.dataset import Dataset as Dataset
from netloom.train.sources.dataset import DataSource as DataSource
from netloom.train.sources.dataset import Field as Field
from netloom.train.sources.dataset import Samples as Samples
from netloom.train.sources.naming import Data as Data
from netloom.train.sources.naming import resolve as resolve
