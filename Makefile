# Everything the laboratory needs, from a bare checkout: `make test`, `make lab`, `make report`.
# PYTHON is only used to create the environment; afterwards all commands run inside VENV.

PYTHON ?= python3
VENV ?= .venv
PROFILE ?= classroom
PYTEST_ARGS ?=
# For `make app`: run folders, or folders of them, and the page to write.
RUN ?=
APP ?= build/app.html
REPORT_ARGS ?=
# For `make gpu` and `make gpu-pack`: what is carried to the GPU, its minutes, and the version of its Python.
CARRY ?= gpu-carry
MINUTES ?= 9
GPU_PYTHON ?= 3.12
# Extra arguments of pip for torch, e.g. an index that holds CPU builds (see binder/requirements.txt).
TORCH_ARGS ?=

# Threads that wait for work sleep: spinning, as is the default, makes two programs at once crawl.
export OMP_WAIT_POLICY ?= PASSIVE

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
STAMP := $(VENV)/.set-up
LOCKS := requirements.lock requirements-offline.lock
DOCS_STAMP := $(VENV)/.set-up-docs
DOCS_BUILDER ?= html
SOURCES := randprune_lab tests notebooks docs
EXTRAS := lab,dask,dev

.DEFAULT_GOAL := help
.PHONY: help setup test fuzz lint format test-browser lab app report results docs gpu gpu-pack lock lowest dist-check audit clean

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

setup: $(STAMP) ## create the environment in VENV (.venv) with the locked versions

# The stamp comes last: a set-up that was interrupted is simply done again.
$(STAMP): $(LOCKS) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo \
	  "randprune_lab needs Python 3.11 or newer; name one: make setup PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo \
	  "No virtual environment could be made; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@# torch first and on its own: another package's wish for "any torch" can pull gigabytes of CUDA.
	$(PIP) install --quiet $(TORCH_ARGS) "$$(grep '^torch==' requirements.lock)"
	$(PIP) install --quiet -r requirements.lock
	$(PIP) install --quiet --no-deps --require-hashes -r requirements-offline.lock
	$(PIP) install --quiet --no-deps -e .
	@touch $(STAMP)

test: lint ## lint, then run the tests (PYTEST_ARGS="-k masks")
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(PYTEST_ARGS)

fuzz: setup ## try other random inputs in the tests of properties than every run of the tests tries
	$(BIN)/python -m pytest -m hypothesis --hypothesis-profile=other -n auto --maxprocesses 4 --dist loadfile $(PYTEST_ARGS)

format: setup ## fix what can be fixed automatically: style, import order, outputs in notebooks
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/python tests/support/strip_outputs.py notebooks

lint: setup ## check style and types
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy

# With the pages of reports/smoke and of the site, where there are any.
test-browser: setup ## drive JupyterLab and the report's pages in a Chromium; gets one if there is none
	$(BIN)/python tests/browser/chromium.py
	$(BIN)/python -m pytest -m browser tests/browser -n auto --maxprocesses 4 $(PYTEST_ARGS)

lab: setup ## open JupyterLab on the notebooks
	$(BIN)/jupyter lab notebooks

app: setup ## make the explorers' page and open it: masks, recorded results, your runs (RUN=runs/first)
	$(BIN)/randprune app $(RUN) --out $(APP)
	@$(BIN)/python -m webbrowser "file://$(abspath $(APP))" || true

report: setup ## run all notebooks into reports/PROFILE (PROFILE=smoke, REPORT_ARGS="--check")
	$(BIN)/randprune report --profile $(PROFILE) --out reports/$(PROFILE) $(REPORT_ARGS)

results: setup ## write what docs/results.md says of the records, after one has grown
	PYTHONPATH=tests $(BIN)/python -m support.results_page

# With the figures of reports/PROFILE, where there is such a report. Every warning is an error. Sphinx remembers what it
# read but not what it warned of: hence -E.
docs: $(DOCS_STAMP) ## build the site into build/docs/html (DOCS_BUILDER=linkcheck tries external links)
	$(BIN)/python -m sphinx -E -q -W --keep-going -c docs/site -b $(DOCS_BUILDER) -d build/docs/doctrees \
	  -D report_folder=reports/$(PROFILE) . build/docs/$(DOCS_BUILDER)
	@test $(DOCS_BUILDER) != html || $(BIN)/randprune app --out build/docs/html/app.html
	@test $(DOCS_BUILDER) != html || $(BIN)/python docs/site/check.py build/docs/html

# What only the site needs is installed when it is first built, not by `make setup`.
$(DOCS_STAMP): $(STAMP) requirements-docs.lock
	$(PIP) install --quiet -c requirements.lock -r requirements-docs.lock
	@touch $(DOCS_STAMP)

# On a machine without a network, with its own Python and PyTorch; what it lacks comes from CARRY. See docs/study.md.
gpu: ## spend MINUTES (9) of a GPU: CUDA tests, benches, a study; results in OUT (CARRY=, GLUE=, JOBS=)
	@test -n "$(OUT)" || { echo "make gpu needs the folder of its results: make gpu OUT=DIR" >&2; exit 1; }
	PYTHONPATH="tests$${PYTHONPATH:+:$$PYTHONPATH}" $(PYTHON) -m gpu.day --out "$(OUT)" --carry "$(CARRY)" --minutes $(MINUTES) \
	  $(if $(GLUE),--glue "$(GLUE)") $(if $(JOBS),--jobs $(JOBS))

gpu-pack: setup ## pack what `make gpu` needs into CARRY (gpu-carry), with GLUE's files (GLUE=DIR)
	PYTHONPATH=tests $(BIN)/python -m gpu.pack "$(CARRY)" --python $(GPU_PYTHON) $(if $(GLUE),--glue "$(GLUE)")

# A fresh environment, so that only what the project asks for is locked; the two offline packages
# would bring dependencies that nothing here imports, hence their own file with --no-deps.
lock: ## rebuild requirements.lock and requirements-docs.lock from pyproject.toml
	$(PYTHON) -m venv --clear build/lock
	build/lock/bin/python -m pip install --quiet $(TORCH_ARGS) torch
	build/lock/bin/python -m pip install --quiet -e ".[$(EXTRAS)]"
	build/lock/bin/python -m pip freeze --exclude-editable > build/frozen
	sed 's/^\(torch==[^+]*\)+.*/\1/' build/frozen > requirements.lock
	build/lock/bin/python -m pip install --quiet -c requirements.lock -e ".[docs]"
	build/lock/bin/python -m pip freeze --exclude-editable | grep -vixFf build/frozen > requirements-docs.lock
	rm -rf build/lock build/frozen

# Of torch the version TORCH, by default the oldest too. TORCH_ARGS can name an index of CPU builds, which are small.
lowest: ## run the tests with the oldest versions that pyproject.toml allows (TORCH=2.13.0 for another torch)
	$(PYTHON) -m venv --clear build/lowest
	grep -oE '"[a-z0-9-]+(\[[a-z]+\])?>=[0-9.]+"' pyproject.toml | sed -E '/setuptools/d; s/"|\[[a-z]+\]//g; s/>=/==/' \
	  | sed -E 's/^torch==.*/torch==$(or $(TORCH),&)/; s/==torch==/==/' > build/lowest.txt
	build/lowest/bin/python -m pip install --quiet $(TORCH_ARGS) "$$(grep '^torch==' build/lowest.txt)"
	build/lowest/bin/python -m pip install --quiet -c build/lowest.txt -e ".[$(EXTRAS)]"
	build/lowest/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements-offline.lock
	build/lowest/bin/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(PYTEST_ARGS)

dist-check: ## build wheel and sources, install the wheel alone, and do a search with it (minutes)
	$(PYTHON) tests/dist_check.py build/dist-check $(TORCH_ARGS)

# In an environment of its own, so that what audits is not among what is audited.
audit: ## ask for known weaknesses in the locked versions (needs a network)
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip install --quiet pip-audit
	build/audit/bin/pip-audit --strict --no-deps --disable-pip -r requirements.lock
	build/audit/bin/pip-audit --strict --no-deps --disable-pip --require-hashes -r requirements-offline.lock

clean: ## remove reports, caches and build products; the environment stays
	rm -rf reports build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find $(SOURCES) -name __pycache__ -o -name .ipynb_checkpoints | xargs rm -rf
