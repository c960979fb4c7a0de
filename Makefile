# The commands of the project; `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 5000
# Nothing that runs here reports to anybody.
export RAY_USAGE_STATS_ENABLED := 0
export MLFLOW_DISABLE_TELEMETRY := true
export DVC_NO_ANALYTICS := 1
export DO_NOT_TRACK := 1

.DEFAULT_GOAL := help
.PHONY: help setup repro quick captions test test-fast fuzz lint docs ui plan status search benchmark publish lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(VENV)/.installed ## make .venv: the pinned dependencies and the project

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else \
	  f"error: Python {v[0]}.{v[1]} found; 3.11 to 3.13 is needed: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	@echo "Setting up $(VENV): a few minutes, once"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

repro: setup ## run the whole pipeline: data, sweep, report (about nine minutes on two cores)
	@$(BIN)/python -m experiments check
	@mkdir -p .cache && touch .cache/started
	@# A sweep that ended with failed trials has written its results; the report shows them, and the gaps.
	@PATH="$(CURDIR)/$(BIN):$$PATH"; export PATH; dvc repro || { \
	  [ experiments/results.csv -nt .cache/started ] && dvc repro --quiet --single-item report && echo \
	  "error: some trials are not done, reports/index.html shows the others: 'make repro' tries them again" >&2; exit 1; }
	@echo "The tables, figures and the page that shows them all: reports/index.html"

# The stages of the pipeline with other settings, which params.yaml need not be changed for.
define stages
@$(BIN)/python -m experiments check $(SETTINGS)
@$(BIN)/python -m experiments data download $(SETTINGS)
@$(BIN)/python -m experiments data prepare $(SETTINGS)
@$(BIN)/python -m experiments data split $(SETTINGS)
@$(BIN)/python -m experiments run $(SETTINGS)
@rm -rf reports/tables reports/figures reports/plots
@$(BIN)/python -m reports
endef

quick: SETTINGS = --set profile=quick
quick: setup ## see the whole way, data to report, in about two minutes; it proves nothing
	$(stages)
	@echo "The tables, figures and the page that shows them all: reports/index.html"

captions: SETTINGS = --set dataset=$(or $(DATASET),shapes) --set profile=captions
captions: setup ## the same for captions of scenes that are drawn here (DATASET=emoji: of emoji; about 40 minutes on two cores)
	$(stages)
	@echo "The tables, figures and the pages that show them all: reports/index.html, reports/figures/examples.html"

test: setup ## run every test (about twenty minutes on two cores)
	@$(BIN)/python -m pytest -n 2 --dist worksteal

test-fast: setup ## run the tests that take seconds
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

fuzz: setup ## try to break the project: bad settings, results, files, networks, kills (about an hour on two cores)
	@$(BIN)/python -m pytest -n 2 --dist worksteal tests/fuzz --fuzz

lint: setup ## check style, format and types, and the rules of the house, the pipeline and the pages
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/python -m mypy
	@$(BIN)/python -m pytest tests/test_house.py tests/test_pipeline_truth.py tests/test_docs.py

docs: setup ## build the documentation and the API reference into site/; a dead link is an error
	@$(BIN)/zensical build --clean --strict
	@echo "The documentation: site/index.html"

ui: setup ## open MLflow's page on the results, for this machine alone (PORT=5000)
	@test -s mlflow.db || { echo "error: there is no mlflow.db here yet: make repro writes it" >&2; exit 2; }
	@echo "MLflow: http://127.0.0.1:$(PORT)   (Ctrl-C ends it)"
	@# It answers to its own names alone, so that no page on the web can read it through the browser.
	@MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow server --host 127.0.0.1 --port $(PORT) \
	  --allowed-hosts "127.0.0.1:$(PORT),localhost:$(PORT)" \
	  --backend-store-uri sqlite:///mlflow.db --artifacts-destination ./mlartifacts --workers 1

plan: setup ## print what `make repro` would train, and at what cost
	@$(BIN)/python -m experiments plan

status: setup ## print which trials are done, running, failed and missing
	@$(BIN)/python -m experiments status

search: setup ## search for settings on the validation part, in the spaces of params.yaml (SYSTEMS="bsvm softmax")
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/dvc repro --quiet split
	@$(BIN)/python -m experiments search $(or $(SYSTEMS),--all)

benchmark: setup ## measure how fast training, sweeps, data and records are, as ratios, and how costs grow
	@for name in training_step stacked growth sweep_overhead data_path record; do \
	  $(BIN)/python -m benchmarks $$name || exit 1; done

publish: setup ## write the report of the last run to reports/published/, which is in git (TO=shapes: to that folder in it)
	@# Made whole beside the old one first. DVC's files are read-only: they are copied as ordinary ones.
	@rm -rf .cache/published && mkdir -p .cache/published reports/published/$(TO)
	@$(BIN)/python -m reports --out .cache/published
	@install -m 644 experiments/results.csv experiments/averaging.csv experiments/subsets.csv experiments/predictions.csv.gz \
	  experiments/gallery/sweep.json .cache/published
	@cd reports/published/$(TO) && rm -rf tables figures plots && mv -f $(CURDIR)/.cache/published/* .

lock: setup ## resolve the newest versions that work together into requirements.lock
	@$(BIN)/python -m pip install --quiet uv
	@# PyTorch brings its own CUDA libraries where it wants them, and none where it does not.
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev --extra docs --no-annotate --no-header pyproject.toml \
	  | grep -vE '^(cuda-|nvidia-|triton)' | sed -E 's/^(torch==[0-9.]+).*/\1/' | uniq > requirements.new
	@mv requirements.new requirements.lock

clean: ## remove .venv (results and data stay)
	@rm -rf $(VENV)
