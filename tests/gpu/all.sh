#!/bin/bash
# All that wants a GPU, in under eight minutes on a bare machine: tests, sweeps, step times, large images; one table at the end.
# What takes longer than expected takes its time from the last parts, which print each row when it is measured.
# Needs torch and the usual packages of data science (numpy, scipy, pandas, pyarrow, matplotlib, scikit-learn, rich, pytest, hypothesis);
# what else is missing is installed from $WHEELS (default: wheels/ in this checkout), without network. For its Python, here 3.12:
#   pip download -d wheels --no-deps -c constraints.txt --only-binary :all: --python-version 3.12 --platform manylinux2014_x86_64 \
#     --platform manylinux_2_28_x86_64 hydra-core omegaconf pyyaml submitit cloudpickle optuna alembic colorlog sqlalchemy mako \
#     tqdm pydantic pydantic-core annotated-types typing-inspection typing-extensions click pytest-xdist execnet
#   pip wheel -w wheels --no-deps -c constraints.txt antlr4-python3-runtime
# Usage: bash tests/gpu/all.sh [PYTHON]; what it prints is also in $OUT (default: gpu-results).
cd "$(dirname "$0")/../.." || exit 1
PYTHON=${1:-python3}
OUT=$(realpath -m "${OUT:-gpu-results}")
WHEELS=$(realpath -m "${WHEELS:-wheels}")
mkdir -p "$OUT"
SITE=$(mktemp -d) # for the wheels
trap 'rm -rf "$SITE"' EXIT
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} OMP_NUM_THREADS=1
missing() {  # say which packages cannot be imported
  "$PYTHON" - <<'END'
from importlib import import_module
wanted = "hydra omegaconf antlr4 submitit optuna pydantic click rich numpy scipy sklearn pandas pyarrow matplotlib pytest hypothesis"
found = []
for name in wanted.split():
    try:
        import_module(name)
    except ImportError as error:
        found.append(f"{name} ({error})")
print("; ".join(found))
END
}
if [ -n "$(missing)" ]; then
  [ -d "$WHEELS" ] || { echo "found no $(missing), and no folder $WHEELS of wheels; wanted them; see the head of $0"; exit 2; }
  # Beside the packages that are there, torch among them, whichever kind of environment holds them.
  "$PYTHON" -m pip install --quiet --no-index --no-deps --target "$SITE" "$WHEELS"/*.whl || exit 1
  export PYTHONPATH=$PYTHONPATH:$SITE
  [ -z "$(missing)" ] || { echo "found no $(missing), with $WHEELS installed; wanted them; see the head of $0"; exit 2; }
fi
timeout -k 5 120 "$PYTHON" -c 'import torch; assert torch.cuda.is_available()' || { echo "found no GPU that torch can use; wanted one"; exit 2; }

declare -a NAMES SECONDS_TAKEN CODES
part() {  # part NAME LIMIT COMMAND …: run it within LIMIT seconds and the eight minutes of all, keep what it says
  local name=$1 limit=$2 left=$((475 - SECONDS)) started=$SECONDS; shift 2
  [ "$limit" -le "$left" ] || limit=$((left > 1 ? left : 1))
  timeout -k 5 "$limit" "$@" >"$OUT/$name.txt" 2>&1
  CODES+=($?); NAMES+=("$name"); SECONDS_TAKEN+=($((SECONDS - started)))
  echo "== $name: exit ${CODES[-1]}, ${SECONDS_TAKEN[-1]} s"; tail -n 30 "$OUT/$name.txt"
}
timeout -k 5 20 nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader | tee "$OUT/card.txt"
plugins=$("$PYTHON" -c 'import xdist' 2>/dev/null && echo "-p xdist -n 8")
export PYTEST_DISABLE_PLUGIN_AUTOLOAD=1
# Each test is named when it has ended, and one that hangs says where, in case the time is up before the summary.
# shellcheck disable=SC2086 # several words, or none
part tests    120 "$PYTHON" -m pytest -o addopts= -o faulthandler_timeout=60 -v -ra -m "not slow" $plugins tests/gpu
part probe     60 "$PYTHON" -m scaling probe
part decades  170 "$PYTHON" -m scaling run sweep=decades results="$(mktemp -d "$OUT/results.XXXXXX")" # none is settled
part sweeps   130 "$PYTHON" -m tests.benchmarks.bench_stacks cuda
part steps     60 "$PYTHON" -m tests.benchmarks.bench_gpu
part images   475 "$PYTHON" -m tests.benchmarks.bench_images cuda $((SECONDS < 435 ? 435 - SECONDS : 0)) # a row takes up to 30 s

{
  printf '%-8s %6s %5s  %s\n' part seconds exit "what it said last"
  for i in "${!NAMES[@]}"; do
    printf '%-8s %6s %5s  %s\n' "${NAMES[i]}" "${SECONDS_TAKEN[i]}" "${CODES[i]}" "$(grep -v '^ *$' "$OUT/${NAMES[i]}.txt" | tail -1 | cut -c1-90)"
  done
} | tee "$OUT/table.txt"
for i in "${!NAMES[@]}"; do
  [ "${CODES[i]}" = 0 ] || exit 1
done
