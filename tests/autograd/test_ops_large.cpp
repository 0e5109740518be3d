// Large tensors, where kernels work in blocks, tails and threads: derivatives by random projection,
// and the same bits whatever the number of threads.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include <keratin/core/parallel.h>

#include "../on_processor.h"
#include "op_table.h"

TEST_SUITE_BEGIN("kernels");

namespace keratin::test {
namespace {

double projection(const Tensor& x, const Tensor& on) {
  const std::vector<double> a = x.to_vector<double>(), b = on.to_vector<double>();
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

double length(const Tensor& x) { return std::sqrt(projection(x, x)); }

void check_number(const std::string& what, double got, double expected, double error) {
  check(what + ": " + std::to_string(got) + ", expected " + std::to_string(expected),
        std::fabs(got - expected) <= error);
}

// Restores the number of threads.
class Threads {
 public:
  Threads() : before_(num_threads()) {}
  ~Threads() { set_num_threads(before_); }

 private:
  int before_;
};

Inputs values_and_gradients(const Case& c, const Inputs& x, const Tensor& cotangent) {
  Inputs all{c.call(x)};
  if (!c.traits.differentiable) return all;
  for (const Tensor& g : gradients(c.call, x, cotangent))
    if (g.defined()) all.push_back(g);
  return all;
}

// The derivative along one random direction against a central difference.
void check_direction(const Case& c, const Inputs& x, const Inputs& g, const Tensor& cotangent) {
  constexpr double h = 1e-6;
  Inputs up = x, down = x;
  double along = 0, size = 1;
  auto gradient = g.begin();
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!is_floating(x[i].dtype())) continue;
    Tensor direction = random_like(x[i], static_cast<unsigned>(20 + i));
    up[i] = x[i] + direction * h;
    down[i] = x[i] - direction * h;
    along += projection(*gradient, direction);
    size += length(*gradient++);
  }
  double difference = projection(c.call(up) - c.call(down), cotangent) / (2 * h);
  check_number(c.name() + ": derivative along a direction", along, difference, 1e-6 * size);
}

void check_precision(const Case& c, const Inputs& wide, const Inputs& narrow) {
  constexpr double epsilon = 1.2e-7;
  for (std::size_t i = 0; i < wide.size(); ++i) {
    if (!is_floating(wide[i].dtype())) continue;
    Tensor on = random_like(wide[i], 4);
    double error = std::max(64.0, c.traits.ulps) * epsilon * (length(wide[i]) + c.traits.floor);
    check_number(c.name() + ": float32's projection of " + (i == 0 ? "the value" : "a gradient"),
                 projection(narrow[i], on), projection(wide[i], on), error);
  }
}

void check_threads(const Case& c, DType dtype) {
  Inputs x = samples(c, dtype);
  set_num_threads(1);
  Tensor cotangent = random_like(c.call(x), 3);
  Inputs expected = values_and_gradients(c, x, cotangent);
  // Two threads five times: a race would not always have the same outcome.
  for (int threads : {4, 2, 2, 2, 2, 2}) {
    set_num_threads(threads);
    Inputs got = values_and_gradients(c, x, cotangent);
    for (std::size_t i = 0; i < got.size(); ++i)
      check_bits(c.name() + " with " + std::to_string(threads) +
                     " threads: " + (i == 0 ? "value" : "gradient " + std::to_string(i)),
                 got[i], expected[i]);
  }
}

}  // namespace

TEST_CASE("large tensors agree with differences, and float32 with float64, by random projection" *
          on_processor()) {
  for (const Case& c : large_table()) {
    Inputs x = samples(c, float64), narrow = samples(c, float32);
    Tensor cotangent = random_like(c.call(x), 3);
    Inputs y = values_and_gradients(c, x, cotangent);
    check_precision(c, y, values_and_gradients(c, narrow, cotangent));
    if (c.traits.differentiable) check_direction(c, x, {y.begin() + 1, y.end()}, cotangent);
  }
}

TEST_CASE("the number of threads changes no bit, and nor does another run" * on_processor()) {
  Threads restore;
  // Past the 8192 elements below which one thread works alone.
  for (const PointwiseOp& op : pointwise_table())
    for (DType dtype : {float32, float64})
      check_threads(op.on(std::vector<Shape>(static_cast<std::size_t>(op.inputs), {40009})), dtype);
  for (auto* table :
       {large_reduce_table, large_product_table, large_shape_table, large_parts_table})
    for (const Case& c : table()) check_threads(c, float32);
}

}  // namespace keratin::test

TEST_SUITE_END();
