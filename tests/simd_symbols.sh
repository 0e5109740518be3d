#!/usr/bin/env bash
# The linker keeps one copy of an inline function that several object files have. One that was
# compiled for AVX must not be that copy, so every such function in the kernels' objects has its
# instruction set in its name.
#
#   simd_symbols.sh OBJECT ...
set -euo pipefail
found=$(nm -C "$@" | grep ' W ' | grep -v 'avx512\|avx2\|sse2' || true)
if [ -n "$found" ]; then
  echo "shared between instruction sets:"
  echo "$found"
  exit 1
fi
