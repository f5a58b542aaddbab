#!/usr/bin/env bash
# Everything worth knowing about a GPU in one call of under 8 minutes: the tests that need one, then
# rates of training and inference. Install first (make install), or name the interpreter: PY=python3
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PY=${PY:-.venv/bin/python}
export PYTHONPATH="$PWD:$PWD/platform${PYTHONPATH:+:$PYTHONPATH}"
failed=0
timeout 180 "$PY" -m pytest -m gpu -q tests/science || failed=1
timeout 240 "$PY" benchmarks/gpu_rates.py "$@" || failed=1
if "$PY" -c 'import detectron2' 2>/dev/null; then
    timeout 60 "$PY" -m pytest -q tests/science/systems/test_detectors_detectron2.py || failed=1
else
    echo "detectron2 is not installed: not compared"
fi
exit "$failed"
