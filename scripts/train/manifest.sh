#!/bin/sh
# Writes the manifest of a model that was trained on the simulated plant: manifest.sh DATA DIR
#
# DATA is the table that it was trained with, DIR has model.ubj and golden.csv and gets manifest.json: what people call the
# sensors, and how their values are spread in the table. Equal files give equal bytes.
set -eu

[ $# -eq 2 ] || {
  echo "usage: manifest.sh DATA DIR" >&2
  exit 2
}
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
data=$(realpath -- "$1")
dir=$(realpath -- "$2")
work=$root/.cache/train/package
mkdir -p "$work"
cd "$root"
go run ./components/sensor-simulator describe -out "$work/description.json"
go run ./components/model-fetcher pack -dir "$dir" -describe "$work/description.json" -table "$data" \
  -version 1.0.0 -created 2026-11-28 -expires 36500d -out "$work"
cp "$work/manifest.json" "$dir/manifest.json"
