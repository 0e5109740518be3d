// Kernels that wait to be run row by row: nobody must see that they did.
#include <doctest/doctest.h>
#include <keratin/keratin.h>

#include <functional>
#include <optional>

#include <keratin/core/internal/row_by_row.h>
#include <keratin/core/internal/tensor_data.h>

namespace keratin {

namespace {

struct Threads {
  explicit Threads(int n) { set_num_threads(n); }
  ~Threads() { set_num_threads(0); }
};

constexpr std::int64_t rows = 32, steps = 40, features = 64;

// Time first in memory, batch first in its axes, as a recurrent layer's output is.
Tensor time_first(Random& random) {
  return random.normal({steps, rows, features}).transpose({1, 0, 2});
}

// All steps of all rows, time first: for such a tensor a view.
Tensor flat(const Tensor& x) { return reshape(x.transpose({1, 0, 2}), {-1, features}); }

// Ops on sequences (rows, steps, features) that keep the shape. Most treat the rows one by one, and
// the others have to notice what waits.
std::vector<std::function<Tensor(const Tensor&, const Tensor&, const Tensor&)>> moves() {
  using T = Tensor;
  return {
      [](const T& a, const T& b, const T&) { return a + 0.1 * b; },
      [](const T& a, const T& b, const T&) { return a * tanh(b); },
      [](const T& a, const T&, const T&) { return a - sum(a, 1, true); },
      [](const T& a, const T&, const T&) { return a - mean(a, 0, true); },
      [](const T& a, const T& b, const T&) { return b * softmax(a, 1); },
      [](const T& a, const T& b, const T&) { return b - softmax(a, 2); },
      [](const T& a, const T& b, const T&) { return b - softmax(a, 0); },
      [](const T& a, const T&, const T& w) { return dot(a, w); },
      [](const T& a, const T& b, const T& w) {
        return linear(a, w, slice(b, {0, 0}));
      },
      [](const T& a, const T& b, const T&) { return where(a > b, a, b); },
      [](const T& a, const T&, const T&) {
        return a.transpose({1, 0, 2}).copy().transpose({1, 0, 2});
      },
      [](const T& a, const T&, const T&) { return a.copy(); },
      [](const T& a, const T&, const T&) {
        return slice(a, {all, range(-1, -steps - 1, -1)}) * 0.5;
      },
      [](const T& a, const T& b, const T&) { return slice(a, {range(-1, -rows - 1, -1)}) + b; },
      [](const T& a, const T& b, const T&) {
        return concatenate({slice(a, {all, range(0, 7)}), slice(b, {all, range(7, steps)})}, 1);
      },
      [](const T& a, const T&, const T&) { return cumsum(a, 1) * 0.1; },
      [](const T& a, const T& b, const T&) {
        return a + slice(b, {all, range(3, 4)});
      },
      [](const T& a, const T& b, const T&) { return a + slice(b, {range(rows - 1, rows)}); },
      [](const T& a, const T& b, const T&) {
        return a + slice(b, {range(3, 4)}) * a.item(1, 2, 3);
      },
      [](const T& a, const T&, const T&) { return a.astype(float64).astype(float32) * 0.9; },
      [](const T& a, const T& b, const T&) {
        T c = a.copy();
        slice(c, {all, range(2, 5)}).assign(slice(b, {all, range(4, 7)}));
        return c;
      },
      [](const T& a, const T& b, const T&) { return maximum(a, max(b, 2, true) - 3); },
      [](const T& a, const T& b, const T&) { return minimum(a, b); },
      // As many rows, but not those of the batch.
      [](const T& a, const T& b, const T&) {
        return a + expand_dims(slice(flat(b), {range(5, 5 + rows)}), 1);
      },
      [](const T& a, const T& b, const T&) {
        T wide = reshape(slice(flat(b), {range(0, 26 * 48)}), {26, 48, features});
        return a + sum(slice(wide, {all, range(0, rows)}).transpose({1, 0, 2}) * 0.1, 1, true);
      },
  };
}

// A chain of moves taken at random, and the gradient of its end. One layout of memory or another.
std::vector<std::vector<float>> random_program(std::uint64_t seed, bool row_by_row) {
  static const auto all_moves = moves();
  Random random(seed);
  std::vector<Tensor> made{time_first(random), random.normal({rows, steps, features}),
                           time_first(random)};
  Tensor w = random.normal({features, features}) * 0.1;
  Tensor choice = random.integers({60}, 0, 1 << 20);
  int next = 0;
  auto pick = [&](std::size_t n) { return static_cast<std::size_t>(choice.item(next++ % 60)) % n; };
  GradientTape tape;
  for (const Tensor& x : made) tape.watch(x);
  tape.watch(w);
  std::vector<Tensor> watched{made[0], made[1], made[2], w}, gradients;
  Tensor loss;
  {
    std::optional<RowByRow> scope;
    if (row_by_row) scope.emplace(rows);
    for (int i = 0; i < 12; ++i) {
      const auto& move = all_moves[pick(all_moves.size())];
      Tensor made_now = move(made[pick(made.size())], made[pick(made.size())], w);
      made.push_back(tanh(made_now));
    }
    loss = sum(square(made.back()));
  }
  gradients = tape.gradient(loss, watched);
  std::vector<std::vector<float>> bits;
  for (const auto& list : {made, gradients})
    for (const Tensor& tensor : list) bits.push_back(tensor.to_vector<float>());
  return bits;
}

}  // namespace

TEST_CASE("kernels wait in a scope, and are run when somebody reads") {
  Threads two(2);
  Random random(1);
  Tensor x = random.normal({rows, steps, features}), y;
  std::vector<float> expected = tanh(x * 2).to_vector<float>();
  {
    RowByRow scope(rows);
    y = tanh(x * 2);
    CHECK(kernels_wait);
    CHECK(y.item(3, 4, 5) == expected[(3 * steps + 4) * features + 5]);
    CHECK_FALSE(kernels_wait);
    y = tanh(x * 2);
    CHECK(kernels_wait);
    CHECK(zeros({3}).to_vector<float>() == std::vector<float>(3));  // no business of those
    CHECK(kernels_wait);
  }
  CHECK_FALSE(kernels_wait);
  CHECK(y.to_vector<float>() == expected);
}

TEST_CASE("row by row gives the bits of kernel by kernel, whatever the ops") {
  Threads two(2);
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    auto expected = random_program(seed, false), found = random_program(seed, true);
    REQUIRE(found.size() == expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      CAPTURE(i);
      CHECK(found[i] == expected[i]);
    }
  }
}

TEST_CASE("rows may be as many as steps or features") {
  Threads two(2);
  Random random(2);
  for (Shape shape : {Shape{64, 64, 64}, Shape{64, 64, 32}, Shape{16, 64, 64}}) {
    bool square = shape[0] == shape[1];
    Tensor a = random.normal(shape), b = random.normal(shape);
    auto program = [&] {
      Tensor y = a * b + softmax(a, 1), z = tanh(y);
      if (square) z = z + tanh(y.transpose({1, 0, 2})) * z.transpose({1, 0, 2});
      return softmax(z * y + sum(z, 1, true), 2).to_vector<float>();
    };
    auto expected = program();
    RowByRow scope(shape[0]);
    for (int i = 0; i < 10; ++i) CHECK(program() == expected);
  }
}

TEST_CASE("memory that the user can write to is not read later than its turn") {
  Threads two(2);
  Tensor x = ones({rows, steps, features});
  std::vector<float> own(static_cast<std::size_t>(x.numel()), 1.0f);
  Tensor view = Tensor::view(own.data(), x.shape()), exposed = ones(x.shape());
  float* address = exposed.mutable_data<float>();
  RowByRow scope(rows);
  Tensor y = x + view, z = x + exposed;
  own[7] = address[7] = 5;
  CHECK(y.item(0, 0, 7) == 2);
  CHECK(z.item(0, 0, 7) == 2);

  const float* seen = x.data<float>();
  x.assign(tanh(y) * 0 + 3);
  CHECK(seen[7] == 3);
}

TEST_CASE("scopes may be nested, of other rows too") {
  Threads two(2);
  Random random(3);
  Tensor x = random.normal({rows, steps, features});
  auto inner = [&](const Tensor& y) {
    return sum(tanh(y.transpose({1, 0, 2})) * y.item(0, 0, 0), 1);
  };
  Tensor y = exp(x);
  std::vector<float> expected = inner(y).to_vector<float>();
  RowByRow outer(rows);
  Tensor again = exp(x), result;
  {
    RowByRow other(steps);
    CHECK(RowByRow::rows_here() == steps);
    result = inner(again);
  }
  CHECK(RowByRow::rows_here() == rows);
  CHECK(result.to_vector<float>() == expected);
}

TEST_CASE("an error inside a scope leaves nothing waiting") {
  Threads two(2);
  Tensor x = ones({rows, steps, features}), y;
  try {
    RowByRow scope(rows);
    y = x + 1;
    dot(y, ones({3, 3}));
    FAIL("dot took shapes that do not fit");
  } catch (const std::invalid_argument&) {
  }
  CHECK_FALSE(kernels_wait);
  CHECK(max(abs(y - 2)).item() == 0);
}

}  // namespace keratin
