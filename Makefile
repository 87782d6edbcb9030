# make demo    the whole way on drawn clips, or on yours: make demo VIDEOS=DIR LABELS=FILE [SITES=FILE]
# make test    every test
# make lint    format, lint, types and import rules
# make check   these, and the fast tests

PYTHON ?= python3
BIN := .venv/bin
DEMO ?= demo
STAMP := .venv/.installed

.PHONY: demo test lint check format clean

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12 ..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

ifdef VIDEOS
ifndef LABELS
$(error make demo VIDEOS=DIR also needs LABELS=FILE, a CSV of the clips' labels)
endif
CLIPS := $(VIDEOS)
LABEL_TABLE := $(LABELS)
SITE_OPTION := $(if $(SITES),--sites "$(SITES)")
RECIPE := configs/default.yaml
SAMPLING := --fps 3
else
CLIPS := $(DEMO)/clips
LABEL_TABLE := $(DEMO)/labels.csv
SITE_OPTION := --sites "$(DEMO)/sites.csv"
RECIPE := configs/demo.yaml
SAMPLING := --fps 2
endif

# featurize exits with 3 when some clips could not be decoded: they are listed, and the rest goes on.
demo: $(STAMP)
	$(if $(VIDEOS),,test -f "$(DEMO)/labels.csv" || $(BIN)/python -m featurize.demo "$(DEMO)")
	$(BIN)/featurize "$(CLIPS)" --store "$(DEMO)/store" $(SAMPLING) \
		--backbone efficientnet_lite0 --backbone efficientnet_lite1 --view whole --view motion || [ $$? -eq 3 ]
	$(BIN)/heads train --store "$(DEMO)/store" --labels "$(LABEL_TABLE)" $(SITE_OPTION) --recipe $(RECIPE) --run "$(DEMO)/run"
	$(BIN)/heads blend --run "$(DEMO)/run"
	$(BIN)/heads report --run "$(DEMO)/run" --store "$(DEMO)/store"

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadgroup

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadgroup

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf demo .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
