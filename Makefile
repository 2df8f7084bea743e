# `make install` fills .venv and starts nothing, `make demo` serves the demo, `make check` is what one runs while one
# works, `make test` runs all tests, `make soak` tries what takes minutes; each installs what it needs.
PYTHON ?= python3
BIN = .venv/bin
PYTEST = HF_HUB_OFFLINE=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

demo: .venv/demo
	$(BIN)/python app.py

install: .venv/train

test: .venv/dev
	$(PYTEST) $(TESTS)

check: style
	$(PYTEST) -m "not slow"

soak: .venv/dev
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python tests/soak_kill.py --kills 50
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python tests/soak_page.py
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python tests/soak_disk.py
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python tests/soak_labels.py --count 2000
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python tests/soak_reader.py --count 10000

style: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/demo: requirements.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -e .
	touch $@

.venv/train: .venv/demo
	$(BIN)/python -m pip install --quiet -e ".[train]"
	touch $@

# All that it needs is there, but for uvloop and httptools, with which the demo would be tested on another server.
TRACKIO = trackio>=0.43,<0.44

.venv/dev: requirements.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -e ".[dev]"
	$(BIN)/python -m pip install --quiet --no-deps "$(TRACKIO)"
	touch $@ .venv/demo .venv/train

# How the embedded models were made: see recipes/.
embedded-models mixture: .venv/dev
	$(MAKE) --file recipes/embedded-models.mk $@

.PHONY: demo install test check soak style embedded-models mixture
