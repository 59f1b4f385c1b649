# Any Node.js from 18 installs the project; all that it runs is run by its own, in node_modules/.bin.
NODE := env PATH="$(CURDIR)/node_modules/.bin:$$PATH" node_modules/.bin/node --disable-warning=TimeoutNegativeWarning
INSTALLED := node_modules/.installed

.DEFAULT_GOAL := help
.PHONY: help install tools test check demo up bench clean

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

install: $(INSTALLED) ## npm's packages; and redis-server, Java, Maven and openssl where they are missing

$(INSTALLED): package-lock.json | tools
	@echo 'make: npm ci …'
	@npm ci --no-audit --no-fund --loglevel=error > /dev/null
	@touch $@

tools:
	@deploy/local/install-tools.sh

test: install ## format, lint, types and all tests, against a real Kafka and a real Redis
	@$(NODE) test/fetch-tools.ts
	@$(NODE) test/run-all.ts

check: install ## format, lint, types and the unit tests: seconds, no servers
	@$(NODE) test/run-all.ts --project unit

demo: install ## Kafka, Redis, the service and a simulated normalizer: what happens, then a clean exit
	@$(NODE) test/demo/demo.ts

up: install ## the same, left running until Ctrl-C
	@$(NODE) test/demo/demo.ts --keep

bench: install ## how fast it is, here: the worker, the api (which needs wrk), the client
	@$(NODE) test/bench/bench.ts
	@$(NODE) test/bench/api-bench.ts
	@$(NODE) test/bench/client-bench.ts

clean: ## removes what was installed and built here
	rm -rf node_modules .cache dist coverage
