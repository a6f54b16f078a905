PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo docs test test-slow test-pages mutants faults check

# Trains, attacks and shows four designs on the embedded digits: minutes on a CPU.
demo: .venv/installed
	$(BIN)/cktat demo

# Builds the site of the documents into build/docs/site, offline, and checks its links. It runs the tutorials: minutes.
docs: .venv/installed-docs
	$(BIN)/python -m docs.site.build

# Everything that must hold, in minutes. Two processes of one thread each are quicker than one of two.
test: check
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2

# The checks that take longer.
test-slow: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,docs,cluster,wandb,mlflow,trackio]' lightning accelerate fastapi uvicorn httpx
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 -m slow

# Every kind of page in a headless Chromium with axe-core; needs node, npm and chromium, and says so where they are not.
test-pages: .venv/installed
	npm ci --prefix tests/pages/browser --silent || echo "npm cannot install axe-core: the tests say why they are skipped"
	OMP_NUM_THREADS=1 $(BIN)/pytest -m slow -rs tests/pages

# Breaks the product on purpose and says what held, an hour: kills, bad input, mutated and malicious files, full disks.
faults: .venv/installed
	$(BIN)/python -m tests.faults.run

# Plants the faults listed in tests/mutants and says which of them no test notices. ONLY="words" takes some of them.
mutants: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python tests/mutants/run.py $(ONLY)

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

.venv/installed-docs: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	touch $@
