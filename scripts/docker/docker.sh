#!/usr/bin/env bash
# Runs the classic nucleus in a container, for local development: docker.sh up|logs|down|cli
#   up    start it; with PROVISION=true in the environment as a core of your AWS account, else offline
#   logs  follow the nucleus's and the components' logs
#   down  end it, and remove what it kept
#   cli   deploy the staged tree with greengrass-cli (provisioned cores only); further arguments go to local-deploy.sh
# The image is yours: GREENGRASS_IMAGE names it; docs/docker.md says how to build and pin it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
readonly container=edgepdm-greengrass

fail() { # CODE MESSAGE
  echo "docker.sh: $2" >&2
  exit "$1"
}

action=${1:-}
[ $# -eq 0 ] || shift
case $action in
up | logs | down | cli) ;;
-h | --help)
  sed -n '2,7s/^# //p' "${BASH_SOURCE[0]}"
  exit 0
  ;;
*) fail 2 "name up, logs, down or cli; see -h" ;;
esac
command -v docker >/dev/null || fail 3 "docker is not on PATH"
docker compose version >/dev/null 2>&1 || fail 3 "docker has no compose command: install its compose plugin"

files=(-f "$here/compose.yaml")
if [ "${PROVISION:-false}" = true ]; then
  files+=(-f "$here/compose.provision.yaml")
fi
case $action in
up)
  [ -n "${GREENGRASS_IMAGE:-}" ] || fail 2 "GREENGRASS_IMAGE is not set: build the nucleus's image and name it, e.g. GREENGRASS_IMAGE=greengrass:2.15.0; see docs/docker.md"
  [ -d "$root/artifacts-build/recipes" ] || fail 1 "nothing is staged: run make stage"
  if [ "${PROVISION:-false}" = true ]; then
    [ -n "${THING_NAME:-}" ] || fail 2 "THING_NAME is not set: the core's name in your account"
    # Nothing reads it then, but docker would make a folder of its name.
    mkdir -p "$root/docker-run"
    [ -e "$root/docker-run/config.yaml" ] || : >"$root/docker-run/config.yaml"
  else
    [ -f "$root/docker-run/config.yaml" ] || fail 1 "docker-run/config.yaml is not there: run make docker-config"
  fi
  mkdir -p "$root/docker-run/logs"
  # The nucleus reads its initial configuration only when it is installed: a new container each time.
  exec docker compose "${files[@]}" up --detach --force-recreate
  ;;
logs)
  exec docker exec "$container" sh -c 'exec tail -n 50 -F /greengrass/v2/logs/greengrass.log /greengrass/v2/logs/com.edgepdm.*.log'
  ;;
down)
  # Compose demands a value though it needs none for this.
  export GREENGRASS_IMAGE=${GREENGRASS_IMAGE:-none} THING_NAME=${THING_NAME:-none}
  exec docker compose "${files[@]}" down --volumes
  ;;
cli)
  exec "$root/scripts/local-deploy.sh" --docker "$container" "$@"
  ;;
esac
