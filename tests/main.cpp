// KERATIN_DEVICE=cuda:0 runs the suite on an emulated device: every tensor that a test makes is
// made there. KERATIN_THREAD_ORDER=backward or shuffled runs that device's threads in another
// order.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

#include <keratin/core/device.h>
#ifndef KERATIN_CUDA
#include <keratin/core/cuda/cuda_backend.h>

#include "cuda/emulator/emulation.h"
#endif

// The HDF5 library loses some memory where a file is damaged; nothing else may.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:libhdf5\n"; }

int main(int argc, char** argv) {
#ifndef KERATIN_CUDA
  keratin::set_cuda_backend(&keratin::cuda::backend());
  const char* order = std::getenv("KERATIN_THREAD_ORDER");
  if (order != nullptr && order == std::string("backward"))
    emulation::order = emulation::Order::backward;
  if (order != nullptr && order == std::string("shuffled"))
    emulation::order = emulation::Order::shuffled;
#endif
  if (const char* device = std::getenv("KERATIN_DEVICE")) keratin::set_default_device(device);
  return doctest::Context(argc, argv).run();
}
