"""Runs all measurements: `make bench`."""

from bench import check_process, onnx_emission

for measurement in (check_process, onnx_emission):
    measurement.main()
