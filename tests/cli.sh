#!/usr/bin/env bash
# The command keratin as its users meet it: cli.sh KERATIN GOLDEN_FILES
set -euo pipefail
keratin=$1
files=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

fail() {
  echo "FAILED: $1"
  exit 1
}
# expect STATUS TEXT COMMAND...: the exit status, and a text in what is printed
expect() {
  local status=$1 text=$2 got=0
  shift 2
  "$@" >printed 2>&1 || got=$?
  [ "$got" = "$status" ] || { cat printed; fail "$*: exit status $got instead of $status"; }
  [ -z "$text" ] || grep -qF -- "$text" printed || { cat printed; fail "$*: printed nothing of \"$text\""; }
}

expect 0 'lstm (LSTM)' "$keratin" summary "$files/seed_model.keras"
expect 0 'fit' "$keratin" --help
expect 0 'Examples' "$keratin" --help
expect 2 'keratin: ' "$keratin" fit
expect 2 '--epochs' "$keratin" fit a.keras b.npz --epochs 0
expect 1 'keratin: none.keras: cannot open' "$keratin" summary none.keras
[ "$(wc -l <printed)" = 1 ] || fail "an error is one line"
expect 2 'unknown command "fitt"' "$keratin" fitt
expect 2 '--samples: expected a number above 0, got 0' "$keratin" gradcheck a.keras b.npz --samples 0
printf 'a,b\n1,2\n' >two.csv
expect 1 'two.csv: lstm (LSTM): expected inputs (batch, time, 4)' "$keratin" predict "$files/seed_model.keras" two.csv

data="$files/seed_model.npz"
"$keratin" predict "$files/seed_model.keras" x.npz -o p.npy 2>/dev/null && fail "there is no x.npz"
expect 0 'y_0' "$keratin" predict "$files/seed_model.keras" "$data"
"$keratin" predict "$files/seed_model.keras" "$data" | head -1 >/dev/null
expect 0 '' "$keratin" predict "$files/seed_model.keras" "$data" -o p.npz
[ -s p.npz ] || fail "predictions were not written"

expect 0 'loss: ' "$keratin" evaluate "$files/seed_model.keras" "$data"
expect 0 '' "$keratin" fit "$files/seed_model.keras" "$data" --epochs 2 --batch-size 5 --no-shuffle \
  -o trained.keras --history h.csv --report r.html --checkpoint best.keras
[ "$(wc -l <h.csv)" = 3 ] || fail "a row for each epoch"
grep -q '<html' r.html || fail "the report is no page"
expect 0 '' "$keratin" fit trained.keras "$data" --optimizer sgd --learning-rate 0.1 \
  --validation-split 0.25 --early-stopping 1 --seed 1
expect 1 'differs by up to' "$keratin" diff "$files/seed_model.keras" trained.keras
expect 0 '' "$keratin" diff trained.keras trained.keras
for target in copy.keras w.weights.h5 w.h5 w.npz model.json; do
  expect 0 '' "$keratin" convert trained.keras "$target"
done
expect 0 '' "$keratin" diff trained.keras copy.keras
expect 0 'lstm (LSTM)' "$keratin" summary copy.keras
expect 0 '' "$keratin" plot copy.keras -o m.svg
grep -q 'lstm (LSTM)' m.svg || fail "the picture lacks the layer"
if "$keratin" export trained.keras -o m.onnx 2>said; then
  [ -s m.onnx ] || fail "nothing was exported"
else
  grep -q 'cannot write ONNX' said || fail "an export failed"  # in a build without it
fi
expect 1 'expected a path that ends in .c or .onnx' "$keratin" export trained.keras -o m.txt
if "$keratin" fit trained.keras "$data" --tensorboard logs >said 2>&1; then
  ls logs/train/events.out.tfevents.* >/dev/null || fail "nothing for TensorBoard"
else
  grep -q 'cannot write event files' said || fail "a training for TensorBoard failed"
fi
expect 0 'elements agree, 0 do not' "$keratin" gradcheck "$files/seed_model.keras" "$data" --samples 2

# The man page and the completion know all commands and options.
"$keratin" --man >keratin.1
"$keratin" --completion >keratin.bash
bash -n keratin.bash
(
  . ./keratin.bash
  COMP_WORDS=(keratin fit --ep) COMP_CWORD=2
  _keratin
  [ "${COMPREPLY[*]}" = --epochs ]
  COMP_WORDS=(keratin ev) COMP_CWORD=1
  _keratin
  [ "${COMPREPLY[*]}" = evaluate ]
) || fail "the completion does not complete"
grep -q 'keratin fit MODEL DATA' keratin.1 && grep -q 'early.-stopping' keratin.1 || fail "the man page lacks something"
if command -v man >/dev/null; then
  [ -z "$(LC_ALL=C.UTF-8 MANWIDTH=100 man --warnings -E UTF-8 -l -Tutf8 -Z ./keratin.1 2>&1 >/dev/null)" ] ||
    fail "the man page has faults"
fi

# A signal ends fit after its batch; the model so far is saved, and the backup is gone on from.
for signal in INT:130 TERM:143; do
  expect "${signal#*:}" 'fit goes on from backup' timeout --preserve-status -k 30 -s "${signal%:*}" 3 \
    "$keratin" fit "$files/seed_model.keras" "$data" --epochs 1000000 -o stopped.keras --backup backup
  expect 0 'lstm (LSTM)' "$keratin" summary stopped.keras
  [ -s backup/latest.npz ] || fail "there is no backup"
done
expect 0 '' "$keratin" fit "$files/seed_model.keras" "$data" --epochs 1 --backup backup
[ ! -e backup ] || fail "the backup of a complete run stayed"
echo "The command does what it says."
