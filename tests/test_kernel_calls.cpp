// Kernel calls that are noted and made again, and memory that stays where it is for them.
#include <doctest/doctest.h>
#include <keratin/core/internal/kernel_calls.h>
#include <keratin/core/internal/tensor_data.h>
#include <keratin/keratin.h>

#include <functional>

namespace keratin {

TEST_CASE("noted kernel calls compute anew from what stands in memory") {
  Tensor x = tensor({1., 2., 3.}), y = empty({3}, float32), z = empty({3}, float32);
  KernelCalls calls;
  {
    KernelCalls::Noting noting(&calls);
    kernels_of(y).copy(y, x);
    fn::Clip clip{{}, -2, 2};
    kernels_of(y).pointwise(Pointwise::Clip, &clip, {&z, 1}, {&y, 1});
    {
      KernelCalls::Noting nothing(nullptr);
      kernels_of(y).fill(y, 9);
    }
  }
  kernels_of(y).fill(y, 8);
  CHECK(calls.size() == 2);
  CHECK(calls.complete());
  CHECK(z.to_vector<float>() == std::vector<float>{1, 2, 2});
  x.assign(tensor({-5., 0.5, 1.}));
  calls.run();
  CHECK(z.to_vector<float>() == std::vector<float>{-2, 0.5, 1});
  CHECK(is_unique(z));  // who notes a call has no share in what it computes with
}

TEST_CASE("what is done to elements without a kernel is noticed") {
  Tensor x = ones({3}), i = tensor({0., 2.}).astype(int32);
  Random random(1);
  auto is_noticed = [](const std::function<void()>& f) {
    KernelCalls calls;
    KernelCalls::Noting noting(&calls);
    f();
    return !calls.complete();
  };
  CHECK(is_noticed([&] { random.uniform({2}); }));
  CHECK(is_noticed([&] { random.next_seed(); }));
  CHECK(is_noticed([&] { random.permutation(3); }));
  CHECK(is_noticed([&] { static_cast<void>(x[1].item()); }));
  CHECK(is_noticed([&] { x.to_vector<float>(); }));
  CHECK(is_noticed([&] { static_cast<void>(std::as_const(x).data<float>()); }));
  CHECK(is_noticed([&] { x.mutable_data<float>()[0] = 1; }));
  CHECK(is_noticed([&] { tensor({1., 2.}); }));
  CHECK(is_noticed([&] { x.str(); }));
  CHECK(is_noticed([&] { take(x, i, 0); }));
  CHECK(is_noticed([&] { pointwise([](auto a) { return a * a; }, x); }));
  CHECK(!is_noticed([&] { tanh(x * 2 + 1) / sum(x); }));
  CHECK(!is_noticed([&] { where(x > 0, x, softmax(x)); }));
}

TEST_CASE("lasting lists say whether all blocks are back, and keep them") {
  LastingLists lists;
  const void* first = nullptr;
  {
    WithLists memory(lists.get());
    Tensor x = zeros({100});
    first = TensorData::of(x).data;
    CHECK(!lists.complete());
    x = {};
    release_cached_memory();
    CHECK(lists.complete());
    x = zeros({100});
    CHECK(TensorData::of(x).data == first);
  }
  CHECK(lists.complete());

  // Blocks of others do not count for those that are kept.
  Tensor foreign = zeros({100}), kept;
  {
    WithLists memory(lists.get());
    kept = zeros({100});
    foreign = {};
    CHECK(!lists.complete());
    kept = {};
  }
  CHECK(lists.complete());
}

}  // namespace keratin
