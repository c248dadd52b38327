# Roster. `make` alone lists the targets; a target is listed by the text after its `##`.
SHELL := /bin/sh
.DEFAULT_GOAL := help

# The project's own Node (the npm package of that name) comes before the installed one, which may be older.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
NODE := $(CURDIR)/node_modules/.bin/node
installed := node_modules/.package-lock.json

.PHONY: help demo test verify dev-up dev-down conformance faults bench generate build clean

help:
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: $(installed) ## the main job, shown: cluster and operator up, Services mirrored, changes timed (REGISTRY=consul KEEP=1 CLUSTER=current)
	@$(NODE) test/demo/demo.ts

test: verify ## everything that must pass, on real servers; ends with the totals (FILES="test/mirror …" for some of it)
	@$(NODE) test/run.ts $(FILES)

verify: $(installed) ## types, lint, dead code, dependency direction, generated files, manifests
	@npm run --silent verify

dev-up: $(installed) ## a control plane and REGISTRIES="consul etcd nacos zookeeper" in the background; writes .dev/env, .dev/bin (ROSTER=1 ROSTER_FLAGS=…: the operator too)
	@$(NODE) test/servers/dev-up.ts

dev-down: $(installed) ## ends what dev-up started
	@$(NODE) test/servers/dev-down.ts

conformance: $(installed) ## the contract of registry adapters, REGISTRY=memory, or consul, etcd, nacos or zookeeper against the real server; without it all; writes README's support matrix
	@$(NODE) test/conformance/support.ts $(REGISTRY)

faults: $(installed) ## the fault laboratory: every plan in virtual time, the chosen ones on real servers (REAL=1: only these), restarts and races of two leaders, counted; one plan with its story: PLAN=scale/crash/3@Etcd (REAL=1)
	@$(if $(PLAN),,$(if $(REAL),,$(NODE) test/faults/all.ts &&)) $(NODE) test/faults/$(if $(REAL)$(if $(PLAN),,1),real/)$(if $(PLAN),replay.ts $(PLAN) $(if $(WITHOUT),'$(WITHOUT)'),all.ts)
	@$(if $(PLAN)$(REAL),,$(NODE) --test-reporter=spec test/endurance/all.ts)

bench: $(installed) ## the benchmarks: a table, and .dev/bench.json
	@$(NODE) test/bench/bench.ts

generate: $(installed) ## the TypeScript types of the kinds, from crds/; docs/metrics.md; README's support matrix, from docs/support.json
	@npm run --silent generate

build: $(installed) ## dist/: the command line and the operator in one file
	@npm run --silent build

clean: ## removes dist and node_modules; .dev stays for dev-down
	rm -rf dist node_modules

$(installed): package-lock.json
	@command -v node >/dev/null || { echo "node is missing: install Node.js 20 or later, with npm (https://nodejs.org/en/download)" >&2; exit 1; }
	@command -v npm >/dev/null || { echo "npm is missing: it comes with Node.js (https://nodejs.org/en/download)" >&2; exit 1; }
	npm ci --loglevel=error
	@$(NODE) --version >/dev/null || { echo "npm has put no working node into node_modules/.bin: are install scripts switched off (npm config get ignore-scripts)?" >&2; exit 1; }
	@touch $@
