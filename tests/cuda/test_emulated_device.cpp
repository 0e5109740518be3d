// What the library asks of a device, counted on the emulated one.
#include <doctest/doctest.h>

#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/memory.h>

#include "../error_of.h"
#include "../on_processor.h"
#include "emulator/emulation.h"

TEST_SUITE_BEGIN("cuda");

using namespace keratin;

TEST_CASE("an op is one launch, and waits for nothing" * on_processor()) {
  Tensor x = ones({3, 4}, float32, "cuda:0"), w = ones({4, 5}, float32, "cuda:0");
  const emulation::Counts before = emulation::counts();
  Tensor y = tanh(2.0 * x + 1) / 3;
  Tensor z = softmax(matmul(y, w), -1);
  const emulation::Counts after = emulation::counts();
  CHECK(after.kernels - before.kernels == 5);
  CHECK(after.products - before.products == 1);
  CHECK(after.copies == before.copies);
  CHECK(after.waits == before.waits);
  CHECK(z.item(1, 1) == doctest::Approx(0.2));
}

TEST_CASE("running out of a device's memory names the bytes, and the program goes on" *
          on_processor()) {
  release_cached_memory();
  const std::size_t limit = emulation::memory_limit;
  emulation::memory_limit = emulation::memory_in_use(0) + (1 << 20);
  CHECK(error_of([] { zeros({1 << 20}, float32, "cuda:0"); }) ==
        "out of memory: 4194304 bytes were asked for on cuda:0");
  { Tensor half = zeros({1 << 17}, float32, "cuda:0"); }
  // What was freed is given back before memory runs out.
  CHECK(sum(ones({200'000}, float32, "cuda:0")).item() == 200'000);
  emulation::memory_limit = limit;
}

TEST_CASE("there are two devices, and they do not mix" * on_processor()) {
  CHECK(cuda_device_count() == 2);
  Tensor x = ones({3}, float32, "cuda:0"), y = full({3}, 2, float32, "cuda:1");
  CHECK(error_of([&] {
          x* y;
        }).ends_with("operands are on cuda:0 and on cuda:1; move one of them with .to(...)"));
  CHECK(sum(x.to("cuda:1") * y).item() == 6);
  CHECK(error_of([] { zeros({1}, float32, "cuda:2"); }) ==
        "device: cuda:2: there are 2 CUDA devices");
}

TEST_SUITE_END();
