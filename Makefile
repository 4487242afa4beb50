# The two commands to know: `make demo` and `make test`. On a fresh Debian each
# needs Go and nothing else: what is missing is installed first, and said so.

GO := $(or $(shell command -v go),$(wildcard /usr/local/go/bin/go),go)
export GO

# Where git does not trust the checkout (sudo in someone else's), the build
# goes on without its revision.
VCS := $(shell git rev-parse -q --verify HEAD >/dev/null 2>&1 && echo auto || echo false)

TESTFLAGS ?=
FUZZTIME  ?= 5s
SOAKFOR   ?= 10m

# The tests wait for servers, disks and clocks about as long as they compute, so
# that more run side by side than there are cores; those of the packages that
# take longest begin first.
SIDE    := -p 3 -parallel 4
LONGEST := ./cmd/penstock ./store ./ingest/source

.DEFAULT_GOAL := help
.PHONY: help build demo test lint race fuzz soak bench clean setup setup-race setup-servers

help: ## show this
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "make %-7s %s\n", $$1, $$2 }'

build: setup ## build ./penstock
	$(GO) build -buildvcs=$(VCS) -o penstock ./cmd/penstock

demo: build ## a whole site, live: loggers that send by FTP, the daemon that loads, a private PostgreSQL; Ctrl-C ends it
	./penstock demo

test: setup-servers ## the whole suite, against a real PostgreSQL, real FTP and SFTP servers and a real browser
	$(GO) test $(SIDE) $(TESTFLAGS) $(LONGEST) ./...

lint: setup ## gofmt, go vet, golangci-lint with the rules of .golangci.yml
	@.ci/lint

race: setup-race ## the suite under the race detector
	CGO_ENABLED=1 $(GO) test -race $(SIDE) $(TESTFLAGS) $(LONGEST) ./...

fuzz: setup ## every fuzz target for FUZZTIME (5s)
	@.ci/fuzz $(FUZZTIME)

soak: setup-servers ## the suite with its long tests: kills at random moments, a million files, the daemon with all failing for SOAKFOR (10m)
	@echo "the daemon is soaked for $(SOAKFOR); for an hour: make soak SOAKFOR=1h, or that alone:"
	@echo "  PENSTOCK_SOAK_FOR=1h $(GO) test ./cmd/penstock -run '^TestSoak$$' -count=1 -v -timeout 2h"
	PENSTOCK_SOAK=1 PENSTOCK_SOAK_FOR=$(SOAKFOR) $(GO) test -count=1 -timeout 3h $(TESTFLAGS) ./...

bench: build ## how far from the least programs for the same work: ratios, measured in one run
	$(GO) run ./bench/ratios -penstock ./penstock $(BENCHFLAGS)

clean: ## remove what was built and what the demo wrote
	rm -rf penstock bin .penstock-demo

setup:
	@.ci/setup

setup-race:
	@.ci/setup race servers browser

setup-servers:
	@.ci/setup servers browser
