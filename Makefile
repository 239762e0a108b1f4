PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Where it is set, every command that a test starts would compile the whole package again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: install demo demo-fast demo-long test test-slow test-live test-integrations test-browser check format house mutants-table bench bench-gate clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "installing into $(VENV): a few minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev,make,mcp,train]'
	touch $@

demo: install
	$(BIN)/python -m recipes.demo --seed 1 --out runs/loop

demo-long: install
	$(BIN)/python -m recipes.demo --longer 2600 --seed 1 --out runs/longer

demo-fast: install
	$(BIN)/astra demo --out runs/demo

test: install
	$(BIN)/python -m pytest -n 2 --dist loadfile --durations 40

test-slow: install
	$(BIN)/python -m pytest -m slow

test-live: install
	$(BIN)/python -m pytest -m live

test-integrations: install
	$(BIN)/python -m pytest -m integrations

test-browser: install
	$(BIN)/python -m pytest -m browser -n 0

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports

house: install
	$(BIN)/python tools/house.py

mutants-table: install
	$(BIN)/python -m tests.support.breaking

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install
	$(BIN)/python -m benchmarks.run

bench-gate: install
	$(BIN)/python -m benchmarks.gate

clean:
	rm -rf $(VENV) runs build dist bench.json .pytest_cache .ruff_cache .import_linter_cache
