// Every op's values against its reference: float64, float32 and, where it takes them, integers; and
// float32's gradients against float64's.

#include <doctest/doctest.h>

#include "op_table.h"

TEST_SUITE_BEGIN("kernels");

namespace keratin::test {
namespace {

Array reference_of(const Case& c, const Inputs& x) {
  Arrays arrays;
  for (const Tensor& input : x) arrays.push_back(array_of(input));
  return c.reference(arrays);
}

void check_values(const Case& c, const std::string& what, const Inputs& x, const Inputs& narrow) {
  // The samples are exact in float32: one reference serves both.
  Array expected = reference_of(c, x);
  check(what + " float64", c.call(x), expected, {.relative = 1e-12, .floor = c.traits.floor});
  check(what + " float32", c.call(narrow), expected,
        {.floor = c.traits.floor, .ulps = c.traits.ulps});
}

}  // namespace

TEST_CASE("every op agrees with its reference") {
  for (const Case& c : op_table())
    check_values(c, c.name(), samples(c, float64), samples(c, float32));
}

TEST_CASE("every op agrees with its reference on large tensors, over a wide range") {
  for (const Case& c : large_table()) {
    // Of the pointwise ops' sizes one is enough: the references are slow.
    if (c.shapes[0].rank() == 1 && c.shapes[0][0] % 16 != 1) continue;
    double wide = c.traits.wide;
    if (wide > 0)
      check_values(c, c.name() + " wide", samples(c, float64, -wide, wide),
                   samples(c, float32, -wide, wide));
    else
      check_values(c, c.name(), samples(c, float64), samples(c, float32));
  }
}

TEST_CASE("whole functions take integers to integers, the others to floatx") {
  for (const PointwiseOp& op : pointwise_table()) {
    if (!op.traits.differentiable || op.inputs > 2 || op.variant == "(-1, 0.5)") continue;
    Case c = op.on(std::vector<Shape>(static_cast<std::size_t>(op.inputs), Shape{7}));
    c.traits.domains = {{1, 5, int32}};
    c.traits.kinks = {};
    Inputs x = samples(c, float32);
    Tensor y = c.call(x);
    bool stays = op.traits.whole || op.op == "power" || op.op == "mul";
    check(c.name() + ": the dtype for integers", y.dtype() == (stays ? int32 : floatx()));
    check(c.name() + " int32", y, reference_of(c, x),
          {.floor = c.traits.floor, .ulps = c.traits.ulps});
  }
  for (const Case& c : op_table()) {
    if (!c.traits.whole || c.shapes[0].numel() == 0) continue;
    Case whole = c;
    for (Domain& domain : whole.traits.domains)
      if (domain.dtype == float64) domain = {-5, 6, int32};
    Inputs x = samples(whole, float32);
    Tensor y = whole.call(x);
    check(c.name() + ": integers stay integers", y.dtype() == int32);
    check(c.name() + " int32", y, reference_of(whole, x), {.floor = 1, .ulps = 0.01});
  }
}

TEST_CASE("float32 gradients agree with float64's") {
  for (const Case& c : op_table()) {
    if (!c.traits.differentiable) continue;
    Inputs x = samples(c, float64), narrow = samples(c, float32);
    Tensor y = c.call(x), cotangent = random_like(y, 5);
    Inputs g = gradients(c.call, x, cotangent), h = gradients(c.call, narrow, cotangent);
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (!g[i].defined()) continue;
      check(c.name() + ": dtype of the gradient", h[i].dtype() == float32);
      check(c.name() + ": float32 gradient", h[i], array_of(g[i]), {.floor = 1, .ulps = 64});
    }
  }
}

}  // namespace keratin::test

TEST_SUITE_END();
