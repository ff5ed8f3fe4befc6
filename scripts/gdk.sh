#!/usr/bin/env bash
# Builds or publishes every component with the Greengrass Development Kit CLI, the suite last.
# Usage: gdk.sh build|publish [FLAG...]   (flags go to `gdk component publish`, e.g. --region eu-west-1)
# Publishing always builds first: GDK itself publishes a stale build without a word.
set -euo pipefail

action=${1:-}
case $action in
build | publish) shift ;;
-h | --help)
  sed -n '2,4s/^# //p' "${BASH_SOURCE[0]}"
  exit 0
  ;;
*)
  echo "gdk.sh: name build or publish; see -h" >&2
  exit 2
  ;;
esac
if ! command -v gdk >/dev/null; then
  echo "gdk.sh: gdk is not on PATH: install AWS's Greengrass Development Kit CLI 1.6.2 from its Git repository," >&2
  echo "  aws-greengrass/aws-greengrass-gdk-cli (the package called gdk on PyPI is something else)" >&2
  exit 3
fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."
for project in recipes/*/ ./; do
  echo "== $project: gdk component $action"
  (
    cd "$project"
    gdk component build
    if [ "$action" = publish ]; then gdk component publish "$@"; fi
  )
done
