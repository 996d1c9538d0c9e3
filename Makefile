# make quickstart   set up everything and measure a scaling law
# make test         lint, types and the default tests          make test-all     the slow ones too
# make test-slurm   fault tests on a real SLURM (root)         make bench        speed, as ratios in one run
# make test-durations   the default tests, and how long the dearest of them take
# make test-gpu    what only a GPU can show
# make docs         site/ from docs/, searched without network
# make test-page    the report's page in a headless Chromium, which apt installs (root)
# make test-tools   exports and mirrors, read back by W&B, TensorBoard and MLflow; spreadsheets: pip installs what they want
PYTHON ?= python3
BIN := .venv/bin

.PHONY: quickstart test test-all test-durations test-slurm test-gpu test-page test-tools lint bench docs clean
.DELETE_ON_ERROR:

.venv/.stamp: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15) and "Python 3.11 to 3.14 is needed: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --use-pep517 -c constraints.txt -e '.[dev]'
	touch $@

quickstart: .venv/.stamp
	$(BIN)/scaling run sweep=quickstart
	$(BIN)/scaling report results/quickstart
	@echo "to go on: source $(BIN)/activate, or call $(BIN)/scaling; scaling --help lists the verbs"

lint: .venv/.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: lint
	$(BIN)/pytest -n 2 --ignore=tests/slurm

test-durations: .venv/.stamp
	$(BIN)/pytest -n 2 --ignore=tests/slurm --durations=60

test-all: lint
	$(BIN)/pytest -m ''

test-slurm: .venv/.stamp
	bash tests/slurm/cluster.sh install --acct
	$(BIN)/pytest -m '' tests/slurm
	SCALING_SLURM_ACCOUNTING=1 $(BIN)/pytest -m '' tests/slurm

docs: .venv/.stamp
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

test-page: .venv/.stamp
	command -v chromium >/dev/null || apt-get install -y -qq --no-install-recommends chromium
	$(BIN)/pytest -m '' tests/page

test-tools: .venv/.stamp
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[excel,mlflow,tensorboard,wandb]'
	$(BIN)/pytest -m '' tests/analysis/export tests/analysis/table tests/commands/test_mirror.py

test-gpu: .venv/.stamp
	$(BIN)/pytest -m '' tests/gpu

bench: .venv/.stamp
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(BIN)/python -m tests.benchmarks

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis
