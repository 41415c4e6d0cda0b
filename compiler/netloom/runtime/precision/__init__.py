"""Models of lower precision: made by ONNX Runtime's tools, let through by an accuracy gate."""

from netloom.runtime.precision.lower import CALIBRATION_SAMPLES as CALIBRATION_SAMPLES
from netloom.runtime.precision.lower import Lowered as Lowered
from netloom.runtime.precision.lower import Precision as Precision
from netloom.runtime.precision.lower import Request as Request
from netloom.runtime.precision.lower import lower as lower
