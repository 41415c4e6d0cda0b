"""Runs all measurements: `make bench`."""

from bench import analysis, check_process, front_end, growth, onnx_emission

for measurement in (check_process, front_end, analysis, growth, onnx_emission):
    measurement.main()
