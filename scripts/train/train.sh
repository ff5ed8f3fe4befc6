#!/bin/sh
# Trains a model: train.sh [DATA [OUT]] [FLAGS]; train.sh --install only installs XGBoost. train.py has the flags.
#
# DATA is a labelled CSV table (.csv or .csv.gz), such as the UCI APS file; without one, rows of the simulated plant are
# generated. The label is the column "class" or -label; columns that are no sensors are left out with -drop a,b. OUT gets
# model.ubj, golden.csv and reports, and without DATA manifest.json (see manifest.sh). Python with XGBoost is put into
# .cache/train-venv first.
set -eu

usage() {
  echo "usage: train.sh [DATA [OUT]] [FLAG VALUE]... | --install" >&2
  exit 2
}

data='' out='' places=0 left=$#
while [ "$left" -gt 0 ]; do # what is no place is put to the end
  case $1 in
  --install) data=$1 ;;
  -*)
    [ "$left" -gt 1 ] || usage
    set -- "$@" "$1" "$2"
    shift
    left=$((left - 1))
    ;;
  *)
    places=$((places + 1))
    case $places in
    1) data=$1 ;;
    2) out=$1 ;;
    *) usage ;;
    esac
    ;;
  esac
  shift
  left=$((left - 1))
done
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
# shellcheck source=scripts/train/env.sh
. "$root/scripts/train/env.sh"
out=${out:-$cache/train/model}

generate() {
  (cd "$root" && go run ./components/sensor-simulator generate -rows "$1" -seed "$2" -out "$3")
}

if [ "$data" = --install ]; then
  need_python
  make_venv
  exit
fi

# What the user gave is checked before XGBoost is installed, which takes minutes.
if [ -n "$data" ]; then
  [ -f "$data" ] || fail "there is no file $data"
else
  command -v go >/dev/null || fail "go is missing, which generates the rows: give a data file instead"
fi
mkdir -p "$out" || fail "the folder $out cannot be made"
need_python
if [ -n "$data" ] && ! installed; then
  python3 "$here/table.py" "$data" "$@"
fi
make_venv
if [ -n "$data" ]; then
  exec "$venv/bin/python" "$here/train.py" "$data" "$out" "$@"
fi

mkdir -p "$cache/train"
generate 100000 1 "$cache/train/plant.csv.gz"
generate 20000 2 "$cache/train/other.csv.gz" # other machines: none of them is in the training
"$venv/bin/python" "$here/train.py" "$cache/train/plant.csv.gz" "$out" --other "$cache/train/other.csv.gz" --name simulated-compressor "$@"
exec "$here/manifest.sh" "$cache/train/plant.csv.gz" "$out"
