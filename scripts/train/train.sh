#!/bin/sh
# Trains a model: train.sh [-label NAME] [-separator CHARACTER] [-drop NAMES] [DATA [OUT]]; train.sh --install only installs
# XGBoost.
#
# DATA is a labelled CSV table (.csv or .csv.gz), such as the UCI APS file; without one, rows of the simulated plant are
# generated. The label is the column "class" or -label; columns that are no sensors are left out with -drop a,b. OUT gets
# model.ubj, golden.csv and report.md, and without DATA manifest.json (see manifest.sh). Python with XGBoost is put into
# .cache/train-venv first.
set -eu

usage() {
  echo "usage: train.sh [-label NAME] [-separator CHARACTER] [-drop NAMES] [DATA [OUT]] | --install" >&2
  exit 2
}

label='' separator='' drop=''
while :; do
  case ${1:-} in
  -label | --label | -separator | --separator | -drop | --drop)
    [ $# -gt 1 ] || usage
    ;;
  esac
  case ${1:-} in
  -label | --label) label=$2 ;;
  -separator | --separator) separator=$2 ;;
  -drop | --drop) drop=$2 ;;
  *) break ;;
  esac
  shift 2
done
[ $# -le 2 ] || usage
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
# shellcheck source=scripts/train/env.sh
. "$root/scripts/train/env.sh"
data=${1:-}
out=${2:-$cache/train/model}

generate() {
  (cd "$root" && go run ./components/sensor-simulator generate -rows "$1" -seed "$2" -out "$3")
}

case $data in
--install)
  need_python
  make_venv
  exit
  ;;
-*) fail "unknown option $data" ;;
esac

# What the user gave is checked before XGBoost is installed, which takes minutes.
if [ -n "$data" ]; then
  [ -f "$data" ] || fail "there is no file $data"
else
  command -v go >/dev/null || fail "go is missing, which generates the rows: give a data file instead"
fi
mkdir -p "$out" || fail "the folder $out cannot be made"
need_python
if [ -n "$data" ] && ! installed; then
  python3 "$here/table.py" "$data" ${label:+-label "$label"} ${separator:+-separator "$separator"} ${drop:+-drop "$drop"}
fi
make_venv
if [ -n "$data" ]; then
  exec "$venv/bin/python" "$here/train.py" "$data" "$out" \
    ${label:+-label "$label"} ${separator:+-separator "$separator"} ${drop:+-drop "$drop"}
fi

mkdir -p "$cache/train"
generate 100000 1 "$cache/train/plant.csv.gz"
generate 20000 2 "$cache/train/other.csv.gz" # other machines: none of them is in the training
"$venv/bin/python" "$here/train.py" "$cache/train/plant.csv.gz" "$out" --other "$cache/train/other.csv.gz" --name simulated-compressor
exec "$here/manifest.sh" "$cache/train/plant.csv.gz" "$out"
