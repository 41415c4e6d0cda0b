"""The parts of the proof that a model equals its network; `runtime/verify.py` joins them."""
