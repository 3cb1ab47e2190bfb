# `make demo` and `make test` are all a newcomer needs. Every target first sets up what is missing.
#
# Variables, on the command line or in the environment: PORT, YUNTU_VAR (see .env.example), PYTHON (a Python 3.11),
# SCENE and FRAMES for the demo, ARGS for pytest and the benchmark.

python := .venv/bin/python
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup engine run demo test bench benchadmin benchbilling benchdrives benchrendering benchtransfers soak lint lock messages clean distclean

help: ## show this list
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

setup:
	@PYTHON="$(PYTHON)" scripts/setup.sh

engine: setup
	@$(python) scripts/install_blender.py

# exec: a signal to make reaches the platform itself, which then stops everything it started.
run: engine ## serve the platform on PORT (default 8000) until Ctrl-C
	@exec $(python) manage.py run_platform

demo: engine ## do the main job as a client would: upload, render, watch, download, pay [SCENE=file.blend FRAMES=1-3]
	@set --; \
	if [ -n "$$SCENE" ]; then set -- "$$@" --scene "$$SCENE"; fi; \
	if [ -n "$$FRAMES" ]; then set -- "$$@" --frames "$$FRAMES"; fi; \
	exec $(python) manage.py demo "$$@"

test: engine ## run the whole suite against real PostgreSQL and Redis [ARGS="-k name"]
	@$(python) -m pytest -n 2 --dist loadgroup $(ARGS)

soak: engine ## what dies and comes back while it renders and while money moves, at length [ARGS="-k redis"]
	@SOAK=1 $(python) -m pytest -n 0 --timeout 3600 tests/rendering/test_faults.py tests/billing/test_soak.py $(ARGS)

bench: setup ## measure uploads beside other servers, some minutes [ARGS="--quick"]
	@$(python) -m benchmarks.uploads $(ARGS)

benchdrives: setup ## measure a drive of a million files, some minutes [ARGS="--rounds 10"]
	@$(python) -m benchmarks.drives $(ARGS)

benchadmin: setup ## measure lists of the back office over a million rows, some minutes [ARGS="--quick"]
	@$(python) -m benchmarks.admin $(ARGS)

benchrendering: setup ## measure claims and frames beside a bare queue, some minutes [ARGS="--quick"]
	@$(python) -m benchmarks.rendering $(ARGS)

benchtransfers: setup ## measure ZIPs beside nginx and WebDAV beside copyparty, some minutes [ARGS="--rounds 2"]
	@$(python) -m benchmarks.drives.transfers $(ARGS)

benchbilling: setup ## measure the ledger beside bare statements, some minutes [ARGS="--quick"]
	@$(python) -m benchmarks.billing $(ARGS)

lint: setup ## check style, types and the layers of imports
	$(python) -m ruff check .
	$(python) -m ruff format --check .
	$(python) -m mypy .
	.venv/bin/lint-imports

lock: ## resolve requirements/*.in anew into hashed locks
	@set -e; scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; \
	"$${PYTHON:-python3.11}" -m venv "$$scratch"; \
	"$$scratch/bin/pip" --disable-pip-version-check --quiet install uv; \
	for name in base dev blender; do \
		echo "locking requirements/$$name.in"; \
		"$$scratch/bin/uv" pip compile --upgrade --python-version 3.11 --generate-hashes --no-emit-index-url \
			--no-header --quiet "requirements/$$name.in" -o "requirements/$$name.txt"; \
	done

messages: setup ## compile the translations (every other target does so, too, when they changed)

clean: ## remove var/ with all its data, caches and compiled translations
	@if [ -e var/run/platform.lock ] && ! flock --nonblock var/run/platform.lock true; then \
		echo "A platform runs in var/: stop it first." >&2; exit 1; \
	fi
	rm -rf var .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name .venv -prune -o -name .engines -prune -o -name __pycache__ -type d -exec rm -rf {} +
	rm -f locale/*/LC_MESSAGES/*.mo

distclean: clean ## remove .venv and .engines as well
	rm -rf .venv .engines
