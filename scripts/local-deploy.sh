#!/usr/bin/env bash
# Deploys the staged tree to the nucleus of this machine: with greengrass-cli on the classic nucleus, with ggl-cli on nucleus
# lite, or with greengrass-cli in a container. `scripts/local-deploy.sh -h` says how.
set -euo pipefail

readonly simulator=com.edgepdm.SensorSimulator
readonly max_lite=10 # components that ggl-cli takes in one deployment
readonly container_stage=/edgepdm/stage

usage() {
  cat <<'HELP'
Usage: scripts/local-deploy.sh [flags] [NAME[=VERSION] ...]

Deploys components from the staged tree (make stage VERSION=1.2.3) to this machine's Greengrass core. Without names it
deploys everything that is staged but the sensor simulator; name com.edgepdm.SensorSimulator to deploy it, too.
Without a version it takes the newest one that is staged.

  -c, --update-config FILE  JSON file {"NAME":{"MERGE":{...},"RESET":["/key"]}} (classic only); it changes the
                            components that are deployed by the same command
  -d, --remove NAME         remove a component; repeatable; then no others are deployed unless named
  -n, --dry-run             print the command, and do not run it
  -r, --runtime RUNTIME     classic or lite; otherwise by the command that is there
  -s, --stage DIR           staged tree; default artifacts-build
      --docker CONTAINER    run greengrass-cli in this container, which has the tree at /edgepdm/stage
      --root DIR            root of the classic nucleus; default $GGC_ROOT_PATH or /greengrass/v2
  -h, --help                this text

Exit codes: 0 submitted, 1 failed, 2 the command line is wrong, 3 no Greengrass command line is here.
After it: greengrass-cli component list, or journalctl -f -u ggl.core.ggdeploymentd.service
HELP
}

fail() { # CODE MESSAGE
  echo "local-deploy.sh: $2" >&2
  exit "$1"
}

config='' runtime='' stage='' container='' dry_run=false
root=${GGC_ROOT_PATH:-/greengrass/v2}
remove=() names=()
while [ $# -gt 0 ]; do
  case $1 in
  -c | --update-config | -d | --remove | -r | --runtime | -s | --stage | --docker | --root)
    [ $# -ge 2 ] || fail 2 "$1 needs a value; see -h"
    ;;
  esac
  case $1 in
  -c | --update-config) config=$2 && shift ;;
  -d | --remove) remove+=("$2") && shift ;;
  -r | --runtime) runtime=$2 && shift ;;
  -s | --stage) stage=$2 && shift ;;
  --docker) container=$2 && shift ;;
  --root) root=$2 && shift ;;
  -n | --dry-run) dry_run=true ;;
  -h | --help)
    usage
    exit 0
    ;;
  -*) fail 2 "there is no flag $1; see -h" ;;
  *) names+=("$1") ;;
  esac
  shift
done
stage=${stage:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/artifacts-build}

# newest NAME prints the newest staged version of a component.
newest() {
  local file
  for file in "$stage/recipes/$1"-[0-9]*.yaml; do
    [ -e "$file" ] || continue
    file=${file##*/"$1"-}
    echo "${file%.yaml}"
  done | sort -V | tail -n 1
}

# staged prints the names of all staged components.
staged() {
  local file
  for file in "$stage"/recipes/*-[0-9]*.yaml; do
    [ -e "$file" ] || continue
    file=${file##*/}
    echo "${file%%-[0-9]*}"
  done | sort -u
}

choose_runtime() {
  if [ -n "$container" ]; then
    [ -z "$runtime" ] || [ "$runtime" = classic ] || fail 2 "--docker is for the classic nucleus"
    runtime=classic
    command -v docker >/dev/null || fail 3 "docker is not on PATH"
    cli=(docker exec "$container" /greengrass/v2/bin/greengrass-cli)
    return
  fi
  local classic lite
  classic=$(command -v greengrass-cli || true)
  [ -n "$classic" ] || [ ! -x "$root/bin/greengrass-cli" ] || classic=$root/bin/greengrass-cli
  lite=$(command -v ggl-cli || true)
  case $runtime in
  '')
    if [ -n "$classic" ] && [ -n "$lite" ]; then
      fail 2 "greengrass-cli and ggl-cli are both here: choose with --runtime"
    elif [ -n "$classic" ]; then
      runtime=classic
    elif [ -n "$lite" ]; then
      runtime=lite
    else
      fail 3 "neither greengrass-cli (not on PATH, not in $root/bin: deploy aws.greengrass.Cli) nor ggl-cli is here"
    fi
    ;;
  classic) [ -n "$classic" ] || fail 3 "greengrass-cli is not on PATH and not in $root/bin: deploy aws.greengrass.Cli" ;;
  lite) [ -n "$lite" ] || fail 3 "ggl-cli is not on PATH: it comes with nucleus lite" ;;
  *) fail 2 "--runtime is $runtime, must be classic or lite" ;;
  esac
  if [ "$runtime" = classic ]; then
    cli=("$classic")
    # greengrass-cli finds its token below the root, and looks for it in the usual place only.
    [ "$root" = /greengrass/v2 ] || cli+=(--ggcRootPath "$root")
  else
    cli=("$lite")
  fi
}

# choose_components turns names into NAME=VERSION, in the array components.
choose_components() {
  components=()
  if [ ${#names[@]} -eq 0 ] && [ ${#remove[@]} -eq 0 ]; then
    mapfile -t names < <(staged | grep -vxF "$simulator")
    [ ${#names[@]} -gt 0 ] || fail 1 "no recipe is staged in $stage/recipes; run: make stage VERSION=1.2.3"
  fi
  local name version
  for name in "${names[@]}"; do
    version=${name#*=}
    if [ "$version" = "$name" ]; then
      version=$(newest "$name")
      [ -n "$version" ] || fail 1 "$name is not staged in $stage/recipes; staged are: $(staged | paste -sd ' ')"
    fi
    name=${name%%=*}
    [ -f "$stage/recipes/$name-$version.yaml" ] || fail 1 "$name $version is not staged in $stage/recipes"
    components+=("$name=$version")
  done
}

classic_command() {
  local seen=$stage
  [ -z "$container" ] || seen=$container_stage
  run=("${cli[@]}" deployment create)
  if [ ${#components[@]} -gt 0 ]; then
    run+=(--recipeDir "$seen/recipes" --artifactDir "$seen/artifacts")
  fi
  local item
  for item in "${components[@]}"; do run+=(--merge "$item"); done
  for item in "${remove[@]}"; do run+=(--remove "$item"); done
  if [ -n "$config" ]; then
    [ -r "$config" ] || fail 1 "cannot read $config"
    # As text, not as a path: in a container the file is not there.
    run+=(--update-config "$(cat "$config")")
  fi
}

lite_command() {
  [ -z "$config" ] || fail 2 "ggl-cli cannot change a configuration: write the values into the staged recipe's DefaultConfiguration before the first deployment, or use a deployment from the cloud"
  if [ ${#components[@]} -gt "$max_lite" ] || [ ${#remove[@]} -gt "$max_lite" ]; then
    fail 2 "ggl-cli takes at most $max_lite components at a time"
  fi
  run=("${cli[@]}" deploy)
  if [ ${#components[@]} -gt 0 ]; then
    run+=(-r "$stage/recipes" -a "$stage/artifacts")
  fi
  local item
  for item in "${components[@]}"; do run+=(-c "$item"); done
  for item in "${remove[@]}"; do run+=(-d "$item"); done
}

choose_runtime
choose_components
if [ "$runtime" = classic ]; then classic_command; else lite_command; fi

if $dry_run; then
  printf '%q ' "${run[@]}"
  echo
  exit 0
fi
code=0
"${run[@]}" || code=$?
[ $code -eq 0 ] || fail 1 "${run[0]##*/} failed with exit code $code"
