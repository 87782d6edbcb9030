# make demo    the whole way on drawn clips, or on yours: make demo VIDEOS=DIR LABELS=FILE [SITES=FILE]
# make test    every test
# make docs    the documentation as a site, in site/index.html
# make lint    format, lint, types and import rules
# make check   these, and the fast tests

PYTHON ?= python3
BIN := .venv/bin
DEMO ?= demo
STAMP := .venv/.installed

.PHONY: demo test docs lint check format clean

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
OWN := --clips "$(VIDEOS)" --labels "$(LABELS)" $(if $(SITES),--sites "$(SITES)")
endif

demo: $(STAMP)
	$(BIN)/trapline demo "$(DEMO)" $(OWN)

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadgroup

docs: $(STAMP)
	$(BIN)/mkdocs build

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy --platform win32 -p store -p featurize -p heads -p trapline
	$(BIN)/mypy --platform darwin -p store -p featurize -p heads -p trapline
	$(BIN)/lint-imports

check: lint
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadgroup

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf demo site .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
