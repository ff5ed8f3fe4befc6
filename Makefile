# edgepdm: see README.md. `make help` lists the targets.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c

# The newest tag; in a tree without one, the newest release of the changelog.
VERSION ?= $(or $(patsubst v%,%,$(shell git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null)),$(shell sed -n 's/^## \([0-9.]*\) .*/\1/p' CHANGELOG.md | head -n 1))
ARCH ?= host
# Not from the environment, where docs/account.md has it: a local tree must stay a local one.
BUCKET =
ARGS ?=
DATA ?=
OUT ?= my-model
PKGS ?= ./...
HAVE_GCC := $(shell command -v gcc >/dev/null 2>&1 && echo yes)
RACE := $(if $(HAVE_GCC),-race,-left-out "the race detector: gcc is missing (Debian: apt-get install gcc libc6-dev)")
GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
SHFMT := mvdan.cc/sh/v3/cmd/shfmt@v3.14.1
SCRIPTS = $$(git ls-files --cached --others --exclude-standard '*.sh' .ci/run)

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 17

.PHONY: demo
demo: ## run the suite on the embedded core: make demo [ARGS="-for 30s -headless -report FILE"]
	@[ -x bin/demo ] || echo "the first build takes some minutes: what is built, and how far it is, follows"
	@CGO_ENABLED=0 go run -trimpath -buildvcs=false ./scripts/demo/build && exec bin/demo -build $(ARGS)

.PHONY: build
build: ## build the components' programs into bin/
	@mkdir -p bin
	CGO_ENABLED=0 go build -trimpath -ldflags "-X main.version=$(VERSION)" -o bin/ ./components/...

.PHONY: test
test: ## run all tests; what a machine lacks is skipped, and told at the end
	@go vet $(PKGS) && go run ./scripts/gotest $(RACE) -timeout 20m $(PKGS)

.PHONY: check
check: ## quick check before a commit: format, vet, and the tests that take no real programs
	@unformatted=$$(git ls-files '*.go' | xargs gofmt -l); \
	if [ -n "$$unformatted" ]; then echo "not gofmt'd: $$unformatted"; exit 1; fi
	@go vet ./...
	@go test -short -p 8 $$(go list ./... | grep -vE '^edgepdm/test/(bench|deploy|e2e|interop|soak)')

.PHONY: test-tools
test-tools: ## build and download into .cache what some tests need beyond Go (needs the network)
	@go run ./test/tools/cmd/tools

.PHONY: lint
lint: ## check format, style and shell scripts
	@unformatted=$$(git ls-files '*.go' | xargs gofmt -l); \
	if [ -n "$$unformatted" ]; then echo "not gofmt'd: $$unformatted"; exit 1; fi
	go run $(GOLANGCI) run $(PKGS)
	go run $(SHFMT) -i 2 -d $(SCRIPTS)
	@if command -v shellcheck >/dev/null; then shellcheck $(SCRIPTS); \
	else echo "skipped: shellcheck is missing (Debian: apt-get install shellcheck)"; [ -z "$${REQUIRE_ALL:-}" ]; fi

.PHONY: fmt
fmt: ## format the Go files and the scripts
	gofmt -w $$(git ls-files '*.go')
	go run $(SHFMT) -i 2 -w $(SCRIPTS)

.PHONY: stage
stage: ## build and fill artifacts-build/ for greengrass-cli, or cloud-build/ with BUCKET: make stage [VERSION=x.y.z] [ARCH=host|all|amd64,arm64,armv7] [BUCKET=NAME] [OFFLINE=1]
	@go run ./scripts/stage -version $(VERSION) -arch $(ARCH) -bucket "$(BUCKET)" $(if $(BUCKET),-out cloud-build) $(if $(OFFLINE),-offline)

.PHONY: model-component
model-component: ## stage a packed and signed model as a component: make model-component DIR=package [VERSION=x.y.z, default the model's] [BUCKET=NAME]
	@go run ./scripts/stage -model "$(DIR)" $(if $(filter command line,$(origin VERSION)),-version $(VERSION)) -bucket "$(BUCKET)" $(if $(BUCKET),-out cloud-build)

.PHONY: lambda
lambda: ## build the Polly notifier for the embedded cloud on this machine
	@CGO_ENABLED=0 go build -trimpath -tags lambda.norpc -ldflags "-s -w -X main.version=$(VERSION)" -o bin/lambda/polly-notifier/bootstrap ./components/polly-notifier

.PHONY: lambda-zip
lambda-zip: ## build a function for AWS Lambda into bin/lambda/NAME.zip: make lambda-zip [VERSION=x.y.z] [ARGS="-function model-publisher -arch amd64"]
	@go run ./scripts/lambdazip -version $(VERSION) $(ARGS)

.PHONY: cross
cross: ## build the components for all architectures, and try each program under qemu-user
	@go run ./scripts/stage -version $(VERSION) -arch all -out bin/cross
	@CROSS="$(CURDIR)/bin/cross" go run ./scripts/gotest -count=1 -run TestProgramsRunOnEveryArchitecture ./test/deploy

.PHONY: gdk-build gdk-publish
gdk-build: ## build every component with AWS's GDK CLI, which must be installed
	@scripts/gdk.sh build
gdk-publish: ## build and publish every component with GDK: make gdk-publish [ARGS="--region eu-west-1"]
	@scripts/gdk.sh publish $(ARGS)

.PHONY: docker-config docker-up docker-logs docker-down
docker-config: stage ## render the recipes for the nucleus in docker: make docker-config [ARGS="-merge FILE"]
	@go run ./scripts/docker -version $(VERSION) $(ARGS)
docker-up: ## start the nucleus in docker: make docker-up GREENGRASS_IMAGE=greengrass:2.15.0
	@scripts/docker/docker.sh up
docker-logs: ## follow the logs of the nucleus in docker, and of its components
	@scripts/docker/docker.sh logs
docker-down: ## end the nucleus in docker
	@scripts/docker/docker.sh down

.PHONY: train
train: ## train a model with XGBoost (needs python3): make train [DATA=FILE] [OUT=DIR] [ARGS="-cost-miss 500 -cost-false 10"]
	@scripts/train/train.sh "$(DATA)" "$(OUT)" $(ARGS)

.PHONY: data
data: OUT = my-data
data: ## split a table into training, validation and test, as CSV and libsvm: make data DATA=FILE [OUT=DIR] [ARGS="-by thing"]
	@[ -n "$(DATA)" ] || { echo "name the table: make data DATA=FILE [OUT=DIR]" >&2; exit 2; }
	@python3 -B scripts/train/data.py "$(DATA)" "$(OUT)" $(ARGS)

.PHONY: train-cloud
train-cloud: ## train a model with SageMaker (costs money): make train-cloud DATA=FILE [OUT=DIR] ARGS="-bucket NAME -role ARN"
	@scripts/train/cloud.sh "$(DATA)" "$(OUT)" $(ARGS)

.PHONY: loop
loop: ## run the retraining loop on this machine, after make test-tools: make loop [ARGS="-rows N -report FILE"]
	@go run ./scripts/cloud/loop $(ARGS)

.PHONY: train-life
train-life: ## train a model of remaining life with XGBoost: make train-life DATA=FILE [OUT=DIR] [ARGS="-cap 100"]
	@scripts/train/life.sh "$(DATA)" "$(OUT)" $(ARGS)

.PHONY: train-demo-life
train-demo-life: ## train the model of remaining life that the demo publishes, on simulated machines that wear out
	@scripts/demo/life-model/train.sh

.PHONY: train-demo-drift
train-demo-drift: ## train the candidates of the demo's -drift: one on machines with new oil, and one on shuffled labels
	@scripts/demo/drift-model/train.sh

# The flags that every command of scripts/cloud has: make cloud-up STACK=pdm REGION=eu-west-1.
CLOUD = go build -o bin/cloud ./scripts/cloud && exec bin/cloud
IN_CLOUD = $(if $(STACK),-stack "$(STACK)") $(if $(REGION),-region "$(REGION)")
CORE_FLAGS = $(IN_CLOUD) -name "$(NAME)" $(if $(filter-out my-model,$(OUT)),-out "$(OUT)")

.PHONY: cloud-up cloud-status cloud-down core-provision core-remove
cloud-up: ## make or change the stack in AWS: make cloud-up [EMAIL=you@example.com] [STACK=pdm] [REGION=eu-west-1] [DEPLOY=x.y.z] [PARAMS="NAME=VALUE ..."]
	@$(CLOUD) up $(IN_CLOUD) -version "$(VERSION)" $(if $(EMAIL),-email "$(EMAIL)") $(if $(DEPLOY),-deploy "$(DEPLOY)") $(if $(PARAMS),-param "$(PARAMS)") $(if $(YES),-yes) $(ARGS)
cloud-status: ## show the stack, its cores, queues and alarms: make cloud-status [STACK=pdm] [REGION=eu-west-1]
	@$(CLOUD) status $(IN_CLOUD) $(ARGS)
cloud-down: ## remove the stack and all that belongs to it, data included: make cloud-down [STACK=pdm] [REGION=eu-west-1] [YES=1]
	@$(CLOUD) down $(IN_CLOUD) $(if $(YES),-yes) $(ARGS)
core-provision: ## make a core's thing, certificate, policy and files: make core-provision NAME=press-1 [OUT=cores/press-1] [NEW_CERTIFICATE=1]
	@$(CLOUD) core-provision $(CORE_FLAGS) $(if $(NEW_CERTIFICATE),-new-certificate) $(ARGS)
core-remove: ## remove what core-provision made: make core-remove NAME=press-1 [OUT=cores/press-1]
	@$(CLOUD) core-remove $(CORE_FLAGS) $(ARGS)

.PHONY: cloud-cost
cloud-cost: ## tell what the cloud stack costs in a month, by assumed prices: make cloud-cost [ARGS="-cores 5 -machines 40"]
	@go run ./scripts/cloud/cost $(ARGS)

.PHONY: pictures
pictures: ## draw the console's pages into docs/pictures (needs Chromium)
	@mkdir -p docs/pictures && PICTURES="$(CURDIR)/docs/pictures" go test -count=1 -run '^TestPictures$$' ./components/operator-console/web

.PHONY: bench
bench: ## measure speed; peers are measured in the same run, and told at the end where they are left out
	@go run ./scripts/gotest -run '^$$' -bench . -benchmem -timeout 60m $(PKGS)

.PHONY: fleet
fleet: ## measure ten thousand machines on one core, and ten thousand cores' looks for models: make fleet [ARGS="-for 3m -mode classic|lite -report FILE"]
	@mkdir -p bin && CGO_ENABLED=0 go build -trimpath -buildvcs=false -o bin/fleet ./scripts/fleet && exec bin/fleet $(ARGS)

.PHONY: conformance
conformance: ## ask a real core what we know of its IPC: make conformance ROOT=/greengrass/v2 | SOCKET=FILE TOKEN=TEXT [ARGS="-thing NAME"]
	@go build -o bin/conformance ./test/conformance/cmd/conformance && \
	$(if $(ROOT),,AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT="$(SOCKET)" SVCUID="$(TOKEN)") \
	bin/conformance $(if $(ROOT),-root "$(ROOT)") $(ARGS)

.PHONY: soak
soak: ## damage 100,000 model files of every format and read them: make soak [SOAK=N]
	SOAK=$(or $(SOAK),100000) go test -count=1 -timeout 60m -run '^TestMutated$$' -v ./shared/gbdt ./shared/gbdt/leaves

.PHONY: soak-kills
soak-kills: ## kill -9 random components in 200 rounds, with cuts of the uplink: make soak-kills [SOAK_KILLS=N] [SOAK_SEED=N]
	SOAK_KILLS=$(or $(SOAK_KILLS),200) SOAK_SEED=$(or $(SOAK_SEED),1) go test -count=1 -timeout 60m -run '^TestKills$$' -v ./test/soak

.PHONY: soak-disks
soak-disks: ## fill each component's disk, make it read-only, take its permissions (as root): make soak-disks [SOAK_DISKS=ROUNDS]
	SOAK_DISKS=$(or $(SOAK_DISKS),1) go test -count=1 -timeout 60m -run '^TestDisks$$' -v ./test/soak

.PHONY: soak-damage
soak-damage: ## flip bits and cut ends of 2,000 files of the components, and start them: make soak-damage [SOAK_DAMAGE=N] [SOAK_SEED=N]
	SOAK_DAMAGE=$(or $(SOAK_DAMAGE),2000) SOAK_SEED=$(or $(SOAK_SEED),1) go test -count=1 -timeout 90m -parallel 4 -run '^TestDamage$$' -v ./test/soak

.PHONY: soak-drift
soak-drift: ## look for drift in 1,000 simulated weeks of a line in which nothing changes: make soak-drift [SOAK_DRIFT=WEEKS]
	SOAK_DRIFT=$(or $(SOAK_DRIFT),1000) go test -count=1 -timeout 180m -run '^TestDrift$$' -v ./test/soak

.PHONY: clean
clean: ## remove what was built
	rm -rf artifacts-build cloud-build bin demo-run docker-run .cache greengrass-build recipes/*/greengrass-build
