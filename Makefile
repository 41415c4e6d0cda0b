# Everything installs itself into .venv; `make demo` and `make test` work on a fresh clone.

PYTHON ?= python3
BIN := .venv/bin
# ONNX Runtime with CUDA also runs on a machine without a GPU; it has wheels for these platforms only.
RUNTIME := $(if $(filter Linux-x86_64,$(shell uname -s)-$(shell uname -m)),gpu,cpu)

.PHONY: demo test test-slow fuzz browser lint format bench golden tables docs clean

demo: .venv/ready
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash docs/demo.sh

test: .venv/ready
	$(BIN)/python -m pytest -n auto -m "not slow"

test-slow: .venv/ready
	$(BIN)/python -m pytest -n auto -m slow

# Needs a chromium, such as Debian's package; without one the tests are skipped and say so.
browser: .venv/ready
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[browser]' \
		|| echo "playwright cannot be installed here, so the page is not tried in a browser"
	$(BIN)/python -m pytest tests/browser

# Random networks against PyTorch: `make fuzz NETS=20000 SEED=7`. Without SEED, others every time.
NETS ?= 2000
SEED ?= $(shell date +%s)
fuzz: .venv/ready
	PYTHONPATH=tests $(BIN)/python tests/fuzz.py $(NETS) $(SEED)

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The quick form of all measurements, about 20 minutes; `.venv/bin/python -m bench depth` is one of them.
bench: .venv/ready
	$(BIN)/python -m bench

golden: .venv/ready
	$(BIN)/python -m pytest -n auto -m "not slow" --update-golden

tables: .venv/ready
	$(BIN)/python -m netloom.syntax.lalr > tables.tmp
	mv tables.tmp compiler/netloom/syntax/tables.py

docs: .venv/ready
	$(BIN)/python -m netloom.emit.reference > docs/reference.md
	$(BIN)/python -m netloom.diagnostics.catalogue > docs/diagnostics.md

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache runs demo-run dist

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "netloom needs Python 3.11 or newer: make PYTHON=python3.12")'
	@echo "Setting up .venv; PyTorch is several GB, so this takes a few minutes the first time."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar off -c constraints.txt -e '.[train,$(RUNTIME),dev]'
	@touch $@
