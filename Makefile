# `make demo` serves the demo, `make test` runs the tests, `make style` checks the style; each installs what it needs.
PYTHON ?= python3
BIN = .venv/bin

demo: .venv/demo
	$(BIN)/python app.py

test: .venv/dev
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest $(TESTS)

style: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.venv/demo: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@

.venv/dev: requirements-dev.txt requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	touch $@ .venv/demo

.PHONY: demo test style
