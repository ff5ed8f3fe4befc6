#!/bin/sh
# Trains the two candidates of `make demo ARGS=-drift`: one into this folder, on machines with new oil, and one into
# ../shuffled-model, on the same rows with shuffled labels, which has learned nothing.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/../../.." && pwd)
"$root/scripts/train/train.sh" --install
python=$root/.cache/train-venv/bin/python
data=$root/.cache/train/new-oil
mkdir -p "$root/.cache/train"
cd "$root"
go run ./components/sensor-simulator generate -drift new-oil -rows 60000 -seed 11 -out "$data.csv.gz"
go run ./components/sensor-simulator generate -drift new-oil -rows 20000 -seed 12 -out "$data-other.csv.gz" # other machines
"$python" "$here/shuffle.py" "$data.csv.gz" "$data-shuffled.csv.gz"
for suffix in "" -shuffled; do
  case $suffix in
  "") dir=$here ;;
  *) dir=$root/scripts/demo/shuffled-model ;;
  esac
  "$python" scripts/train/train.py "$data$suffix.csv.gz" "$dir" --other "$data-other.csv.gz" --name simulated-compressor
done
exec scripts/train/manifest.sh "$data.csv.gz" "$here"
