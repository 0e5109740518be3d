// Every op on views: whatever the strides, the same numbers in give the same bits out, forward and
// backward. And on one memory twice: the gradient is the sum over both uses.

#include <doctest/doctest.h>

#include "op_table.h"

TEST_SUITE_BEGIN("autograd");

namespace keratin::test {
namespace {

// Each returns a view that holds what x holds, laid out otherwise.

Tensor transposed(const Tensor& x) { return transpose(transpose(x).copy()); }

Tensor reversed(const Tensor& x) { return flip(flip(x).copy()); }

Tensor stepped(const Tensor& x) {
  Shape shape = x.shape();
  std::vector<Index> every_other;
  for (std::int64_t& size : shape) {
    every_other.push_back(range(1, 2 * size + 1, 2));
    size = 2 * size + 1;
  }
  Tensor view = slice(full(shape, 99, x.dtype()), every_other);
  view.assign(x);
  return view;
}

Tensor offset(const Tensor& x) {
  Shape shape = x.shape();
  std::vector<Index> inside;
  for (std::int64_t& size : shape) {
    inside.push_back(range(2, 2 + size));
    size += 3;
  }
  if (shape.empty()) shape.push_back(5), inside.push_back(2);
  Tensor view = slice(full(shape, 99, x.dtype()), inside);
  view.assign(x);
  return view;
}

// Its first entry along an axis, repeated with stride 0.
Tensor expanded(const Tensor& x, int axis) {
  if (x.rank() == 0 || x.numel() == 0) return x;
  std::vector<Index> first(static_cast<std::size_t>(axis < 0 ? axis + x.rank() : axis), all);
  first.push_back(range(1));
  return broadcast_to(slice(x, first), x.shape());
}

void check_layout(const Case& c, const char* layout, Inputs x, DType dtype,
                  const std::function<Tensor(const Tensor&)>& laid_out) {
  std::string what = c.name() + " " + std::string(name_of(dtype)) + " " + layout;
  Inputs views;
  for (Tensor& input : x) {
    views.push_back(laid_out(input));
    input = views.back().copy();
  }
  Tolerance near{.relative = 1e-12, .floor = 16, .ulps = dtype == float32 ? 4.0 : 0.0};
  auto compare = [&](const std::string& name, const Tensor& got, const Tensor& expected) {
    c.traits.bits ? check_bits(name, got, expected) : check(name, got, expected, near);
  };
  Tensor expected = c.call(x);
  compare(what, c.call(views), expected);
  if (!c.traits.differentiable) return;
  Tensor cotangent = random_like(expected, 3);
  Inputs g = gradients(c.call, x, cotangent), of_views = gradients(c.call, views, cotangent);
  Inputs of_view = gradients(c.call, x, laid_out(cotangent.copy()));
  for (std::size_t i = 0; i < g.size(); ++i) {
    if (!g[i].defined()) continue;
    compare(what + ": gradient " + std::to_string(i), of_views[i], g[i]);
    if (std::string(layout).find("expanded") != std::string::npos) continue;
    compare(what + ": gradient of a view's cotangent " + std::to_string(i), of_view[i], g[i]);
  }
}

/// Whether the case has two float inputs or more, all of one shape with an axis to shift along.
bool takes_twice(const Case& c) {
  if (!c.traits.differentiable || c.traits.ties) return false;
  std::size_t real = 0;
  Shape shape;
  for (std::size_t i = 0; i < c.shapes.size(); ++i) {
    if (c.traits.domains[std::min(i, c.traits.domains.size() - 1)].dtype != float64) continue;
    if (real++ > 0 && c.shapes[i] != shape) return false;
    shape = c.shapes[i];
  }
  return real > 1 && shape.rank() > 0;
}

// Samples that suit every float input.
Inputs common_samples(const Case& c) {
  double low = -1e9, high = 1e9;
  for (const Domain& domain : c.traits.domains) {
    if (domain.dtype != float64) continue;
    low = std::max(low, domain.low);
    high = std::min(high, domain.high);
  }
  return samples(c, float64, low, high);
}

}  // namespace

TEST_CASE("every op gives the same bits in every layout") {
  for (const Case& c : op_table()) {
    for (DType dtype : {float32, float64}) {
      Inputs x = samples(c, dtype);
      check_layout(c, "transposed", x, dtype, transposed);
      check_layout(c, "every other element", x, dtype, stepped);
      check_layout(c, "reversed", x, dtype, reversed);
      check_layout(c, "inside a larger tensor", x, dtype, offset);
      check_layout(c, "expanded along the first axis", x, dtype,
                   [](const Tensor& t) { return expanded(t, 0); });
      check_layout(c, "expanded along the last axis", x, dtype,
                   [](const Tensor& t) { return expanded(t, -1); });
    }
  }
}

TEST_CASE("one input in another layout than the others changes nothing") {
  for (const Case& c : op_table()) {
    if (c.shapes.size() < 2 || !c.traits.bits) continue;
    Inputs x = samples(c, float32);
    Tensor expected = c.call(x);
    for (std::size_t i = 0; i < x.size(); ++i) {
      Inputs mixed = x;
      mixed[i] = reversed(x[i]);
      check_bits(c.name() + ": input " + std::to_string(i) + " reversed", c.call(mixed), expected);
    }
  }
}

TEST_CASE("a tensor given twice collects both gradients") {
  for (const Case& c : op_table()) {
    if (!takes_twice(c)) continue;
    Inputs x = common_samples(c), copies = x;
    Tensor shared;
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (!is_floating(x[i].dtype())) continue;
      if (!shared.defined()) shared = x[i];
      x[i] = shared;
      copies[i] = shared.copy();
    }
    Tensor cotangent = random_like(c.call(x), 3), expected;
    for (const Tensor& g : gradients(c.call, copies, cotangent))
      if (g.defined()) expected = expected.defined() ? expected + g : g;
    GradientTape tape;
    tape.watch(shared);
    check(c.name() + ": given twice", tape.gradient(c.call(x), shared, cotangent), expected,
          {.relative = 1e-12, .floor = 1});
  }
}

TEST_CASE("overlapping views collect their gradients where they overlap") {
  for (const Case& c : op_table()) {
    if (!takes_twice(c)) continue;
    Inputs x = common_samples(c), copies = x;
    std::size_t first = is_floating(x[0].dtype()) ? 0 : 1;
    std::int64_t n = x[first].size(0), more = static_cast<std::int64_t>(x.size()) - 1;
    Case longer = c;
    for (Shape& shape : longer.shapes) shape = x[first].shape().with(0, n + more);
    Tensor base = common_samples(longer)[first];
    auto views = [&] {
      Inputs v = x;
      for (std::int64_t i = 0; i <= more; ++i)
        if (auto k = static_cast<std::size_t>(i); k >= first) v[k] = slice(base, {range(i, i + n)});
      return v;
    };
    copies = views();
    for (Tensor& copy : copies) copy = copy.copy();
    Tensor cotangent = random_like(c.call(copies), 3), expected = zeros_like(base);
    Inputs g = gradients(c.call, copies, cotangent);
    for (std::int64_t i = 0; i <= more; ++i) {
      const Tensor& part = g[static_cast<std::size_t>(i)];
      if (!part.defined()) continue;
      std::vector<std::array<std::int64_t, 2>> widths(static_cast<std::size_t>(base.rank()));
      widths[0] = {i, more - i};
      expected = expected + pad(part, widths);
    }
    GradientTape tape;
    tape.watch(base);
    check(c.name() + ": overlapping views", tape.gradient(c.call(views()), base, cotangent),
          expected, {.relative = 1e-12, .floor = 1});
  }
}

}  // namespace keratin::test

TEST_SUITE_END();
