#!/usr/bin/env bash
# Deploys the staged tree to the nucleus of this machine: with greengrass-cli on the classic nucleus, with ggl-cli on nucleus
# lite, or with greengrass-cli in a container. `scripts/local-deploy.sh -h` says how.
set -euo pipefail

readonly simulator=com.edgepdm.SensorSimulator
readonly max_lite=10 # components that ggl-cli takes in one deployment
readonly container_stage=/edgepdm/stage
readonly poll=${LOCAL_DEPLOY_POLL:-2} # seconds between two looks at the deployment

usage() {
  cat <<'HELP'
Usage: scripts/local-deploy.sh [flags] [NAME[=VERSION] ...]

Deploys components from the staged tree (make stage VERSION=1.2.3) to this machine's Greengrass core. Without names it
deploys everything that is staged but the sensor simulator; name com.edgepdm.SensorSimulator to deploy it, too.
Without a version it takes the newest one that is staged.

  -c, --update-config FILE  JSON file {"NAME":{"MERGE":{...},"RESET":["/key"]}} (classic only). The nucleus applies it to
                            components that this command names, and ignores it for those that come as dependencies:
                            a name of the file that is not deployed by name is an error
  -a, --add-configured      deploy the components that the configuration file names by name, too
      --rollback            go back to what was there before if the deployment fails (classic only)
      --no-wait             do not wait for the result
      --timeout SECONDS     wait at most so long for the result; default 600
  -d, --remove NAME         remove a component; repeatable; then no others are deployed unless named
  -n, --dry-run             print the command, and do not run it
  -r, --runtime RUNTIME     classic or lite; otherwise by the command that is there
  -s, --stage DIR           staged tree; default artifacts-build
      --docker CONTAINER    run greengrass-cli in this container, which has the tree at /edgepdm/stage
      --root DIR            root of the nucleus; default $GGC_ROOT_PATH, else /greengrass/v2 (classic) or
                            /var/lib/greengrass (lite)
  -h, --help                this text

On lite only what is not installed yet is handed over: lite copies all that it gets, and cannot write over a program
that runs.

Exit codes: 0 deployed, 1 failed, 2 the command line is wrong, 3 no Greengrass command line is here, 4 no result in time.
greengrass-cli is in /greengrass/v2/bin, which is not on PATH; it comes with the component aws.greengrass.Cli.
After it: greengrass-cli component list, or systemctl status 'ggl.com.edgepdm.*'
HELP
}

fail() { # CODE MESSAGE
  echo "local-deploy.sh: $2" >&2
  exit "$1"
}

config='' runtime='' stage='' container='' dry_run=false add_configured=false rollback=false wait=true timeout=600
root=${GGC_ROOT_PATH:-}
remove=() names=()
while [ $# -gt 0 ]; do
  case $1 in
  -c | --update-config | -d | --remove | -r | --runtime | -s | --stage | --docker | --root | --timeout)
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
  --timeout) timeout=$2 && shift ;;
  -a | --add-configured) add_configured=true ;;
  --rollback) rollback=true ;;
  --no-wait) wait=false ;;
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
case $timeout in '' | *[!0-9]*) fail 2 "--timeout is $timeout, must be a number of seconds" ;; esac
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
  local classic lite classic_root=${root:-/greengrass/v2}
  classic=$(command -v greengrass-cli || true)
  [ -n "$classic" ] || [ ! -x "$classic_root/bin/greengrass-cli" ] || classic=$classic_root/bin/greengrass-cli
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
      fail 3 "neither greengrass-cli (not on PATH, not in $classic_root/bin: deploy aws.greengrass.Cli) nor ggl-cli is here"
    fi
    ;;
  classic) [ -n "$classic" ] || fail 3 "greengrass-cli is not on PATH and not in $classic_root/bin: deploy aws.greengrass.Cli" ;;
  lite) [ -n "$lite" ] || fail 3 "ggl-cli is not on PATH: it comes with nucleus lite" ;;
  *) fail 2 "--runtime is $runtime, must be classic or lite" ;;
  esac
  if [ "$runtime" = classic ]; then
    cli=("$classic")
    # greengrass-cli finds its token below the root, and looks for it in the usual place only.
    [ "$classic_root" = /greengrass/v2 ] || cli+=(--ggcRootPath "$classic_root")
  else
    cli=("$lite")
  fi
}

# choose_components turns names into NAME=VERSION, in the array components.
choose_components() {
  components=()
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

# configured prints the names at the top of the configuration file, which is JSON.
configured() {
  awk '{
    for (i = 1; i <= length($0); i++) {
      c = substr($0, i, 1)
      if (quoted) {
        if (escaped) { escaped = 0; text = text c }
        else if (c == "\\") escaped = 1
        else if (c == "\"") quoted = 0
        else text = text c
      } else if (c == "\"") { quoted = 1; text = "" }
      else if (c == "{" || c == "[") depth++
      else if (c == "}" || c == "]") depth--
      else if (c == ":" && depth == 1) print text
    }
  } END { if (depth != 0 || quoted) exit 1 }' "$config"
}

# check_config refuses a configuration that the nucleus would ignore, or names its components, too.
check_config() {
  if [ -z "$config" ] || [ "$runtime" = lite ]; then return 0; fi # lite takes none
  [ -r "$config" ] || fail 1 "cannot read $config"
  local keys name item found
  keys=$(configured) || fail 1 "$config is not JSON: its brackets or quotes do not close"
  for name in $keys; do
    found=false
    for item in "${names[@]}"; do
      [ "${item%%=*}" != "$name" ] || found=true
    done
    if ! $found && $add_configured; then
      names+=("$name")
    elif ! $found; then
      fail 2 "$config configures $name, which this command does not name: the nucleus would ignore that. Name it, or use --add-configured"
    fi
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
    # As text, not as a path: in a container the file is not there.
    run+=(--update-config "$(cat "$config")")
  fi
  ! $rollback || run+=(--failure-handling-policy ROLLBACK)
}

# lite_tree makes a tree of what is staged in the versions that are deployed, and not installed yet.
lite_tree() {
  local installed=${root:-/var/lib/greengrass}/packages item version file name
  tree=$(mktemp -d) # stays until the result is there: lite copies it when it comes to it
  mkdir -p "$tree/recipes" "$tree/artifacts"
  for item in "${components[@]}"; do
    version=${item#*=}
    for file in "$stage"/recipes/*-"$version".yaml; do
      name=${file##*/}
      name=${name%-"$version".yaml}
      if [ -e "$installed/recipes/$name-$version.yaml" ] || [ -e "$tree/recipes/$name-$version.yaml" ]; then continue; fi
      cp "$file" "$tree/recipes/"
      [ ! -d "$stage/artifacts/$name/$version" ] || {
        mkdir -p "$tree/artifacts/$name"
        cp -R "$stage/artifacts/$name/$version" "$tree/artifacts/$name/"
      }
    done
  done
  chmod -R a+rX "$tree"
}

lite_command() {
  ! $rollback || fail 2 "ggl-cli has no --rollback: nucleus lite goes back by itself where it can"
  [ -z "$config" ] || fail 2 "ggl-cli cannot change a configuration: write the values into the staged recipe's DefaultConfiguration before the first deployment, or use a deployment from the cloud"
  if [ ${#components[@]} -gt "$max_lite" ] || [ ${#remove[@]} -gt "$max_lite" ]; then
    fail 2 "ggl-cli takes at most $max_lite components at a time"
  fi
  run=("${cli[@]}" deploy)
  if [ ${#components[@]} -gt 0 ]; then
    lite_tree
    run+=(-r "$tree/recipes" -a "$tree/artifacts")
  fi
  local item
  for item in "${components[@]}"; do run+=(-c "$item"); done
  for item in "${remove[@]}"; do run+=(-d "$item"); done
}

# await calls a command, which prints a deployment's status, until that is the last one.
await() { # COMMAND
  local status='' before='' deadline=$((SECONDS + timeout))
  while [ "$SECONDS" -le "$deadline" ]; do
    status=$("$1")
    if [ -n "$status" ] && [ "$status" != "$before" ]; then echo "deployment: $status"; fi
    before=$status
    case $status in
    SUCCEEDED) return 0 ;;
    FAILED | CANCELED | REJECTED) return 1 ;;
    esac
    sleep "$poll"
  done
  fail 4 "no result after $timeout s; the last status was ${status:-unknown}"
}

classic_status() {
  "${cli[@]}" deployment status -i "$id" 2>/dev/null | sed -n "s/^$id: *//p" | head -n 1
}

lite_status() {
  journalctl -u ggl.core.ggdeploymentd.service --since "@$begun" -o cat 2>/dev/null |
    sed -n 's/.*Completed deployment processing and reporting job as \([A-Z]*\).*/\1/p' | tail -n 1
}

# follow waits for the result of the deployment that was submitted, with what the command printed.
follow() { # OUTPUT
  if [ "$runtime" = classic ]; then
    id=$(sed -n 's/.*Deployment Id: *\([0-9A-Za-z-]*\).*/\1/p' <<<"$1" | head -n 1)
    [ -n "$id" ] || fail 1 "greengrass-cli did not tell the deployment's id"
    if await classic_status; then return 0; fi
    "${cli[@]}" deployment status -i "$id" >&2 || true
    fail 1 "the deployment failed; see ${root:-/greengrass/v2}/logs/greengrass.log"
  fi
  command -v journalctl >/dev/null || fail 4 "submitted; journalctl, which tells the result on nucleus lite, is not here"
  local succeeded=false
  if await lite_status; then succeeded=true; fi
  [ -z "$tree" ] || rm -rf "$tree" # lite has its own copy now
  ! $succeeded || return 0
  journalctl -u ggl.core.ggdeploymentd.service --since "@$begun" -o cat 2>/dev/null | grep -E '^[EW]\[' | tail -n 10 >&2 || true
  fail 1 "the deployment failed; see journalctl -u ggl.core.ggdeploymentd.service"
}

tree='' id=''
choose_runtime
if [ ${#names[@]} -eq 0 ] && [ ${#remove[@]} -eq 0 ]; then
  mapfile -t names < <(staged | grep -vxF "$simulator")
  [ ${#names[@]} -gt 0 ] || fail 1 "no recipe is staged in $stage/recipes; run: make stage VERSION=1.2.3"
fi
check_config
choose_components
if [ "$runtime" = classic ]; then classic_command; else lite_command; fi

if $dry_run; then
  printf '%q ' "${run[@]}"
  echo
  exit 0
fi
code=0 begun=$(date +%s)
output=$("${run[@]}" 2>&1) || code=$?
[ -z "$output" ] || echo "$output"
[ $code -eq 0 ] || fail 1 "${run[0]##*/} failed with exit code $code"
! $wait || follow "$output"
