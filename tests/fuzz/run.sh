#!/usr/bin/env bash
# Runs the fuzzing targets in a build folder, each for some seconds, from files in tests/golden on.
#
#   tests/fuzz/run.sh build-fuzz 60                 # all of them
#   tests/fuzz/run.sh build-fuzz 600 npy keras      # these
#
# What a target learns stays in FOLDER/fuzz/corpus, so that the next run goes on from there; an input
# that is a fault is kept in FOLDER/fuzz/faults, and the target run on that file alone shows it again.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
programs=$(cd "$1" && pwd)/tests/fuzz work=$(cd "$1" && pwd)/fuzz seconds=$2
shift 2
golden=$root/tests/golden
all=(npy npz json csv hdf5 model_json keras legacy_h5 weights_h5 backup)
targets=("${@:-${all[@]}}")

export OMP_NUM_THREADS=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
# libhdf5 loses a little memory on damaged files. Memory for a tensor may be refused.
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1

# extract ARCHIVE FOLDER
extract() {
  mkdir -p "$2"
  (cd "$2" && cmake -E tar xf "$1" 2>/dev/null) || true  # some are damaged on purpose
}

# Files that hold others are taken apart once.
if [ ! -d "$work/parts" ]; then
  for archive in "$golden"/files/*.keras "$golden"/hostile/config_*.keras "$golden"/hostile/weights_*.keras \
                 "$golden"/files/optimizer_*.npz "$root"/tests/data/*.npz; do
    if [ -f "$archive" ]; then extract "$archive" "$work/parts/$(basename "$archive")"; fi
  done
fi

# seeds TARGET: their paths
seeds() {
  case $1 in
    npy) find "$work/parts" "$root/tests/data" -name '*.npy' -size -16k ;;
    npz) find "$golden" "$root/tests/data" -name '*.npz' -size -64k ;;
    json) find "$work/parts" "$golden" -name '*.json' -size -16k ;;
    csv) ;;
    hdf5) find "$work/parts" "$golden" -name '*.h5' -size -64k ;;
    model_json) find "$work/parts" -name config.json -size -8k ;;
    keras) find "$golden" -name '*.keras' -type f -size -20k ;;
    legacy_h5) find "$golden" -name '*.h5' -not -name '*.weights.h5' ;;
    weights_h5) find "$golden/hostile" -name '*.weights.h5' ;;
    backup) ;;
  esac
}

# longest TARGET: of its inputs, in bytes. Where little is enough to say all, more is only slow.
longest() {
  case $1 in
    npy | csv) echo 512 ;;
    json) echo 2048 ;;
    npz) echo 16384 ;;
    *) echo 131072 ;;
  esac
}

faults() { grep -a -E '^==[0-9]+== ?ERROR|runtime error:' "$1" || true; }

# Faults of libhdf5 itself: it is what the first frames of the stack are in.
faults_of_libhdf5() {
  awk '/^==[0-9]+== ?ERROR/ { open = 1; next }
       open && /^ *#[0-4] / && /libhdf5/ { count++; open = 0 }
       open && /^ *#5 / { open = 0 }
       END { print count + 0 }' "$1"
}

failed=()
for target in "${targets[@]}"; do
  [ -x "$programs/fuzz_$target" ] || { echo "$target: there is no such target" >&2; exit 2; }
  corpus=$work/corpus/$target seeds=$work/seeds/$target log=$work/$target.log
  rm -rf "$seeds"
  mkdir -p "$corpus" "$seeds" "$work/faults"
  seeds "$target" | nl -w 4 -n rz | while read -r number path; do ln -s "$path" "$seeds/$number"; done
  options=(-print_funcs=0 -max_total_time="$seconds" -max_len="$(longest "$target")" -timeout=5 -rss_limit_mb=3000
           -malloc_limit_mb=1000 -artifact_prefix="$work/faults/$target-")
  dictionary=$root/tests/fuzz/$target.dict
  if [ -f "$dictionary" ]; then options+=(-dict="$dictionary"); fi
  # libhdf5 is known to crash on some files: a process is then lost, and another one goes on.
  case $target in
    hdf5 | keras | legacy_h5 | weights_h5) options+=(-fork=1 -ignore_crashes=1) ;;
  esac
  # Warnings of the library are not for anyone to read here.
  { "$programs/fuzz_$target" "${options[@]}" "$corpus" "$seeds" 2>&1 || true; } |
    grep -v -a '^Warning: ' >"$log" || true
  all=$(faults "$log" | wc -l) of_libhdf5=$(faults_of_libhdf5 "$log")
  printf '%-10s %9s executions, %s, %d faults' "$target" \
    "$(grep -a -o -E '^(#|Done )[0-9]+' "$log" | tail -n 1 | tr -d '# A-Za-z')" \
    "$(grep -a -o 'cov: [0-9]* ft: [0-9]*' "$log" | tail -n 1)" $((all - of_libhdf5))
  if [ "$of_libhdf5" -gt 0 ]; then printf ', and %d inside libhdf5' "$of_libhdf5"; fi
  printf '\n'
  if [ "$all" -gt "$of_libhdf5" ]; then failed+=("$target"); fi
done
if [ ${#failed[@]} -gt 0 ]; then
  echo "Faults in ${failed[*]}: the inputs are in $work/faults, the logs beside them."
  exit 1
fi
