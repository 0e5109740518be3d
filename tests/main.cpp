// KERATIN_DEVICE=cuda:0 runs the suite on an emulated device: every tensor that a test makes is
// made there.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdlib>

#include <keratin/core/device.h>
#ifndef KERATIN_CUDA
#include <keratin/core/cuda/cuda_backend.h>
#endif

int main(int argc, char** argv) {
#ifndef KERATIN_CUDA
  keratin::set_cuda_backend(&keratin::cuda::backend());
#endif
  if (const char* device = std::getenv("KERATIN_DEVICE")) keratin::set_default_device(device);
  return doctest::Context(argc, argv).run();
}
