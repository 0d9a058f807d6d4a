# Every verb that people and CI use. The first that needs it makes the virtual environment in .venv.
PYTHON ?= python3.11
BIN := .venv/bin
RUN := HF_HUB_OFFLINE=1 HF_HUB_DISABLE_TELEMETRY=1 $(BIN)/framewire
.PHONY: setup demo test check train score mixture browser lock soak clean

setup: .venv/ready models/current

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# The released model: its difference to the packaged encoder, joined to it (under a minute).
models/current: | .venv/ready
	if [ -d training/released ]; then $(RUN) models install; else $(RUN) train --promote; fi

demo: setup
	$(RUN) serve

train: setup
	$(RUN) train --promote

score: setup
	@test -n "$(IN)" || { echo 'Usage: make score IN=articles/ OUT=out.jsonl TARGET="NATO expansion"'; exit 2; }
	$(RUN) score $(IN) -o $(or $(OUT),out.jsonl) --target "$(or $(TARGET),NATO expansion)"

# The rows of a release: ours and, joined to their texts in the folder TEXTS, the protected ones (annotations/README.md).
mixture: .venv/ready
	@test -n "$(TEXTS)" || { echo 'Usage: make mixture TEXTS=folder OUT=rows.jsonl'; exit 2; }
	$(RUN) annotations join annotations/protected "$(TEXTS)" --force -o .joined.jsonl
	$(RUN) annotations mix .joined.jsonl --keep 0.3 --keep-empty 0.4 -o "$(or $(OUT),rows.jsonl)"
	rm .joined.jsonl

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(RUN) annotations check

test: .venv/ready
	HF_HUB_OFFLINE=1 $(BIN)/pytest

# The long versions: 200 moments of each fault, 100,000 cases of bad input, 50 swaps, 20 poisonings of each kind, five minutes of 200 clients.
SIZES := FRAMEWIRE_MOMENTS=200 FRAMEWIRE_CASES=100000 FRAMEWIRE_SWAPS=50 FRAMEWIRE_POISONED=20
soak: .venv/ready
	HF_HUB_OFFLINE=1 $(SIZES) $(BIN)/pytest -s tests/test_faults.py tests/test_fuzz.py tests/test_swaps.py tests/test_poison.py
	HF_HUB_OFFLINE=1 $(SIZES) $(BIN)/pytest -s -m slow

# Renews requirements.lock after a change of pyproject.toml.
lock:
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --extra dev --strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header --no-annotate \
	  --output-file requirements.lock pyproject.toml
	sed -i "s/+cpu$$//" requirements.lock

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache
