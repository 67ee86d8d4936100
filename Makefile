# Works from any folder (make -C PATH demo), as root or not, and twice in a row.
ROOT := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
PYTHON ?= python3
# A CPU or another CUDA build of torch: make demo TORCH='torch==2.13.0+cpu --index-url ...'
TORCH ?= torch==2.13.0
VENV := $(ROOT)/.venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SPARK := $(ROOT)/.venv-spark
export ABP_HOME ?= $(ROOT)/.abp
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo spark spark-cluster test calibrate bench-arms bench-service bench-dashboard bench-analysis serve dashboard gallery airflow check lint types format wheel clean

help: ## Show this list.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  make \1|/' | column -t -s '|'

demo: $(READY) ## Run a real experiment end to end, to Table 2.
	@$(BIN)/abp demo

dashboard: $(READY) ## Open the dashboard on what the demo made; without it, a small demo is made first.
	@$(BIN)/abp status --json | grep -q '"experiment"' || $(BIN)/abp demo --dataset synthetic
	@$(BIN)/abp dashboard

gallery: $(READY) ## Take a picture of every page of the dashboard on what the demo made, into docs/gallery.md.
	@$(BIN)/abp status --json | grep -q '"experiment"' || $(BIN)/abp demo
	@cd $(ROOT) && $(BIN)/python -m tests.dashboards.pictures $(ABP_HOME)

serve: $(READY) ## Serve the running experiments over HTTP on this machine, without tokens; Ctrl-C stops it.
	@$(BIN)/abp serve --open

airflow: $(READY) ## Start Airflow on this machine, which runs the experiments; Ctrl-C stops it.
	@$(BIN)/abp airflow

test: $(READY) ## Run the tests.
	@cd $(ROOT) && $(BIN)/python -m pytest

calibrate: $(READY) ## Measure how often the statistics are wrong, into docs/calibration.md (about ten minutes).
	@cd $(ROOT) && $(BIN)/python -m benchmarks.calibration --output docs/calibration.md

bench-arms: $(READY) ## Measure training and evaluation beside RecBole and Cornac, into docs/speed.md.
	@cd $(ROOT) && $(BIN)/python -m benchmarks.arms --output docs/speed.md

bench-service: $(READY) ## Measure the service beside a handler that does nothing, into docs/service.md (about fifteen minutes).
	@cd $(ROOT) && $(BIN)/python -m benchmarks.service --output docs/service.md

bench-dashboard: $(READY) ## Measure how fast the dashboard's pages open over 25 million exposed users, into docs/dashboard-speed.md.
	@cd $(ROOT) && $(BIN)/python -m benchmarks.dashboard --output docs/dashboard-speed.md

spark: ## Make the environment of Spark, in .venv-spark (once, about two minutes); it needs Java 17.
	@test -x $(SPARK)/bin/python || $(PYTHON) -m venv $(SPARK)
	@cd $(ROOT) && $(SPARK)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[warehouse]' 'ibis-framework[pyspark]' pyspark==4.0.5 hypothesis psutil pytest

spark-cluster: spark ## Start a master of Spark and two workers on this machine; Ctrl-C stops them.
	@cd $(ROOT) && $(SPARK)/bin/python -m benchmarks.spark

bench-analysis: $(READY) ## Measure the analysis over up to 25 million users beside tea-tasting, GrowthBook and a bare scan, into docs/scale.md.
	@cd $(ROOT) && $(BIN)/python -m benchmarks.analysis --output docs/scale.md

check: lint types test ## What CI runs: lint, types, tests.

lint: $(READY) ## Check style.
	@cd $(ROOT) && $(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(READY) ## Check types.
	@cd $(ROOT) && $(BIN)/mypy

format: $(READY) ## Mend style.
	@cd $(ROOT) && $(BIN)/ruff check --fix . && $(BIN)/ruff format .

wheel: $(READY) ## Build the wheel into dist/.
	@cd $(ROOT) && $(BIN)/python -m build --wheel

clean: ## Remove the environment; data and results in .abp stay.
	@rm -rf $(VENV) $(SPARK)

# torch comes first and by itself: a resolver that may choose takes gigabytes of CUDA packages.
$(READY): $(ROOT)/pyproject.toml $(ROOT)/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Python {sys.version.split()[0]} is too old; 3.11 or newer is required: make PYTHON=python3.11")'
	@echo "making the environment in $(VENV) (once, about two minutes)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet $(TORCH)
	@cd $(ROOT) && $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train,serve,dashboard,dashboard-oidc,postgres,warehouse,airflow,celery,kubernetes,dev]'
	@touch $@
