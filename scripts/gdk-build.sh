#!/usr/bin/env bash
# The custom build of `gdk component build`, run by GDK in recipes/<component>: fills greengrass-build/ for all platforms.
# Usage: gdk-build.sh COMPONENT
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."
exec go run ./scripts/stage -arch all -only "$1" -gdk "$here"
