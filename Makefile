# The development commands; `make` alone lists them. They need only Python 3.11 or newer, make and a C compiler.

VENV := .venv
PYTHON_BIN := $(VENV)/bin/python
INSTALLED := $(VENV)/installed
PYTEST := $(PYTHON_BIN) -m pytest -n 2 --dist worksteal

# The tests of business rules and other plain code, which need no server: without the plugin that starts servers.
WITHOUT_SERVERS := -o addopts=--strict-markers --noconftest --quiet --no-header \
	tests/rules tests/core/test_redis_urls.py tests/core/test_visible_text.py tests/core/test_whole_numbers.py

# Checks need settings, but no server and no running stack.
CHECK_ENV = SECRET_KEY=$$($(PYTHON_BIN) -c 'import secrets; print(secrets.token_urlsafe(48))') \
	DATABASE_URL=postgresql://check:check@127.0.0.1:1/check \
	HTTPS=true DEBUG=false DATA_PLATFORM_URL= LOCAL_DIR=$(VENV)/no-stack DJANGO_SETTINGS_MODULE=commerce.settings

.DEFAULT_GOAL := help
.PHONY: help install run test coverage test-kafka test-gateway test-dashboard test-clients test-faults test-outages test-edge test-cluster test-fuzz test-browser mutants bench bench-quick check fmt migrations client messages lock

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name what; do \
		printf '%-20s %s\n' "$$name" "$$what"; done

install: $(INSTALLED) ## Create .venv with the packages of requirements-dev.txt (PYTHON=… chooses the interpreter)

run: $(INSTALLED) ## Start the shop with servers and demo data (PORT=8000, HOST=127.0.0.1, LOCAL_DIR=.local; GATEWAY=1: behind nginx)
	@exec $(PYTHON_BIN) manage.py quickstart --end-with-parent

test: $(INSTALLED) ## Run all tests on real servers (ARGS=… goes to pytest)
	$(PYTEST) $(ARGS)

coverage: $(INSTALLED) ## Run all tests with branch coverage, and list the ten worst files (the floor is in pyproject.toml)
	$(PYTEST) --cov --cov-report= --cov-fail-under=0 $(ARGS)
	@$(PYTHON_BIN) -m coverage report --sort=cover --fail-under=0 | sed -n '1,12p'
	@printf 'All files, in percent: '; $(PYTHON_BIN) -m coverage report --format=total

test-kafka: $(INSTALLED) ## Run tests/kafka on Apache Kafka, downloaded by Maven (Java 17), or on KAFKA_BOOTSTRAP_SERVERS
	@test -n "$$KAFKA_BOOTSTRAP_SERVERS" || $(PYTHON_BIN) -m tests.kafka.jars >/dev/null
	$(PYTHON_BIN) -m pytest tests/kafka $(ARGS)

test-gateway: $(INSTALLED) ## Run tests/gateway on Debian's nginx, installed if it is missing and the user is root
	@$(PYTHON_BIN) -m tests.gateway.nginx >/dev/null
	$(PYTEST) tests/gateway $(ARGS)

test-dashboard: $(INSTALLED) ## Run tests/dashboard: its queries on Debian's Prometheus (extracted where it is missing) beside a running shop
	@.ci/prometheus prometheus >/dev/null
	$(PYTHON_BIN) -m pytest tests/dashboard $(ARGS)

test-clients: $(INSTALLED) ## Run tests/clients: generated clients in Python and TypeScript (npm), and clients/python
	$(PYTHON_BIN) -m pytest tests/clients $(ARGS)

test-faults: $(INSTALLED) ## Inject faults, with controls (ARGS="--short", "--fault F1 --seeds 20": docs/faults.md)
	$(PYTHON_BIN) -m tests.faults $(ARGS)

test-outages: $(INSTALLED) ## Steady orders while broker, data platform, dispatcher and consumer are unavailable in turn (ARGS="--minutes 4")
	$(PYTHON_BIN) -m tests.faults.outages $(ARGS)

test-edge: $(INSTALLED) ## A thousand simultaneous buyers, too many connections, a soak test (ARGS="--soak-minutes 0")
	$(PYTHON_BIN) -m tests.faults.edge $(ARGS)

test-cluster: $(INSTALLED) ## Kill members of Patroni, Kafka and Sentinel clusters under load (ARGS="--of postgresql": docs/cluster.md)
	$(PYTHON_BIN) -m tests.cluster $(ARGS)

test-fuzz: $(INSTALLED) ## Fuzz the API with its schema for a long time (SEED=1, EXAMPLES=300 per operation; ARGS=… goes to pytest)
	FUZZ_SEED=$(or $(SEED),1) FUZZ_EXAMPLES=$(or $(EXAMPLES),300) $(PYTHON_BIN) -m pytest tests/fuzz/test_schema.py $(ARGS)

test-browser: $(INSTALLED) ## Test the back-office in Debian's Chromium; screenshots go to .local/screenshots
	@$(PYTHON_BIN) -m tests.browser.chromium >/dev/null
	@npm ci --prefix tests/browser --no-audit --no-fund --silent
	$(PYTHON_BIN) -m pytest tests/browser $(ARGS)

mutants: $(INSTALLED) ## Mutation testing of the rules; fails if tests/rules do not detect a change (about two minutes)
	$(PYTHON_BIN) -m tests.rules.mutants

bench: $(INSTALLED) ## Run the benchmark: the shop, its limits and a usual implementation (ARGS="--line charge": docs/benchmark.md)
	$(PYTHON_BIN) -m benchmarks $(ARGS)

bench-quick: $(INSTALLED) ## Run every line of the benchmark once, on a small data set, in under two minutes
	$(PYTHON_BIN) -m benchmarks --quick $(ARGS)

check: $(INSTALLED) ## Format, lint, types, import contracts, rules and their coverage, migrations, deployment and schema checks
	$(PYTHON_BIN) -m ruff format --check .
	$(PYTHON_BIN) -m ruff check .
	$(CHECK_ENV) $(PYTHON_BIN) -m mypy .
	$(VENV)/bin/lint-imports
	$(CHECK_ENV) $(PYTHON_BIN) -m coverage run --rcfile=tests/rules/coverage.ini -m pytest $(WITHOUT_SERVERS)
	$(PYTHON_BIN) -m coverage report --rcfile=tests/rules/coverage.ini
	$(CHECK_ENV) $(PYTHON_BIN) -W 'ignore:Got an error checking a consistent:RuntimeWarning' \
		manage.py makemigrations --check --dry-run
	$(CHECK_ENV) $(PYTHON_BIN) manage.py check --deploy --fail-level WARNING
	$(CHECK_ENV) $(PYTHON_BIN) manage.py spectacular --validate --fail-on-warn --format openapi-json --file $(VENV)/openapi.json
	tools/lint-openapi/lint $(VENV)/openapi.json docs/asyncapi.yaml

fmt: $(INSTALLED) ## Format the code and apply safe lint fixes
	$(PYTHON_BIN) -m ruff format .
	$(PYTHON_BIN) -m ruff check --fix .

migrations: $(INSTALLED) ## Create a migration for changed models (APP=products NAME=product_colour); needs no running stack
	$(CHECK_ENV) $(PYTHON_BIN) -W 'ignore:Got an error checking a consistent:RuntimeWarning' \
		manage.py makemigrations $(APP) --name $(or $(NAME),$(error Set NAME to a description of the migration, such as NAME=product_colour))

client: $(INSTALLED) ## Generate clients/python from the API schema
	$(CHECK_ENV) $(PYTHON_BIN) manage.py spectacular --format openapi-json --file $(VENV)/openapi.json
	clients/python/generate $(VENV)/openapi.json clients/python/src/commerce_client/_generated

messages: $(INSTALLED) ## Compile the Korean catalogues: the shop's own, and the additional one for its back-office library
	$(PYTHON_BIN) -m babel.messages.frontend compile --directory commerce/locale --domain django
	$(PYTHON_BIN) -m babel.messages.frontend compile --directory commerce/back_office/locale --domain django

lock: $(INSTALLED) ## Write requirements.txt and requirements-dev.txt with hashes, from requirements.in and requirements-dev.in
	@.ci/lock

$(INSTALLED): requirements.txt requirements-dev.txt .ci/venv
	@.ci/venv $(VENV)
	@touch $@
