# `make` without a target lists the targets. CONTRIBUTING.md lists the programs that the
# tests use.

SHELL   := /bin/bash
COMMIT  ?= $(shell git describe --always --abbrev=40 --exclude='*' --dirty 2>/dev/null)
DATE    ?= $(shell TZ=UTC0 git log -1 --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ 2>/dev/null)

ARGS     ?=     # of the server:               make run ARGS='--listen 127.0.0.1:8000'
BASE     ?=     # of make bench-compare: the other revision
BENCH    ?= .   # which benchmarks:            make bench BENCH=Rotate
COUNT    ?= 3   # runs of each benchmark
FAULT    ?= Crash|Cut|Failover|LostCommit|FullDisk # which faults: make faults FAULT=Failover ROUNDS=20
PKG      ?= ./... # packages of make bench-compare
ROUNDS   ?=     # per fault; for the soak 500: make soak ROUNDS=5000
DURATION ?=     # of a soak under constant load, instead of faults: make soak DURATION=1h
SCENARIOS ?=    # of make compare; its targets and scenarios are separated by commas
TARGETS  ?=     # of make compare, see lab/bench/README.md
PLATFORMS ?=    # of make dist:                 make dist PLATFORMS=linux/amd64,darwin/arm64
FUZZTIME ?= 60s # per fuzz target:              make fuzz FUZZTIME=10m

.DEFAULT_GOAL := help
.PHONY: help run build dist dist-check image manifests test browsers lint generate fuzz walks pictures transcript faults soak upgrade revocation timing try compare bench bench-compare cover clean mutants

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## start the server with its data in ./watchword-data
	go run ./cmd/watchword serve $(ARGS)

build: ## build one static binary, bin/watchword
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.commit=$(COMMIT) -X main.date=$(DATE)' -o bin/watchword ./cmd/watchword

dist: ## build the files of a release in ./dist: archives, SBOMs, licences, checksums; with PLATFORMS=linux/arm64, fewer
	rm -rf dist
	go -C tools run ./dist -out '$(CURDIR)/dist' $(if $(strip $(PLATFORMS)),-platforms '$(strip $(PLATFORMS))')

dist-check: ## build the release for all platforms twice, the second time with an empty build cache, and compare
	WATCHWORD_TEST_DIST=all go -C tools test -count=1 -timeout=0 -v ./dist

image: build ## pack bin/watchword into a container image with buildah, and test it; needs root
	deploy/image/try

manifests: build ## check compose.yaml, the Kubernetes manifests and the workflows, as far as this works without an engine
	go -C deploy/check test -count=1 ./...

test: ## all checks that a change must pass (under 15 minutes on 2 cores); as root on Debian, install what they need
	@.ci/setup
	@CGO_ENABLED=1 .ci/check

browsers: ## the long tests in Chromium: every page with axe, and the built front-ends of examples (5 minutes)
	@.ci/check browsers

lint: ## the quick checks: format, vet, staticcheck, tidy
	@.ci/check format vet staticcheck tidy

generate: ## update all generated files (every //go:generate line)
	go generate ./...

fuzz: ## run every fuzz target for a minute
	@FUZZTIME=$(strip $(FUZZTIME)) .ci/check fuzz

walks: ## run random sequences of flows against a model of second factors: make walks ROUNDS=2000
	SOAK_ROUNDS=$(or $(strip $(ROUNDS)),1000) go test -run RandomFlows -count=1 -timeout=0 -v ./factors

pictures: ## save a picture of every page and mail in build/screenshots
	WATCHWORD_TEST_PICTURES='$(CURDIR)/build/screenshots' go test -run 'EveryPage|EveryMail|FrontEndOf(TheGuide|Lesson|Users)|VerificationPage' -count=1 ./mail ./server ./examples

transcript: ## build the application of docs/server-rendering-transcript.md again, and compare
	WATCHWORD_TEST_TRANSCRIPT=1 go test -run TestNextApplicationKeepsUsersSignedIn -count=1 -v ./examples

faults: ## measure the effect of each fault on clients (the table of docs/faults.md)
	SOAK_ROUNDS=$(strip $(ROUNDS)) go -C cmd/watchword test -run '$(strip $(FAULT))' -count=1 -timeout=0

soak: ## run every fault 500 times and check the histories; with DURATION=1h, watch memory under constant load
	$(if $(strip $(DURATION)),$(soak-load),$(soak-faults))

soak-load   = SOAK_DURATION=$(strip $(DURATION)) go test -run MixedLoad -count=1 -timeout=0 -v ./cmd/watchword
soak-faults = SOAK_ROUNDS=$(or $(strip $(ROUNDS)),500) go test -run '$(strip $(FAULT))|Linearizable|Bouncer|Pooler' \
	-count=1 -timeout=0 -v ./cmd/... ./store/...

mutants: ## remove each check of a sign-in with a provider in turn, and see a test fail (30 minutes)
	@lab/mutants/federation

upgrade: ## run the server of an earlier revision beside this one on one database: make upgrade FROM=66513b7
	WATCHWORD_TEST_UPGRADE=$(or $(strip $(FROM)),66513b7) go test -run TestEarlierRevisionRunsBesideThisOne \
	-count=1 -v ./cmd/watchword

revocation: ## measure how long after a logout services reject a token, with one and three servers
	SOAK_ROUNDS=$(or $(strip $(ROUNDS)),1000) go test -run Revoked -count=1 -timeout=0 -v ./cmd/watchword

.PHONY: accounts
accounts: ## measure the lists of administrators with a million accounts on both stores; with ROUNDS=10000, with fewer
	WATCHWORD_TEST_ACCOUNTS=$(or $(strip $(ROUNDS)),1000000) go test -run ListsOfManyAccounts -count=1 -timeout=0 -v ./lab/accounts

timing: ## measure whether response times reveal that an account exists: make timing ONLY=callback
	go run ./lab/timing/cmd -samples $(or $(strip $(ROUNDS)),1000) -only '$(strip $(ONLY))'

try: ## run deploy/ on loopback, with Patroni, and kill the primary
	deploy/try

compare: ## compare with other servers: make compare TARGETS=ours-sqlite,bare SCENARIOS=refresh,me ROUNDS=1
	go run ./lab/bench/cmd $(if $(strip $(TARGETS)),-targets '$(strip $(TARGETS))') $(if $(strip $(SCENARIOS)),-scenarios '$(strip $(SCENARIOS))') $(if $(strip $(ROUNDS)),-rounds $(strip $(ROUNDS))) $(ARGS)

bench: ## run each benchmark three times
	go test -run '^$$' -bench '$(strip $(BENCH))' -benchmem -count=$(strip $(COUNT)) ./...

bench-compare: ## compare the benchmarks with another revision: make bench-compare BASE=main BENCH=Rotate PKG=./store/...
	go run ./lab/bench/revisions -base '$(strip $(BASE))' -bench '$(strip $(BENCH))' $(PKG)

cover: ## write test coverage to cover.html
	go test -coverpkg=./... -coverprofile=cover.out ./...
	go tool cover -html=cover.out -o cover.html
	@go tool cover -func=cover.out | tail -1

clean: ## remove the files that these targets create, not your data
	rm -rf bin dist cover.out cover.html
