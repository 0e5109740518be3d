// Every op's first and second derivatives against central differences.

#include <doctest/doctest.h>

#include "op_table.h"

TEST_SUITE_BEGIN("autograd");

namespace keratin::test {

TEST_CASE("every op's derivatives agree with differences") {
  for (const Case& c : op_table())
    if (c.traits.differentiable) check_derivatives(c.name(), c.call, samples(c, float64));
}

TEST_CASE("ops without a derivative give gradients of zero, or none") {
  for (const Case& c : op_table()) {
    if (c.traits.differentiable || c.op == "std") continue;
    Inputs x = samples(c, float64);
    Tensor y = c.call(x);
    if (!is_floating(y.dtype())) continue;
    for (const Tensor& g : gradients(c.call, x, ones_like(y)))
      if (g.defined()) check(c.name() + ": gradient", g, zeros_like(g), exactly);
  }
}

}  // namespace keratin::test

TEST_SUITE_END();
