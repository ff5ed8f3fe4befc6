#!/usr/bin/env bash
# Builds or publishes every component with the Greengrass Development Kit CLI, the suite last.
# Usage: gdk.sh build|publish [FLAG...]   (flags go to `gdk component publish`, e.g. --region eu-west-1)
# Publishing always builds first: GDK itself publishes a stale build without a word.
# A version that gdk-config.json names and that is registered already is left as it is, so that a publication that failed
# half way can be run again: GDK would overwrite its artifacts in the bucket before it finds out. This needs the AWS CLI.
set -euo pipefail

fail() { # CODE MESSAGE
  echo "gdk.sh: $2" >&2
  exit "$1"
}

action=${1:-}
case $action in
build | publish) shift ;;
-h | --help)
  sed -n '2,6s/^# //p' "${BASH_SOURCE[0]}"
  exit 0
  ;;
*) fail 2 "name build or publish; see -h" ;;
esac
command -v gdk >/dev/null || fail 3 "gdk is not on PATH: install AWS's Greengrass Development Kit CLI 1.6.2 from its Git repository,
  aws-greengrass/aws-greengrass-gdk-cli, as docs/deploy-gdk.md shows (the package called gdk on PyPI is something else)"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# config PROJECT KEY prints a value of the project's gdk-config.json, or with KEY component the component's name.
config() {
  if [ "$2" = component ]; then
    sed -n 's/^ *"\(com\.[A-Za-z.]*\)": *{.*/\1/p' "$1/gdk-config.json"
  else
    sed -n "s/^ *\"$2\": *\"\([^\"]*\)\".*/\1/p" "$1/gdk-config.json"
  fi
}

# region_of PROJECT FLAG... prints the region to which GDK publishes with these flags.
region_of() {
  local region
  region=$(config "$1" region)
  shift
  while [ $# -gt 0 ]; do
    case $1 in
    -r | --region) region=${2:-} ;;
    --region=*) region=${1#*=} ;;
    esac
    shift
  done
  echo "$region"
}

# state_of NAME VERSION REGION prints the state of a registered version, and nothing for one that is not registered.
state_of() {
  local partition=aws output
  case $3 in
  cn-*) partition=aws-cn ;;
  us-gov-*) partition=aws-us-gov ;;
  esac
  if output=$(aws greengrassv2 describe-component --region "$3" --query status.componentState --output text \
    --arn "arn:$partition:greengrass:$3:$account:components:$1:versions:$2" 2>&1); then
    echo "$output"
  else
    case $output in
    *ResourceNotFoundException*) ;;
    *) fail 1 "cannot find out whether $1 $2 is registered: $output" ;;
    esac
  fi
}

# is_published PROJECT FLAG... says whether the version that the project names is registered; NEXT_PATCH is none yet.
is_published() {
  local project=$1 name version region state
  name=$(config "$project" component) version=$(config "$project" version)
  [ "$version" != NEXT_PATCH ] || return 1
  region=$(region_of "$@")
  state=$(state_of "$name" "$version" "$region") || exit 1
  case $state in
  '') return 1 ;;
  FAILED) fail 1 "$name $version is registered, and its state is FAILED: delete that version, or name another in $project/gdk-config.json" ;;
  esac
  echo "$name $version is registered already ($state) and is left as it is; what was changed since needs another version"
}

todo=()
for project in recipes/*/ .; do
  project=${project%/}
  if [ "$action" = publish ]; then
    if [ -z "${account:-}" ] && [ "$(config "$project" version)" != NEXT_PATCH ]; then
      command -v aws >/dev/null || fail 3 "aws is not on PATH: it tells which versions are registered (not needed with NEXT_PATCH)"
      account=$(aws sts get-caller-identity --query Account --output text) || fail 1 "cannot find out the account: are there credentials?"
    fi
    ! is_published "$project" "$@" || continue
  fi
  todo+=("$project")
done
if [ ${#todo[@]} -eq 0 ]; then
  echo "there is nothing to publish"
  exit 0
fi
for project in "${todo[@]}"; do
  echo "== $project: gdk component $action"
  (cd "$project" && gdk component build) || fail 1 "gdk component build failed in $project"
  if [ "$action" = publish ]; then
    (cd "$project" && gdk component publish "$@") ||
      fail 1 "gdk component publish failed in $project; when the reason is gone, run the same command again: with fixed versions it goes on from here"
  fi
done
