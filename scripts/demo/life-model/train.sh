#!/bin/sh
# Trains the demo's model of remaining life, into this folder, on machines that wear out as the demo's do, with 6 minutes between
# two rows. It has a third of the usual trees, as it is part of the source.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/../../.." && pwd)
data=$root/.cache/train/simulated-compressor-life.csv
mkdir -p "$root/.cache/train"
(cd "$root" && go run ./components/sensor-simulator generate -life -rows 200000 -out "$data")
exec "$root/scripts/train/life.sh" "$data" "$here" -spec "$here/spec.json" -cap 40 -learned 44 -rounds 50
