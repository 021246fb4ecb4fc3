# The referral hub. `make` alone lists what there is to do.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

GOLANGCI_LINT_VERSION := v2.15.0
REDOCLY_VERSION := 2.77.0

BENCH_FOR ?= 3s
FUZZ_FOR ?= 30s

# Each version has a file of its own, so that a new one is fetched.
lint_tool := bin/tools/golangci-lint-$(GOLANGCI_LINT_VERSION)

.DEFAULT_GOAL := help
.PHONY: help run build test lint bench fuzz postgresql

help: ## List what there is to do
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## Start a hub with invented partners and people, and play a story
	bin/hub demo

build: ## Build bin/hub and bin/partner
	@mkdir -p bin
	go build -o bin/ ./cmd/hub ./cmd/partner

test: postgresql ## Run every test, with the race detector, on SQLite and PostgreSQL
	go test -race -shuffle=on -timeout 30m ./...

lint: $(lint_tool) ## Look for wrong code, and check the OpenAPI document
	@unformatted=$$(gofmt -l adapters cmd contracts hub sharing-agreements); \
	if [[ -n $$unformatted ]]; then printf 'not formatted (gofmt -w):\n%s\n' "$$unformatted" >&2; exit 1; fi
	go vet ./...
	$(lint_tool) run ./...
	@if command -v npx >/dev/null; then \
		npx --yes @redocly/cli@$(REDOCLY_VERSION) lint --config .redocly.yaml </dev/null; \
	elif [[ $${CI:-} == true ]]; then \
		echo 'contracts/openapi.json was not checked: npx is missing. Install Node.js 20.19 or later.' >&2; exit 1; \
	else \
		echo 'NOT CHECKED: contracts/openapi.json. Install Node.js 20.19 or later for that.' >&2; \
	fi

$(lint_tool):
	@mkdir -p $(@D)
	GOBIN=$(CURDIR)/$(@D) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv $(@D)/golangci-lint $@

bench: build postgresql ## Run each benchmark once, then a short load on each store (BENCH_FOR=3s)
	go test -run '^$$' -bench . -benchtime 1x ./...
	bin/hub bench --for $(BENCH_FOR) --json --store sqlite
	bin/hub bench --for $(BENCH_FOR) --json --store postgres
	bin/hub bench log --leaves 10000 --json --store sqlite

fuzz: ## Feed every decoder of outside bytes for a while (FUZZ_FOR=30s each)
	@grep -rn --include='*_test.go' -oE '^func Fuzz[A-Za-z0-9]+' . | while IFS=: read -r file _ name; do \
		echo "== $${name#func } in $$(dirname "$$file")"; \
		go test -run '^$$' -fuzz "^$${name#func }\$$" -fuzztime $(FUZZ_FOR) "$$(dirname "$$file")"; \
	done

# PostgreSQL's own programs are enough: tests start servers of their own in temporary folders. Without them the tests that need one say
# that they are skipped, or fail where nobody would read that (CI=true).
postgresql:
	@command -v initdb >/dev/null && command -v postgres >/dev/null && exit 0; \
	compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null && exit 0; \
	if [[ $$(id -u) == 0 ]] && command -v apt-get >/dev/null; then \
		echo 'PostgreSQL is missing: installing the package postgresql.'; \
		apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends postgresql </dev/null; \
		exit 0; \
	fi; \
	echo 'PostgreSQL is missing: install its server programs (Debian: apt-get install postgresql). Tests that need it are skipped.' >&2; \
	[[ $${CI:-} != true ]]
