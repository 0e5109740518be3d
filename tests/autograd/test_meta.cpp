// The device "meta", on which tensors have no elements: every op makes a result of the shape and
// the type that it makes elsewhere.

#include <doctest/doctest.h>

#include <string>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/memory.h>

#include "../on_processor.h"
#include "error_of.h"
#include "op_table.h"

TEST_SUITE_BEGIN("autograd");

namespace keratin::test {
namespace {

const std::string no_elements = ": a tensor on meta has a shape and a type, and no elements";

void check_kind(const std::string& what, const Tensor& got, const Tensor& expected) {
  check(what + " is on meta", got.device().is_meta());
  check(what + " has the shape", got.shape() == expected.shape());
  check(what + " has the type", got.dtype() == expected.dtype());
}

}  // namespace

TEST_CASE("every op on meta makes the shape and the type that it makes elsewhere") {
  for (const Case& c : op_table()) {
    CAPTURE(c.name());
    if (c.shapes.empty()) continue;
    const Inputs x = samples(c, float32);
    const Tensor expected = c.call(x);
    Inputs all;
    for (const Tensor& input : x) all.push_back(input.to("meta"));
    check_kind(c.name(), c.call(all), expected);
    // One operand on meta, the others with elements.
    for (std::size_t i = 0; i < x.size(); ++i) {
      Inputs mixed = x;
      mixed[i] = all[i];
      check_kind(c.name() + ", operand " + std::to_string(i), c.call(mixed), expected);
    }
  }
}

TEST_CASE("gradients on meta have the shape and the type of their inputs") {
  for (const Case& c : op_table()) {
    CAPTURE(c.name());
    if (c.shapes.empty() || !c.traits.differentiable) continue;
    Inputs x;
    for (const Tensor& input : samples(c, float32)) x.push_back(input.to("meta"));
    const Inputs g = gradients(c.call, x, ones_like(c.call(x)));
    for (std::size_t i = 0; i < x.size(); ++i)
      if (g[i].defined()) check_kind(c.name() + ", gradient " + std::to_string(i), g[i], x[i]);
    // The gradient of an operand with elements would need those of the others.
    const Inputs with_elements = samples(c, float32);
    for (std::size_t i = 0; x.size() > 1 && i < x.size(); ++i) {
      Inputs mixed = with_elements;
      mixed[i] = x[i];
      const std::string error =
          error_of([&] { gradients(c.call, mixed, ones_like(c.call(mixed))); });
      check(c.name() + ": " + error, error == "no error" || error == "copy" + no_elements);
    }
  }
}

TEST_CASE("tensors on meta take no memory, however large" * on_processor()) {
  const std::int64_t reserved = memory_stats().bytes_reserved;
  const Tensor x = zeros({1 << 20, 1 << 20}, float32, "meta");
  const Tensor y = softmax(matmul(x, transpose(x)) + 1, -1);
  CHECK(y.shape() == Shape{1 << 20, 1 << 20});
  CHECK(y.device().str() == "meta");
  CHECK(memory_stats().bytes_reserved - reserved < 1 << 20);
  CHECK(memory_stats("meta").bytes_reserved == 0);
}

TEST_CASE("the elements of a tensor on meta cannot be asked for") {
  Tensor x = ones({2, 3}, float32, "meta");
  CHECK(error_of([&] { x.item(0, 1); }) == "copy" + no_elements);
  CHECK(error_of([&] { x.to_vector<float>(); }) == "copy" + no_elements);
  CHECK(error_of([&] { x.to("cpu"); }) == "copy" + no_elements);
  CHECK(error_of([&] { x.data<float>(); }) == "data" + no_elements);
  CHECK(error_of([&] { x.mutable_data<float>(); }) == "data" + no_elements);
  CHECK(x.str() == "Tensor(float32 (2, 3), on meta)");
  const std::int64_t reserved = memory_stats().bytes_reserved;
  const Tensor large = zeros({1 << 15, 1 << 15}, float32, "meta");
  CHECK(error_of([&] { large.to_vector<float>(); }) == "copy" + no_elements);
  CHECK(memory_stats().bytes_reserved - reserved < 1 << 20);
  Tensor on_host = zeros({2, 3});
  CHECK(error_of([&] { on_host.assign(x); }) == "copy" + no_elements);
  CHECK(error_of([&] { matmul(x, x); }).find("matmul: ") == 0);  // shapes are checked all the same
}

}  // namespace keratin::test

TEST_SUITE_END();
