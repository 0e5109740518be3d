// The words of CUDA that kernels use beyond C++: CUDA's own, or those of the emulator that runs the
// same sources in the tests (tests/cuda/emulator/emulator.h).
#pragma once

#ifdef KERATIN_CUDA
#include <cuda_runtime.h>
#else
#include <emulator.h>
#endif
