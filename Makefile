# Node.js 18 or newer installs the project. Everything else runs on the project's own Node.js, in node_modules/.bin.
NODE := env PATH="$(CURDIR)/node_modules/.bin:$$PATH" node_modules/.bin/node --disable-warning=TimeoutNegativeWarning
INSTALLED := node_modules/.installed

.DEFAULT_GOAL := help
.PHONY: help install tools test check demo up faults valkey redis8 simulate crash model soak tracing bench bench-quick clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

install: tools $(INSTALLED) ## install the npm packages and what is missing of redis-server, Java, Maven, openssl, Chromium, Prometheus, Python

$(INSTALLED): package-lock.json
	@deploy/local/install-tools.sh --node-only
	@echo 'make: npm ci …'
	@npm ci --no-audit --no-fund --loglevel=error > /dev/null
	@touch $@

tools:
	@deploy/local/install-tools.sh

test: install ## check format, lint and types, and run all tests against a real Kafka and Redis: about 12 minutes
	@$(NODE) test/fetch-tools.ts
	@$(NODE) test/run-all.ts

check: $(INSTALLED) ## check format, lint and types, and run the unit tests: about a minute, needs only Node.js
	@$(NODE) test/run-all.ts --project unit

demo: install ## run Kafka, Redis, the service and a simulated normalizer for a minute, then exit
	@$(NODE) test/demo/demo.ts

up: install ## run the demo until Ctrl-C
	@$(NODE) test/demo/demo.ts --keep

faults: install ## run the long tests of faults and of the tests' own servers: about 10 minutes
	@$(NODE) test/fetch-tools.ts
	@$(NODE) test/run-all.ts --project faults
	@$(NODE) test/publish-faults.ts

valkey: install ## run the integration tests on Valkey 9 instead of redis-server: about 8 minutes (ARGS='--project …')
	@$(NODE) test/fetch-tools.ts
	@$(NODE) test/other-redis.ts valkey $(ARGS)

redis8: install ## the same on Redis 8
	@$(NODE) test/fetch-tools.ts
	@$(NODE) test/other-redis.ts redis8 $(ARGS)

simulate: $(INSTALLED) ## try random faults on a simulated Kafka and Redis for a minute (SECONDS=60)
	@$(NODE) --max-semi-space-size=64 test/simulation/simulate.ts --seconds $(or $(SECONDS),60)

crash: install ## kill workers at named points of their code, and check what is left (RUNS=100, SEED=…)
	@$(NODE) test/fetch-tools.ts
	@$(NODE) test/crash/crash.ts $(if $(SEED),--seed $(SEED)) $(if $(RUNS),--runs $(RUNS))

model: install ## try random sequences of records, faults and commands, and shrink what fails (MINUTES=10)
	@$(NODE) test/fetch-tools.ts
	@MINUTES=$(MINUTES) SEED=$(SEED) RUN_PATH=$(RUN_PATH) REPLAY=$(REPLAY) $(NODE) test/model/model.ts

soak: install ## run the service for 20 minutes with a fault every 30 seconds, and report (MINUTES=20, SEED=…)
	@$(NODE) test/fetch-tools.ts
	@MINUTES=$(MINUTES) SEED=$(SEED) $(NODE) test/soak/soak.ts

tracing: install ## try OpenTelemetry as docs/tracing.md describes it (installs packages from the npm registry)
	@$(NODE) test/run-all.ts --project tracing

bench: install ## measure the worker, the API and the client on this machine (needs Linux and wrk)
	@$(NODE) test/bench/worker-bench.ts
	@$(NODE) test/bench/api-bench.ts
	@$(NODE) test/bench/client-bench.ts
	@$(NODE) test/bench/events-bench.ts

bench-quick: install ## measure only what matters most, in about two minutes, and compare it with the baseline of this machine
	@$(NODE) test/bench/worker-bench.ts --workloads wide,hot --records 200000 --warm-up 50000 --runs 1 --latency ''
	@$(NODE) test/bench/api-bench.ts --seconds 2 --runs 1

clean: ## remove everything that was installed or built in this folder
	rm -rf node_modules .cache dist coverage
