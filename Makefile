# Every target makes .venv when it is missing and is quick when it is there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CODE := tf_deepbayes train attack detect reproduce benchmark tests

# One process a core, at most four: each holds up to 4 GB. The tests of a file share its runs.
PARALLEL := -n auto --maxprocesses 4 --dist loadfile

.PHONY: venv demo test kill lint format bench study study-train docs dist clean

venv: $(VENV)/.installed

$(VENV)/.installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[cpu,demo,dev]"
	touch $@

demo: venv
	$(BIN)/python reproduce/demo.py

test: venv
	$(BIN)/python -m pytest $(PARALLEL)

# Kills the apps at random moments, 36 times; some ten minutes.
kill: venv
	$(BIN)/python -m tests.kill_apps

lint: venv
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports --no-logo

format: venv
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

bench: venv
	$(BIN)/python -m benchmark.bench

# The study of a profile in reproduce/profiles, such as small. It continues where it stopped.
PROFILE ?= small
EXECUTOR ?= local
SNAKEMAKE = $(BIN)/snakemake --snakefile reproduce/Snakefile --profile reproduce/workflow/$(EXECUTOR)

study: $(VENV)/.study
	$(SNAKEMAKE) --configfile reproduce/profiles/$(PROFILE).yaml

# Training alone, at low priority.
study-train: PROFILE = full
study-train: $(VENV)/.study
	nice -n 19 $(SNAKEMAKE) --configfile reproduce/profiles/$(PROFILE).yaml trained

$(VENV)/.study: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[study]"
	touch $@

# The site is in site/, and any mistake in the pages is an error.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

$(VENV)/.docs: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[docs]"
	touch $@

# Wheel and source archive in dist/, checked as the package index checks them.
dist: $(VENV)/.dist
	rm -rf build dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/twine check --strict dist/*

$(VENV)/.dist: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check build twine
	touch $@

clean:
	rm -rf $(VENV) build dist site *.egg-info .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
