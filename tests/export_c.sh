#!/usr/bin/env bash
# Models as C files, compiled and run; what they predict is what Keras predicted with the same file:
# export_c.sh KERATIN GOLDEN_FILES
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
warnings=(-Wall -Wextra -Wpedantic -Werror)
compilers=(cc)
if command -v clang >/dev/null; then compilers+=(clang); fi

# check NAME [OPTION...]: exports the model, and runs the test in the file
check() {
  local name=$1 compiler
  shift
  "$keratin" export "$files/$name.keras" -o model.c --samples "$files/$name.npz" "$@"
  for compiler in "${compilers[@]}"; do
    "$compiler" -std=c99 "${warnings[@]}" -DMODEL_TEST model.c -o model -lm || fail "$name: $compiler"
    ./model >printed || { cat printed; fail "$name: it predicts something else"; }
  done
}
check_with_sanitizers() {
  cc -std=c99 -g -fsanitize=address,undefined -fno-sanitize-recover=all -DMODEL_TEST model.c -o model -lm
  ./model >printed || { cat printed; fail "$1: a fault"; }
}
check_as_cpp() {
  c++ -x c++ "${warnings[@]}" -DMODEL_TEST model.c -o model -lm || fail "$1 as C++"
  ./model >printed || { cat printed; fail "$1 as C++ predicts something else"; }
}

for name in seed_model bidirectional convolutions embedding_with_mask encoder_decoder float64 \
  normalization_adapted normalizations spectral_normalization time_distributed transformer \
  two_inputs_two_outputs; do
  check "$name" --max-steps 20
  check_with_sanitizers "$name"
  check_as_cpp "$name"
done
for name in conv_lstm2d operations dropout inputs_by_name nested_functional nested_sequential old_2.15.0 old_3.15.1 shared_layer; do
  check "$name" --max-steps 20
done

# What no C file can be made of is refused by name, and an old file stays.
echo old >old.c
for name in masking_and_state images discretization_adapted; do
  if "$keratin" export "$files/$name.keras" -o old.c --max-steps 20 2>printed; then fail "$name is exported"; fi
  grep -qE '^keratin: export_c: [^ ]+ \([A-Za-z0-9]+\): ' printed || { cat printed; fail "$name: no layer is named"; }
  [ "$(cat old.c)" = old ] || fail "$name: the old file is gone"
done
if "$keratin" export "$files/seed_model.keras" -o model.txt 2>printed; then fail "a .txt file is written"; fi
grep -qF 'expected a path that ends in .c' printed || fail "the ending is not named"

# A program of two models, which knows them by their interfaces alone.
"$keratin" export "$files/seed_model.keras" -o first.c
"$keratin" export "$files/two_inputs_two_outputs.keras" -o second.c --name other
cat >main.c <<'TEXT'
#define FIRST_INTERFACE
#include "first.c"
#define OTHER_INTERFACE
#include "second.c"
static first_workspace work;
int main(void) {
  float x[FIRST_X_SIZE] = {0}, y[FIRST_Y_SIZE];
  return first_predict(x, y, &work) != 0 || sizeof(other_workspace) < sizeof(float);
}
TEXT
cc -std=c99 "${warnings[@]}" main.c first.c second.c -o main -lm
./main || fail "a program of two models"
echo "The models in C predict what they predicted in Keras."
