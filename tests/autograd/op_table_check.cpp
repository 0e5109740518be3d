// Sample inputs, arrays for the references, and comparing with them.

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "op_table.h"

namespace keratin::test {

// --- references

Real Array::at(const Place& place) const {
  std::int64_t offset = 0;
  auto missing = static_cast<int>(place.size()) - shape.rank();
  for (int axis = 0; axis < shape.rank(); ++axis)
    offset = offset * shape[axis] +
             (shape[axis] == 1 ? 0 : place[static_cast<std::size_t>(missing + axis)]);
  return values[static_cast<std::size_t>(offset)];
}

Array array_of(const Tensor& x) {
  std::vector<double> values = x.to_vector<double>();
  return {x.shape(), {values.begin(), values.end()}};
}

Array build(const Shape& shape, const std::function<Real(const Place&)>& value) {
  Array y{shape, {}};
  auto n = static_cast<std::size_t>(shape.numel());
  y.values.reserve(n);
  Place place(static_cast<std::size_t>(shape.rank()), 0);
  for (std::size_t i = 0; i < n; ++i) {
    y.values.push_back(value(place));
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      auto a = static_cast<std::size_t>(axis);
      if (++place[a] < shape[axis]) break;
      place[a] = 0;
    }
  }
  return y;
}

Array fold(const Array& x, const Axes& axes, bool keepdims,
           const std::function<Real(const std::vector<Real>&)>& of_run) {
  int rank = x.shape.rank();
  std::vector<bool> reduced(static_cast<std::size_t>(rank), axes.all());
  for (int axis : axes.list())
    reduced[static_cast<std::size_t>(axis < 0 ? axis + rank : axis)] = true;
  Shape kept = x.shape, shape;
  for (int axis = 0; axis < rank; ++axis) {
    if (reduced[static_cast<std::size_t>(axis)]) kept[axis] = 1;
    if (keepdims || !reduced[static_cast<std::size_t>(axis)]) shape.push_back(kept[axis]);
  }
  std::vector<std::vector<Real>> runs(static_cast<std::size_t>(kept.numel()));
  build(x.shape, [&](const Place& place) {
    std::int64_t offset = 0;
    for (int axis = 0; axis < rank; ++axis)
      offset = offset * kept[axis] + (kept[axis] == 1 ? 0 : place[static_cast<std::size_t>(axis)]);
    runs[static_cast<std::size_t>(offset)].push_back(x.at(place));
    return Real(0);
  });
  Array y{shape, {}};
  for (const auto& run : runs) y.values.push_back(of_run(run));
  return y;
}

Array along(const Array& x, int axis,
            const std::function<std::vector<Real>(const std::vector<Real>&)>& of_run) {
  if (axis < 0) axis += x.shape.rank();
  std::int64_t n = x.shape[axis], inner = 1;
  for (int a = axis + 1; a < x.shape.rank(); ++a) inner *= x.shape[a];
  Array y = x;
  std::int64_t total = x.shape.numel();
  for (std::int64_t first = 0; first < total; ++first) {
    if (first / inner % n != 0) continue;
    std::vector<Real> run;
    for (std::int64_t i = 0; i < n; ++i)
      run.push_back(x.values[static_cast<std::size_t>(first + i * inner)]);
    run = of_run(run);
    for (std::int64_t i = 0; i < n; ++i)
      y.values[static_cast<std::size_t>(first + i * inner)] = run[static_cast<std::size_t>(i)];
  }
  return y;
}

// --- the table

std::string Case::name() const {
  std::string text = variant.empty() ? op : op + " " + variant;
  for (const Shape& shape : shapes) text += " " + shape.str();
  return text;
}

Case PointwiseOp::on(const std::vector<Shape>& shapes) const {
  auto reference = [formula = formula](const Arrays& x) {
    Shape shape = x[0].shape;
    for (const Array& input : x) shape = broadcast_shapes(shape, input.shape, "reference");
    return build(shape, [&](const Place& place) {
      Real values[8];
      for (std::size_t i = 0; i < x.size(); ++i) values[i] = x[i].at(place);
      return formula(values);
    });
  };
  return {op, variant, shapes, call, reference, traits};
}

const std::vector<Case>& op_table() {
  static const std::vector<Case> table = [] {
    std::vector<std::vector<Shape>> lists[4];
    lists[1] = {{{}},   {{1}}, {{7}},      {{3, 5}}, {{2, 1, 4}}, {{2, 3, 1, 2}}, {{2, 1, 3, 1, 2}},
                {{67}}, {{0}}, {{3, 0, 2}}};
    lists[2] = {{{}, {}},
                {{7}, {7}},
                {{3, 5}, {3, 5}},
                {{3, 5}, {5}},
                {{5}, {3, 5}},
                {{4, 1}, {1, 3}},
                {{}, {2, 3}},
                {{2, 3}, {}},
                {{2, 1, 3, 1}, {4, 1, 5}},
                {{2, 1, 3, 1, 2}, {3, 1}},
                {{37}, {1}},
                {{0}, {1}},
                {{1, 3}, {0, 3}}};
    lists[3] = {{{}, {}, {}},         {{3, 5}, {3, 5}, {3, 5}},
                {{3, 1}, {1, 4}, {}}, {{}, {3, 1}, {2}},
                {{19}, {1}, {19}},    {{2, 1, 1, 3, 2}, {3, 1}, {2, 3, 1}},
                {{0, 3}, {3}, {1, 1}}};
    std::vector<Case> all;
    for (const PointwiseOp& op : pointwise_table())
      for (const auto& shapes : lists[op.inputs]) all.push_back(op.on(shapes));
    for (auto* table : {reduce_table, product_table, shape_table, window_table, parts_table})
      for (Case& c : table()) all.push_back(std::move(c));
    return all;
  }();
  return table;
}

const std::vector<Case>& large_table() {
  static const std::vector<Case> table = [] {
    std::vector<std::vector<Shape>> lists[4];
    lists[1] = {{{100000}}, {{100001}}, {{100015}}};
    lists[2] = {{{100000}, {100000}}, {{100001}, {}}, {{3, 33345}, {33345}}};
    lists[3] = {
        {{100000}, {100000}, {100000}}, {{100001}, {}, {100001}}, {{3, 1}, {3, 33345}, {33345}}};
    std::vector<Case> all;
    for (const PointwiseOp& op : pointwise_table())
      for (const auto& shapes : lists[op.inputs]) all.push_back(op.on(shapes));
    for (auto* table : {large_reduce_table, large_product_table, large_shape_table,
                        large_window_table, large_parts_table})
      for (Case& c : table()) all.push_back(std::move(c));
    return all;
  }();
  return table;
}

// --- samples

namespace {

// splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014), as a
// number in [0, 1).
class Noise {
 public:
  explicit Noise(std::uint64_t seed) : state_(seed) {}
  double operator()() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return static_cast<double>((z ^ (z >> 31)) >> 40) / 16777216;
  }

 private:
  std::uint64_t state_;
};

// Values spread evenly over (low, high) in scattered order, so that no two lie close together.
std::vector<double> spread(std::int64_t n, double low, double high, std::uint64_t seed) {
  constexpr std::int64_t stride = 7919;  // prime, and no factor of any n here
  Noise noise(seed);
  std::vector<double> values(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) {
    auto cell = static_cast<double>((i + static_cast<std::int64_t>(seed)) * stride % n);
    values[static_cast<std::size_t>(i)] =
        low + (high - low) * (cell + 0.25 + noise() / 2) / static_cast<double>(n);
  }
  return values;
}

Inputs sample(const Case& c, DType dtype, const double* low, const double* high) {
  Inputs x;
  for (std::size_t i = 0; i < c.shapes.size(); ++i) {
    const Domain& domain = c.traits.domains[std::min(i, c.traits.domains.size() - 1)];
    std::int64_t n = c.shapes[i].numel();
    bool real = domain.dtype == float64;
    std::vector<double> values = spread(n, real && low != nullptr ? *low : domain.low,
                                        real && high != nullptr ? *high : domain.high, i + 1);
    for (double& v : values) {
      if (!real) v = std::floor(v);
      for (double kink : c.traits.kinks)
        if (std::fabs(v - kink) < 0.02) v = kink + 0.03;
      // Multiples of 1/64, shifted for each input: no two inputs are equal anywhere.
      if (c.traits.ties) v = std::round(v * 64) / 64 + static_cast<double>(i) / 128;
    }
    x.push_back(tensor(values, c.shapes[i]).astype(float32).astype(real ? dtype : domain.dtype));
  }
  return x;
}

}  // namespace

Inputs samples(const Case& c, DType dtype) { return sample(c, dtype, nullptr, nullptr); }
Inputs samples(const Case& c, DType dtype, double low, double high) {
  return sample(c, dtype, &low, &high);
}

Tensor random_like(const Tensor& x, unsigned seed) {
  Noise noise(seed);
  std::vector<double> values(static_cast<std::size_t>(x.numel()));
  for (double& v : values) v = 2 * noise() - 1;
  return tensor(values, x.shape()).astype(is_floating(x.dtype()) ? x.dtype() : float64);
}

// --- comparing

namespace {

Counts total;

// The size of float32's last place at a number.
double last_place(double x) {
  x = std::fabs(x);
  if (!(x > 1.17549435e-38)) return 1.401298464324817e-45;
  return std::ldexp(1.0, std::ilogb(std::min(x, 3.4028234663852886e38)) - 23);
}

bool agree(double got, Real expected, const Tolerance& tolerance, bool is_float32) {
  if (std::isnan(got) || std::isnan(expected)) return std::isnan(got) && std::isnan(expected);
  if (is_float32 && std::isfinite(expected) && std::fabs(expected) >= 3.4028235677973366e38L)
    expected = std::copysign(HUGE_VALL, expected);
  if (std::isinf(got) || std::isinf(expected)) return static_cast<Real>(got) == expected;
  Real error = std::fabs(static_cast<Real>(got) - expected);
  double size = std::max(std::fabs(static_cast<double>(expected)), tolerance.floor);
  if (tolerance.ulps > 0) return error <= tolerance.ulps * last_place(size) * (1 + 1e-6);
  if (tolerance.relative > 0) return error <= tolerance.relative * size;
  return static_cast<Real>(got) == expected && std::signbit(got) == std::signbit(expected);
}

}  // namespace

const Counts& counts() { return total; }

void check(const std::string& what, bool holds) {
  ++total.checks;
  if (!holds) FAIL_CHECK(what);
}

void check_bits(const std::string& what, const Tensor& got, const Tensor& expected) {
  auto dense = [](const Tensor& x) { return (x.is_contiguous() ? x : x.copy()).to("cpu"); };
  const Tensor a = dense(got), b = dense(expected);
  auto bytes = static_cast<std::size_t>(a.numel()) * size_of(a.dtype());
  auto address = [](const Tensor& x) -> const void* {
    if (x.dtype() == float32) return x.data<float>();
    if (x.dtype() == float64) return x.data<double>();
    if (x.dtype() == int32) return x.data<std::int32_t>();
    return x.data<bool>();
  };
  bool same = a.dtype() == b.dtype() && a.shape() == b.shape() &&
              (bytes == 0 || std::memcmp(address(a), address(b), bytes) == 0);
  if (same) {
    ++total.checks;
    total.elements += a.numel();
  } else {
    check(what, got, expected, exactly);  // which says where
    if (a.dtype() == b.dtype()) check(what + ": the bits of a NaN", false);
  }
}

void check(const std::string& what, const Tensor& got, const Array& expected,
           const Tolerance& tolerance) {
  ++total.checks;
  total.elements += static_cast<long>(expected.values.size());
  if (got.shape() != expected.shape) {
    FAIL_CHECK(what << ": shape " << got.shape() << ", expected " << expected.shape);
    return;
  }
  std::vector<double> values = got.to_vector<double>();
  int wrong = 0;
  std::string report;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (agree(values[i], expected.values[i], tolerance, got.dtype() == float32)) continue;
    if (++wrong <= 3)
      report += fmt::format("\n  element {}: {:.17g}, expected {:.17g}", i, values[i],
                            static_cast<double>(expected.values[i]));
  }
  if (wrong > 0)
    FAIL_CHECK(what << ", shape " << got.shape() << ": " << wrong << " elements differ" << report);
}

void check(const std::string& what, const Tensor& got, const Tensor& expected,
           const Tolerance& tolerance) {
  if (got.dtype() != expected.dtype())
    FAIL_CHECK(what << ": dtype " << name_of(got.dtype()) << ", expected "
                    << name_of(expected.dtype()));
  check(what, got, array_of(expected), tolerance);
}

}  // namespace keratin::test
