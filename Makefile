# make demo: trains four models and writes runs/demo/report.html        make test: runs the tests
# Uses uv where it is installed, venv and pip where it is not; both from uv.lock (requirements.txt is exported from it).

PYTHON ?= python3
BIN := .venv/bin
WORKERS := -n auto --maxprocesses 4 --dist worksteal

.PHONY: demo test test-all lint setup lock clean

demo: .venv/ready
	$(BIN)/python -m sample.demo

test: .venv/ready
	$(BIN)/python -m pytest -q $(WORKERS)

test-all: .venv/ready
	$(BIN)/python -m pytest -q $(WORKERS) -m "slow or not slow"

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

setup: .venv/ready

.venv/ready: pyproject.toml uv.lock requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "artzoo needs Python 3.11 or newer; say which one with make PYTHON=python3.12 ..."; exit 2; }
	@if command -v uv >/dev/null; then \
	  uv sync --locked --extra music --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')"; \
	else \
	  $(PYTHON) -m venv .venv && $(BIN)/python -m pip install --disable-pip-version-check -r requirements.txt && \
	  $(BIN)/python -m pip install --disable-pip-version-check --no-deps -e .; \
	fi
	@touch $@

lock:
	uv lock
	uv export --quiet --locked --no-hashes --no-header --no-emit-project --extra music --output-file requirements.txt

clean:
	rm -rf .venv runs .cache .pytest_cache .ruff_cache
