#!/bin/sh
# Trains a model of remaining life: life.sh DATA [OUT [FLAGS]]; life.py says what DATA may be, and has the flags.
#
# OUT gets what `model-fetcher pack -dir OUT` and `inference-engine life -model OUT` take, and a report. Python with XGBoost
# is put into .cache/train-venv first.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
# shellcheck source=scripts/train/env.sh
. "$root/scripts/train/env.sh"

data=${1:-}
out=${2:-$cache/train/life}
[ $# -lt 2 ] || shift
[ $# -lt 1 ] || shift
[ -n "$data" ] || fail "name the table of machines that wear out: make train-life DATA=FILE [OUT=DIR]"
[ -f "$data" ] || fail "there is no file $data"

engine=$cache/bin/inference-engine
if command -v go >/dev/null; then
  (cd "$root" && CGO_ENABLED=0 go build -trimpath -o "$engine" ./components/inference-engine)
elif [ -x "$root/bin/inference-engine" ]; then
  engine=$root/bin/inference-engine
else
  fail "go is missing, which builds the program that makes the inputs"
fi
mkdir -p "$out" || fail "the folder $out cannot be made"
need_python
if ! installed; then # what is wrong with the table is said before XGBoost is installed, which takes minutes
  python3 "$here/lifetable.py" "$data" "$@"
fi
make_venv
exec "$venv/bin/python" "$here/life.py" "$data" "$out" --engine "$engine" "$@"
