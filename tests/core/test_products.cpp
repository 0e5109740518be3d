// Matrix products in every way they are computed: sizes on both sides of each rule, tails, bias,
// layouts. The oracle is float64, which goes through BLAS.
#include <doctest/doctest.h>
#include <keratin/keratin.h>

#include <array>
#include <cmath>

TEST_SUITE_BEGIN("kernels");

namespace keratin {
namespace {

struct Threads {
  explicit Threads(int n) { set_num_threads(n); }
  ~Threads() { set_num_threads(0); }
};

// The largest difference to float64, in units of what roundings may add up to: k of them, of sums
// that grow as the root of k.
double error(const Tensor& found, const Tensor& a, const Tensor& b, const Tensor& bias = {}) {
  Tensor expected = dot(a.astype(float64), b.astype(float64));
  if (bias.defined()) expected = expected + bias.astype(float64);
  double k = static_cast<double>(b.size(0));
  return max(abs(found.astype(float64) - expected)).item() / (4e-7 * (k + 10));
}

}  // namespace

TEST_CASE("products with many rows agree with float64, with a bias and without") {
  Random random(1);
  for (int m : {63, 64, 256, 263})
    for (int k : {1, 7, 8, 31, 130})
      for (int n : {7, 8, 33, 64}) {
        CAPTURE(m);
        CAPTURE(k);
        CAPTURE(n);
        Tensor a = random.normal({m, k}), b = random.normal({k, n}), bias = random.normal({n});
        CHECK(error(dot(a, b), a, b) < 1);
        CHECK(error(linear(a, b, bias), a, b, bias) < 1);
        Tensor column = slice(random.normal({n, 3}), {all, 1}), backward = flip(bias, 0);
        CHECK(error(linear(a, b, column), a, b, column) < 1);
        CHECK(error(linear(a, b, backward), a, b, backward) < 1);
        Tensor repeated = broadcast_to(random.normal({1}), {n});
        CHECK(error(linear(a, b, repeated), a, b, repeated) < 1);
        Tensor transposed = random.normal({n, k}).transpose();
        CHECK(error(dot(a, transposed), a, transposed) < 1);
      }
}

TEST_CASE("products over many rows, as for the gradient of a weight, agree with float64") {
  Random random(2);
  for (int k : {63, 64, 256, 257, 700})
    for (int m : {15, 16, 45, 256, 257, 520})
      for (int n : {15, 16, 31, 100}) {
        CAPTURE(m);
        CAPTURE(k);
        CAPTURE(n);
        Tensor a = random.normal({k, m}).transpose(), b = random.normal({k, n});
        Tensor one, two;
        {
          Threads single(1);
          one = dot(a, b);
        }
        {
          Threads several(3);
          two = dot(a, b);
        }
        CHECK(error(one, a, b) < 1);
        CHECK(keratin::all(one == two).item() == 1);
        Tensor part = slice(b, {keratin::all, range(3, 15)});  // rows that do not lie side by side
        CHECK(error(dot(a, part), a, part) < 1);
      }
}

TEST_CASE("products with few rows or columns agree with float64 in every layout") {
  Random random(4);
  auto layouts = [&](int rows, int columns) {
    return std::vector{random.normal({rows, columns}), random.normal({columns, rows}).transpose(),
                       slice(random.normal({rows, columns + 3}), {all, range(2, columns + 2)}),
                       slice(random.normal({2 * rows, columns}), {range(0, 2 * rows, 2)}),
                       broadcast_to(random.normal({1, columns}), {rows, columns})};
  };
  for (int m : {1, 2, 3, 4, 7, 8, 14})
    for (int k : {1, 2, 64, 300})
      for (int n : {1, 2, 15, 16, 17, 33, 100}) {
        CAPTURE(m);
        CAPTURE(k);
        CAPTURE(n);
        for (const Tensor& a : layouts(m, k))
          for (const Tensor& b : layouts(k, n)) {
            // Not by a product in float64, which goes through the same vectors of BLAS.
            Tensor expected = sum(expand_dims(a.astype(float64), 2) * b.astype(float64), 1);
            CHECK(max(abs(dot(a, b).astype(float64) - expected)).item() < 4e-7 * (k + 10));
          }
      }
}

TEST_CASE("products large enough for several threads have the same bits with any number" *
          doctest::test_suite("threads")) {
  Random random(6);
  const std::vector<std::array<int, 3>> sizes = {
      {40, 300, 100}, {300, 500, 40}, {1, 1000, 1500}, {1500, 1000, 1}};
  for (auto [m, k, n] : sizes)
    for (const Tensor& a : {random.normal({m, k}), random.normal({k, m}).transpose()})
      for (const Tensor& b : {random.normal({k, n}), random.normal({n, k}).transpose()}) {
        Tensor one;
        {
          Threads single(1);
          one = dot(a, b);
        }
        CHECK(error(one, a, b) < 1);
        for (int count : {2, 3, 8}) {
          Threads more(count);
          CHECK(keratin::all(one == dot(a, b)).item() == 1);
        }
      }
}

TEST_CASE("a product takes nothing from around its factors, nor from where it is written") {
  Random random(5);
  auto amid_nan = [&](int rows, int columns) {
    Tensor larger = full({rows + 2, columns + 32}, NAN);
    Tensor x = slice(larger, {range(1, rows + 1), range(16, columns + 16)});
    x.assign(random.normal({rows, columns}));
    return x;
  };
  for (int m : {1, 3, 70})
    for (int k : {1, 5, 64})
      for (int n : {1, 3, 40}) {
        CAPTURE(m);
        CAPTURE(k);
        CAPTURE(n);
        Tensor a = amid_nan(m, k), b = amid_nan(k, n), flipped = amid_nan(n, k).transpose();
        for (const Tensor& factor : {b, flipped}) {
          full({m, n}, NAN);  // leaves its memory to the product
          CHECK(error(dot(a, factor), a, factor) < 1);
        }
      }
}

TEST_CASE("the gradient of a factor of a batched product lies in memory as the factor does") {
  Random random(3);
  Tensor x = transpose(random.normal({5, 3, 2}), {1, 2, 0});  // (3, 2, 5)
  Tensor y = transpose(random.normal({5, 3, 4}), {1, 0, 2});  // (3, 5, 4)
  Tensor g = random.normal({3, 2, 4});
  GradientTape tape;
  tape.watch(x);
  tape.watch(y);
  Tensor loss = sum(matmul(x, y) * g);
  auto gradients = tape.gradient(loss, {x, y});
  CHECK(gradients[0].strides() == x.strides());
  CHECK(gradients[1].strides() == y.strides());
  CHECK(max(abs(gradients[0] - einsum("bmn,bkn->bmk", {g, y}))).item() < 1e-6);
  CHECK(max(abs(gradients[1] - einsum("bmk,bmn->bkn", {x, g}))).item() < 1e-6);
}

TEST_CASE("the gradient of a factor of a product does not need that factor's values") {
  for (const Shape& shape : {Shape{3, 4}, Shape{2, 3, 4}}) {
    Tensor x = ones(shape), y = ones(shape.with(-2, 4).with(-1, 5));
    GradientTape tape;
    tape.watch(x);
    Tensor z = sum(matmul(x, y));
    x.assign(0);
    CHECK(sum(tape.gradient(z, x)).item() == 5.0 * static_cast<double>(shape.numel()));
  }
}

TEST_CASE("products of rows in another order in memory with a vector, and with many matrices") {
  Random random(4);
  Tensor x = swapaxes(random.normal({3, 2, 4}), 0, 1);
  for (const Shape& shape : {Shape{4}, Shape{3, 4, 2}}) {
    Tensor y = random.normal(shape), z = dot(x, y), expected = dot(x.copy(), y);
    CHECK(z.shape() == expected.shape());
    CHECK(max(abs(z - expected)).item() < 1e-6);
  }
}

}  // namespace keratin

TEST_SUITE_END();
