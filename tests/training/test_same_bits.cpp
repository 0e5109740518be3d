// Training gives the same weights, bit for bit, for any number of threads and from run to run: the
// models of the benchmarks at their full sizes.
#include <doctest/doctest.h>
#include <keratin/core/internal/sanitized.h>
#include <keratin/keratin.h>
#include <keratin/layers/attention.h>

#include <cstdint>
#include <cstring>
#include <functional>

TEST_SUITE_BEGIN("threads");

namespace keratin {
namespace {

struct Threads {
  explicit Threads(int n) { set_num_threads(n); }
  ~Threads() { set_num_threads(0); }
};

// FNV-1a over the bits of all weights.
std::uint64_t fingerprint(const Model& model) {
  std::uint64_t hash = 14695981039346656037u;
  for (const Weight& weight : model.weights())
    for (float value : weight.value().to_vector<float>()) {
      std::uint32_t bits;
      std::memcpy(&bits, &value, sizeof bits);
      hash = (hash ^ bits) * 1099511628211u;
    }
  return hash;
}

std::uint64_t trained(const std::function<Sequential()>& make, int steps, int batch, Shape input) {
  set_random_seed(7);
  Sequential model = make();
  model.compile({.optimizer = "adam", .loss = "categorical_crossentropy"});
  Random random(1);
  Tensor x = random.normal(input.inserted(0, batch));
  Tensor y = one_hot(random.integers({batch}, 0, 10), 10);
  for (int i = 0; i < steps; ++i) model.train_on_batch(x, y);
  return fingerprint(model);
}

// Sanitizers look at the accesses, and a few steps show them all.
constexpr int slowdown = sanitized ? 20 : 1;

void check_same_bits(const std::function<Sequential()>& make, int steps, int batch,
                     const Shape& input) {
  std::uint64_t expected = 0;
  steps = (steps + slowdown - 1) / slowdown;
  {
    Threads one(1);
    expected = trained(make, steps, batch, input);
    CHECK(trained(make, steps, batch, input) == expected);
    CHECK(trained(make, steps + 1, batch, input) != expected);  // it does see a difference
  }
  for (int threads : {2, 3, 4, 8}) {
    CAPTURE(threads);
    Threads several(threads);
    CHECK(trained(make, steps, batch, input) == expected);
  }
}

std::function<Sequential()> lstm(int units, double dropout = 0) {
  return [=] {
    LSTM layer(units, {.return_sequences = true, .dropout = dropout, .recurrent_dropout = dropout});
    return Sequential({std::move(layer), AttentionLayer(64), Dense(10, {.activation = "softmax"})});
  };
}

}  // namespace

TEST_CASE("the seed model has the same bits for any number of threads") {
  check_same_bits(lstm(128), 50, 64, {10, 32});
}

TEST_CASE("the vowels model has the same bits for any number of threads") {
  check_same_bits(lstm(32), 50, 16, {29, 12});
}

TEST_CASE("long and wide models have the same bits for any number of threads") {
  if (sanitized) return;
  check_same_bits(lstm(256), 2, 32, {100, 64});
  check_same_bits(lstm(512), 1, 64, {50, 128});
}

TEST_CASE("a perceptron has the same bits for any number of threads") {
  auto mlp = [] {
    return Sequential({Dense(512, {.activation = "relu"}), Dense(512, {.activation = "relu"}),
                       Dense(10, {.activation = "softmax"})});
  };
  check_same_bits(mlp, 20, 128, {784});
}

TEST_CASE("GRU, Bidirectional, masks and dropout have the same bits for any number of threads") {
  check_same_bits(
      [] {
        return Sequential({GRU(128, {.return_sequences = true}), AttentionLayer(64),
                           Dense(10, {.activation = "softmax"})});
      },
      20, 64, {10, 32});
  check_same_bits(
      [] {
        return Sequential({Masking(), Bidirectional(LSTM(64, {.return_sequences = true})),
                           AttentionLayer(64), Dense(10, {.activation = "softmax"})});
      },
      10, 64, {10, 32});
  check_same_bits(lstm(128, 0.2), 10, 64, {10, 32});
}

}  // namespace keratin

TEST_SUITE_END();
