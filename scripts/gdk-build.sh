#!/usr/bin/env bash
# The custom build of `gdk component build`, run by GDK in a component's project: fills greengrass-build/ for all platforms.
# The version is the one of the project's gdk-config.json. With NEXT_PATCH only `gdk component publish` decides which that
# is, so the programs' -version says NEXT_PATCH.
# Usage: gdk-build.sh COMPONENT   (a folder below recipes/, or suite)
set -euo pipefail

if [ $# -ne 1 ]; then
  echo "usage: gdk-build.sh COMPONENT (a folder below recipes/, or suite)" >&2
  exit 2
fi
project=$PWD
# GDK may be started by something that has no environment: Go needs a home for its cache, and may not be on the PATH.
export HOME="${HOME:-$(cd ~ && pwd)}"
command -v go >/dev/null || PATH=$PATH:/usr/local/go/bin
if ! command -v go >/dev/null; then
  echo "gdk-build.sh: go is not on PATH; install Go 1.26 or newer" >&2
  exit 1
fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec go run ./scripts/stage -arch all -only "$1" -gdk "$project"
