# Every target makes and fills .venv by itself where it is not there. Needs Python 3.11 or newer and make.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
RUNNABLE := .venv/runnable
INSTALLED := .venv/installed
DOCUMENTED := .venv/documented

.PHONY: install demo test test-slow test-failed check bench gpu docs notebooks clean

install: $(INSTALLED)

$(RUNNABLE): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) --editable .
	touch $@

$(INSTALLED): $(RUNNABLE)
	$(PIP) --editable '.[dev,attack,attest,aws,cma,deepinv,diffusion,grpc,hf,http2,ray,serve,tensorboard,train]'
	touch $@

$(DOCUMENTED): $(RUNNABLE)
	$(PIP) --editable '.[docs,serve]'
	touch $@

demo: $(RUNNABLE)  ## tune and certify on real digits, with a table at the end (about 5 minutes)
	$(BIN)/python -m experiments.demo.run

test: install  ## all tests but the slow ones
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

test-slow: install  ## longer statistics
	$(BIN)/python -m pytest -m slow --numprocesses 2 --dist loadfile

test-failed: install  ## what failed the last time, one after the other
	$(BIN)/python -m pytest -m '' --last-failed --last-failed-no-failures none

check: install  ## format, lint, types
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

bench: install  ## figures that we claim, written as JSON beside each script
	$(BIN)/python -m experiments.throughput.run
	$(BIN)/python -m experiments.throughput.peers
	$(BIN)/python -m experiments.remote.run
	$(BIN)/python -m experiments.remote.over_grpc
	$(BIN)/python -m experiments.sequential.run
	$(BIN)/python -m experiments.certification.run
	$(BIN)/python -m experiments.acceptance.run
	$(BIN)/python -m experiments.allocation.run
	$(BIN)/python -m experiments.plan.run
	$(BIN)/python -m experiments.replay.run
	$(BIN)/python -m experiments.looks.run
	$(BIN)/python -m experiments.serving.run
	$(BIN)/python -m experiments.ray.run
	$(BIN)/python -m experiments.training_steps.run
	$(BIN)/python -m experiments.training_steps.run --model cifar-vit --steps 3 --pairs 5
	$(BIN)/python -m experiments.training_steps.memory
	$(BIN)/python -m experiments.startup.run
	$(BIN)/python -m experiments.noise.run
	$(BIN)/python -m experiments.memory.run
	$(BIN)/python -m experiments.driver.run
	$(BIN)/python -m experiments.natural.cost

gpu: install  ## what a CUDA machine without a network needs, in dist/bbsmooth-gpu.tar.gz
	$(BIN)/python -m experiments.gpu.pack $(PACK)

docs: $(DOCUMENTED)  ## the site, in site/; a warning is an error
	$(BIN)/python -m bbsmooth.runs.schema docs/schemas
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

notebooks: $(DOCUMENTED)  ## execute docs/notebooks, each from a clean kernel
	$(BIN)/python docs/building/notebooks.py $(WRITE)

clean:
	rm -rf .venv runs site
