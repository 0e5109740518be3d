// Error messages have one form: who, which rule, what came. Exact texts, because a person reads
// them; that the right calls fail at all is tested with each subject.
#include <doctest/doctest.h>

#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/tensor_data.h>
#include <keratin/core/kernels.h>
#include <keratin/core/parallel.h>
#include <keratin/core/random.h>

#include "../on_processor.h"

TEST_SUITE_BEGIN("core");

using namespace keratin;

namespace {

std::string message_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "(no error)";
}

}  // namespace

TEST_CASE("errors of tensors say who, which rule and what came") {
  Tensor a = zeros({2, 3});
  CHECK(message_of([&] { a.item(0, 3); }) ==
        "item: index 3 is out of range for axis 1 of shape (2, 3)");
  CHECK(message_of([&] { a.item(0); }) == "item: expected 2 indices for shape (2, 3), got 1");
  CHECK(message_of([&] { a.item(); }) ==
        "item: expected one index per axis of shape (2, 3), got none");
  CHECK(message_of([&] { a.size(2); }) == "size: axis 2 is out of range for rank 2");
  CHECK(message_of([&] { a.data<double>(); }) == "data: the tensor holds float32, not float64");
  CHECK(message_of([&] { a.assign(zeros({4})); }) ==
        "assign: shapes (2, 3) and (4,) do not broadcast");
  CHECK(message_of([&] { a[0].assign(a); }) ==
        "assign: a value of shape (2, 3) does not fit into (3,)");
  CHECK(message_of([&] {
          broadcast_to(a, {4, 2, 3}).assign(0);
        }) == "assign: the view of shape (4, 2, 3) repeats its elements; write to a copy of it");
  // Element (1, 0, 0) is (0, 1, 1): no two axes alone overlap.
  CHECK(message_of([&] {
          make_view(zeros({11}), {2, 2, 2}, {5, 3, 2}).assign(0);
        }) == "assign: the view of shape (2, 2, 2) repeats its elements; write to a copy of it");
  CHECK(message_of([&] {
          make_view(zeros({12}), {2, 2, 2}, {6, 3, 2}).assign(0);
        }) == "(no error)");
  CHECK(message_of([&] { Tensor().shape(); }) ==
        "tensor: this Tensor is undefined (default-constructed or moved from)");
  const float constant = 1;
  CHECK(message_of([&] { Tensor::view(&constant, {1}).assign(0); }) ==
        "assign: the tensor views memory that may only be read");
}

TEST_CASE("errors of shapes say who, which rule and what came") {
  CHECK(message_of([] { zeros({2, -5}); }) == "shape: a size is negative in (2, -5)");
  CHECK(message_of([] {
          zeros({1 << 30, 1 << 30});
        }) == "shape: (1073741824, 1073741824) has too many elements");
  CHECK(message_of([] { Shape({1, 1, 1, 1, 1, 1, 1, 1, 1}); }) == "shape: at most 8 axes, got 9");
  CHECK(message_of([] { dtype_of("half"); }) ==
        "dtype: unknown name \"half\". Known: bool, int32, float32, float64");
  CHECK(message_of([] { set_floatx(int32); }) ==
        "set_floatx: expected float32 or float64, got int32");
}

TEST_CASE("errors of creation say who, which rule and what came") {
  CHECK(message_of([] {
          tensor({{1, 2}, {3}});
        }) == "tensor: the braces are ragged: not every part fits shape (2, 2)");
  CHECK(message_of([] {
          tensor(std::vector<float>{1, 2, 3}, {2, 2});
        }) == "tensor: 3 values do not fill shape (2, 2)");
  CHECK(message_of([] { Tensor(5000000000LL); }) ==
        "tensor: the integer 5000000000 does not fit int32");
  CHECK(message_of([] { arange(0, 5, 0); }) ==
        "arange: expected finite bounds and a step other than 0, got 0, 5, 0");
  CHECK(message_of([] { linspace(0, 1, -2); }) ==
        "linspace: expected a count of at least 0, got -2");
}

TEST_CASE("errors of random numbers and threads say who, which rule and what came") {
  Random random(1);
  CHECK(message_of([&] { random.uniform({2}, 2, 1); }) ==
        "uniform: expected finite bounds, low <= high, got 2 and 1");
  CHECK(message_of([&] { random.normal({2}, 0, -0.5); }) ==
        "normal: expected a stddev of at least 0, got -0.5");
  CHECK(message_of([&] { random.integers({2}, 4, 4); }) ==
        "integers: expected low < high within int32, got 4 and 4");
  CHECK(message_of([&] { random.permutation(-3); }) ==
        "permutation: expected a count of at least 0, got -3");
  CHECK(message_of([] { set_num_threads(-1); }) ==
        "set_num_threads: expected 0 (default) to 1024, got -1");
}

TEST_CASE("errors of ops say who, which rule and what came, with a tape and without" *
          on_processor()) {
  Tensor a = zeros({2, 3}), b = zeros({4, 5});
  auto check = [&] {
    CHECK(message_of([&] { a + b; }) == "add: shapes (2, 3) and (4, 5) do not broadcast");
    CHECK(message_of([&] { dot(a, b); }) ==
          "dot: expected the last axis of (2, 3) to match axis 0 of (4, 5)");
    CHECK(message_of([&] { a.reshape({4}); }) == "reshape: (2, 3) does not fit into (4,)");
    CHECK(message_of([&] { sum(a, 2); }) == "sum: axis 2 is out of range for rank 2");
    CHECK(message_of([&] {
            concatenate({a, b}, 0);
          }) == "concatenate: shapes (2, 3) and (4, 5) differ beside axis 0");
    CHECK(message_of([&] {
            take(a, tensor({0, 7}, int32), 1);
          }) == "take: index 7 at position 1 is out of range for an axis of 3");
  };
  check();
  GradientTape tape;
  tape.watch(a);
  tape.watch(b);
  check();
}

TEST_CASE("errors of tapes say who, which rule and what came") {
  Tensor x = zeros({2, 3}), w = zeros({3, 4}), n = zeros({2}, int32);
  GradientTape tape;
  CHECK(message_of([&] { tape.watch(n); }) == "watch: only floats have gradients, got int32");
  tape.watch(x);
  Tensor y = dot(x, w);
  CHECK(message_of([&] { tape.gradient(y, w); }) ==
        "gradient: input 0 of shape (3, 4) was not watched when the result was computed");
  CHECK(message_of([&] { tape.gradient(n, x); }) ==
        "gradient: only floats have gradients, the result holds int32");
  CHECK(message_of([&] { tape.gradient(y, x, zeros({4})); }) ==
        "gradient: the output gradient has shape (4,), the result (2, 4)");
  CHECK(message_of([&] { tape.gradient(y, Tensor()); }) == "gradient: input 0 is undefined");
  w.assign(1);
  CHECK(message_of([&] { tape.gradient(y, x); }) ==
        "gradient of dot: a tensor of shape (3, 4) that the backward pass needs was overwritten "
        "in place since");
}

TEST_CASE("a kernel refuses more operands than a loop can hold") {
  Tensor x = ones({2, 3});
  std::vector<Tensor> y{zeros({2, 3})}, many(40, x);
  fn::Add add;
  CHECK_THROWS_AS(kernels_of(x).pointwise(Pointwise::Add, &add, y, many), std::logic_error);
  many[1] = transpose(ones({3, 2}));  // not all in one row
  CHECK_THROWS_AS(kernels_of(x).pointwise(Pointwise::Add, &add, y, many), std::logic_error);
}

TEST_SUITE_END();
