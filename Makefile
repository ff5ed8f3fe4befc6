# edgepdm: see README.md. `make help` lists the targets.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c

VERSION ?= 0.1.0
ARCH ?= host
ARGS ?=
DATA ?=
OUT ?= components/inference-engine/model
PKGS ?= ./...
RACE := $(shell command -v gcc >/dev/null 2>&1 && echo -race)
GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: demo
demo: stage lambda ## run the suite on the embedded core: make demo [ARGS="-for 30s -headless -report FILE"]
	@go build -o bin/demo ./scripts/demo && exec bin/demo $(ARGS)

.PHONY: build
build: ## build the components' programs into bin/
	@mkdir -p bin
	CGO_ENABLED=0 go build -trimpath -ldflags "-X main.version=$(VERSION)" -o bin/ ./components/...

.PHONY: test
test: ## run all tests; a missing tool skips its tests and says so
	@$(if $(RACE),,echo "no gcc: tests run without the race detector (Debian: apt-get install gcc libc6-dev)";) \
	go vet $(PKGS) && go test $(RACE) $(PKGS)

.PHONY: lint
lint: ## check format, style and shell scripts
	@unformatted=$$(git ls-files '*.go' | xargs gofmt -l); \
	if [ -n "$$unformatted" ]; then echo "not gofmt'd: $$unformatted"; exit 1; fi
	go run $(GOLANGCI) run $(PKGS)
	@if command -v shellcheck >/dev/null; then git ls-files '*.sh' .ci/run | xargs shellcheck; \
	else echo "skipped: shellcheck is missing (Debian: apt-get install shellcheck)"; [ -z "$${REQUIRE_ALL:-}" ]; fi

.PHONY: fmt
fmt: ## format the Go files
	gofmt -w $$(git ls-files '*.go')

.PHONY: stage
stage: ## build and fill artifacts-build/ for greengrass-cli: make stage [VERSION=x.y.z] [ARCH=host|all|amd64,arm64,armv7]
	@go run ./scripts/stage -version $(VERSION) -arch $(ARCH)

.PHONY: lambda
lambda: ## build the Polly notifier for the embedded cloud (the Lambda's own build is in its README)
	@CGO_ENABLED=0 go build -trimpath -tags lambda.norpc -ldflags "-s -w -X main.version=$(VERSION)" -o bin/lambda/polly-notifier/bootstrap ./components/polly-notifier

.PHONY: cross
cross: ## build the components for all architectures
	@go run ./scripts/stage -version $(VERSION) -arch all -out bin/cross

.PHONY: train
train: ## train a model with XGBoost (needs python3): make train [DATA=FILE] [OUT=DIR]
	@scripts/train/train.sh "$(DATA)" "$(OUT)"

.PHONY: bench
bench: ## measure speed; peers are measured in the same run
	go test -run '^$$' -bench . -benchmem $(PKGS)

.PHONY: clean
clean: ## remove what was built
	rm -rf artifacts-build bin demo-run .cache
