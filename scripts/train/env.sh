#!/bin/sh
# Python with XGBoost in .cache/train-venv, for the scripts of this folder: they set root and read this file.
: "${root:?}"
here=$root/scripts/train
cache=$root/.cache
venv=$cache/train-venv

fail() {
  echo "${0##*/}: $*" >&2
  exit 1
}

need_python() {
  command -v python3 >/dev/null || fail "python3 is missing: apt-get install python3 python3-venv"
}

# The environment is complete when its stamp holds the hash of the requirements that it was made from.
wanted() {
  python3 -c 'import hashlib, sys
print(hashlib.sha256(sys.version.encode() + open(sys.argv[1], "rb").read()).hexdigest())' "$here/requirements.txt"
}

installed() {
  [ -f "$venv/stamp" ] && [ "$(cat "$venv/stamp")" = "$(wanted)" ]
}

make_venv() {
  if installed; then
    return
  fi
  echo "${0##*/}: installing XGBoost into $venv" >&2
  mkdir -p "$cache"
  python3 -m venv --clear "$venv" >/dev/null 2>&1 || fail "python3 -m venv does not work: apt-get install python3-venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$here/requirements.txt" ||
    fail "the packages of scripts/train/requirements.txt could not be installed"
  wanted >"$venv/stamp"
}
