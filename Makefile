# Each target works alone on a machine that has Python 3.11 or newer, git and make. `make` alone lists them.

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$p && break; done)
ARGS ?=
JOBS ?= 2

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
LOCKS := requirements.txt requirements-dev.txt
NOT_OURS := --ignore .venv --ignore clients --ignore var --ignore staticfiles --ignore tests --ignore benchmarks
TYPED := accounts batch_input billing core devtools drafts events media mission_pages missions notifications operations providers runninghub_batch sharing templates_app workers tests benchmarks clients/python/src/runninghub_batch_client

.DEFAULT_GOAL := help
.PHONY: help setup demo serve test test-postgresql prove screenshots bench bench-api bench-pages bench-control bench-download bench-web messages check lock format bench-scale bench-verbs audit chaos

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null \
	|| sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/  make \1  \2/p' $(MAKEFILE_LIST)

setup: $(INSTALLED) .env  ## make .venv from the lock file, and .env

demo: $(INSTALLED)  ## run 24 items through real workers and the simulator, and check the files
	@$(BIN)/python manage.py demo $(ARGS)

serve: $(INSTALLED) .env  ## start web pages, workers and, without an API key, the simulator
	@$(BIN)/python manage.py serve $(ARGS)

test: $(INSTALLED)  ## run the tests on SQLite, JOBS=2 at a time; ARGS="-k words" chooses some
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not prove" $(ARGS)

test-postgresql: $(INSTALLED)  ## run the tests that depend on the database on PostgreSQL, on a server of their own
	$(BIN)/python -m tests.postgres_server $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "postgresql and not prove" $(ARGS)

prove: $(INSTALLED)  ## run the long proofs: processes, browser, machines, upgrades, chaos; writes var/prove/report.md
	@$(BIN)/python -m tests.prove $(ARGS)

screenshots: $(INSTALLED)  ## take a picture of every page, with chromium; ARGS="--help" lists the options
	@$(BIN)/python -m tests.browser.screenshots $(ARGS)

bench: $(INSTALLED)  ## measure; ARGS="--help" lists the options
	@$(BIN)/python -m benchmarks.bench $(ARGS)

bench-api: $(INSTALLED)  ## measure the JSON API on a real server; ARGS="--help" lists the options
	@$(BIN)/python -m benchmarks.bench_api $(ARGS)

bench-control: $(INSTALLED)  ## measure control room and metrics with a million items; ARGS="--help" lists the options
	@$(BIN)/python -m benchmarks.bench_control_room $(ARGS)

bench-pages: $(INSTALLED)  ## measure the pages of a mission of 50,000 items; ARGS="--help" lists the options
	@$(BIN)/python -m benchmarks.bench_pages $(ARGS)

bench-scale: $(INSTALLED)  ## measure what an item costs among 100,000, in simulated time; ARGS="--help" lists the options
	@$(BIN)/python -m benchmarks.bench_scale $(ARGS)

bench-verbs: $(INSTALLED)  ## measure creating, stopping, deleting missions of 50,000 items; ARGS="--help" lists the options
	@$(BIN)/python -m benchmarks.bench_verbs $(ARGS)

bench-download: $(INSTALLED)  ## measure a ZIP of 2 GB: memory, and others' waiting; ARGS="--help" lists the options
	@$(BIN)/python -m benchmarks.bench_download $(ARGS)

bench-web: $(INSTALLED)  ## measure the web server under open event streams and steady requests; ARGS="--help" lists the options
	@$(BIN)/python -m benchmarks.bench_web $(ARGS)

chaos: $(INSTALLED)  ## let everything fail for 20 minutes, and check that nothing is lost or paid twice; ARGS="--help" lists the options
	@$(BIN)/python -m tests.chaos $(ARGS)

check: $(INSTALLED)  ## lint, format, prose, types, import rules, migrations, settings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(BIN)/python .ci/prose
	$(BIN)/mypy $(TYPED)
	$(BIN)/lint-imports
	SECRET_KEY=only-for-this-check $(BIN)/python manage.py check --fail-level WARNING
	SECRET_KEY=only-for-this-check $(BIN)/python manage.py makemigrations --check --dry-run
	@$(call as_in_production) $(BIN)/python manage.py check --deploy --fail-level WARNING

audit: $(INSTALLED)  ## ask whether a locked package has a known vulnerability; needs the network
	@$(BIN)/python .ci/audit

messages: $(INSTALLED)  ## collect the texts to translate, and compile the translations; needs GNU gettext
	@command -v xgettext >/dev/null || { echo "GNU gettext is needed: apt install gettext"; exit 1; }
	$(BIN)/python manage.py makemessages --locale zh_Hans --no-wrap --no-obsolete $(NOT_OURS)
	$(BIN)/python manage.py compilemessages --locale zh_Hans $(NOT_OURS)

format: $(INSTALLED)  ## put the code into form
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

lock: $(INSTALLED)  ## write the lock files anew from pyproject.toml; ARGS=--upgrade takes the newest versions
	$(call compile,requirements.txt)
	$(call compile,requirements-dev.txt,--extra dev --constraint requirements.txt)

define as_in_production
DEBUG=false SECRET_KEY="$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(50))')" \
	ALLOWED_HOSTS=batch.example.com PUBLIC_BASE_URL=https://batch.example.com
endef

# No address of an index and no folder of this machine goes into a lock file.
define compile
$(BIN)/pip-compile --quiet --strip-extras --no-header --annotation-style line --no-emit-index-url --no-emit-find-links \
	--no-emit-trusted-host $(2) $(ARGS) --output-file $(1) pyproject.toml
endef

$(INSTALLED): requirements-dev.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "Python could not make $(VENV). On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	@touch $@

.env:
	@umask 077; key=$$($(or $(PYTHON),python3) -c 'import secrets; print(secrets.token_urlsafe(50))') \
	&& seal=$$($(or $(PYTHON),python3) -c 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())') \
	&& sed -e "s|^SECRET_KEY=.*|SECRET_KEY=$$key|" -e "s|^#ENCRYPTION_KEYS=.*|ENCRYPTION_KEYS=$$seal|" .env.example > .env
	@echo "Wrote .env with a new SECRET_KEY and ENCRYPTION_KEYS. Your RunningHub key goes there too."
