// The words of CUDA that kernels use beyond C++: those of nvcc, or of the emulator that runs the
// same sources in the tests (tests/cuda/emulator/emulator.h).
#pragma once

#ifdef __CUDACC__
#include <cuda_runtime.h>
#else
#include <emulator.h>
#endif
