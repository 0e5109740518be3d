// Training and prediction cut batches into parts for the threads; nobody should notice.
#include <doctest/doctest.h>
#include <keratin/autograd/internal/record.h>
#include <keratin/keratin.h>
#include <keratin/layers/attention.h>
#include <keratin/layers/internal/by_parts.h>

#include <thread>

#include "pooled.h"

namespace keratin {
namespace {

double largest_difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  return max(abs(a - b)).item();
}

struct Threads {
  explicit Threads(int n) { set_num_threads(n); }
  ~Threads() { set_num_threads(0); }
};

/// LSTM and attention, built for 12 features.
struct Layers {
  LSTM lstm{32, {.return_sequences = true}};
  AttentionLayer attention{64};

  explicit Layers(std::int64_t steps) {
    set_random_seed(3);
    lstm.ensure_built({None, steps, 12});
    attention.ensure_built({None, steps, 32});
  }
  std::vector<Weight> weights() const {
    std::vector<Weight> all = lstm.weights();
    for (const Weight& weight : attention.weights()) all.push_back(weight);
    return all;
  }
  std::pair<Tensor, Tensor> operator()(const Tensor& x, const Tensor& mask) {
    auto [y, y_mask] = lstm.call_with_mask(x, {.mask = mask});
    return attention.call_with_mask(y, {.mask = y_mask});
  }
};

Sequential masked_model() {
  set_random_seed(5);
  return Sequential({Masking(),
                     LSTM(32, {.kernel_regularizer = L2(0.01), .return_sequences = true}),
                     AttentionLayer(64), Dense(9, {.activation = "softmax"})});
}

}  // namespace

TEST_CASE("parts of a batch give the outputs and gradients of the whole") {
  Layers layers(29);
  Random random(1);
  for (std::int64_t rows : {16, 17}) {
    for (bool masked : {false, true}) {
      CAPTURE(rows);
      CAPTURE(masked);
      Tensor x = random.normal({rows, 29, 12});
      Tensor mask = masked ? random.uniform({rows, 29}) < 0.7 : Tensor();
      Tensor g = random.normal({rows, 32});
      std::vector<Tensor> wanted{x};
      for (const Weight& weight : layers.weights()) wanted.push_back(weight.value());

      auto gradients = [&](int parts) {
        GradientTape tape;
        tape.watch(x);
        Tensor y = parts == 1
                       ? layers(x, mask).first
                       : by_parts(parts, std::ref(layers), x, mask, layers.weights(), true).first;
        CHECK((tape.size() == 1) == (parts > 1));
        std::vector<Tensor> results = tape.gradient(y, wanted, g);
        // A tape that stays gives them again.
        std::vector<Tensor> again = tape.gradient(y, wanted, g);
        for (std::size_t i = 0; i < results.size(); ++i)
          CHECK(largest_difference(results[i], again[i]) == 0);
        results.push_back(y);
        return results;
      };
      std::vector<Tensor> whole = gradients(1);
      for (int parts : {2, 3}) {
        std::vector<Tensor> cut = gradients(parts);
        for (std::size_t i = 0; i < whole.size(); ++i) {
          CAPTURE(i);
          CHECK(largest_difference(whole[i], cut[i]) < 2e-6 * max(abs(whole[i])).item() + 1e-7);
        }
      }
    }
  }
}

TEST_CASE("all recurrent layers give in parts what they give whole, sequences and masks too") {
  Random random(1);
  Tensor x = random.normal({17, 9, 6}), mask = random.uniform({17, 9}) < 0.7;
  RNNOptions sequences{.return_sequences = true};
  std::vector<AnyLayer> layers{GRU(8, sequences), SimpleRNN(8, sequences), LSTM(8),
                               Bidirectional(LSTM(8, sequences)), Bidirectional(GRU(8))};
  for (const AnyLayer& layer : layers) {
    CAPTURE(layer->name());
    layer->ensure_built(x.shape());
    auto call = [&](const Tensor& part, const Tensor& part_mask) {
      return layer->call_with_mask(part, {.mask = part_mask});
    };
    std::vector<Tensor> weights;
    for (const Weight& weight : layer->weights()) weights.push_back(weight.value());
    Tensor whole, whole_mask;
    std::tie(whole, whole_mask) = call(x, mask);
    Tensor g = random.normal(whole.shape());
    auto gradients = [&](bool cut) {
      GradientTape tape;
      auto [y, y_mask] = cut ? by_parts(2, call, x, mask, layer->weights(), false) : call(x, mask);
      CHECK(largest_difference(y, whole) < 1e-6);
      CHECK(y_mask.defined() == whole_mask.defined());
      if (y_mask.defined()) CHECK(!any(y_mask != whole_mask).item());
      return tape.gradient(y, weights, g);
    };
    std::vector<Tensor> expected = gradients(false), found = gradients(true);
    for (std::size_t i = 0; i < found.size(); ++i)
      CHECK(largest_difference(found[i], expected[i]) < 2e-6 * max(abs(expected[i])).item());
  }
}

TEST_CASE("a step on a cut batch changes the weights as the gradient of the loss says") {
  Sequential model = masked_model();
  const double rate = 0.5;
  model.compile({.optimizer = SGD(rate), .loss = "categorical_crossentropy"});
  Random random(2);
  Tensor x = random.normal({16, 29, 12});
  slice(x, {all, range(20, 29)}).assign(0);
  Tensor y = one_hot(random.integers({16}, 0, 9), 9);
  model.ensure_built(x.shape());

  std::vector<Tensor> values;
  for (const Weight& weight : model.weights()) values.push_back(weight.value());
  std::vector<Tensor> before = model.get_weights();
  GradientTape tape;
  Tensor loss = model.total_loss(x, y, {.training = true});
  std::vector<Tensor> gradients = tape.gradient(loss, values);
  CHECK(tape.size() > 100);  // outside of fit every op is on the tape

  Logs logs = model.train_on_batch(x, y);
  CHECK(logs["loss"] == doctest::Approx(loss.item()).epsilon(1e-6));
  std::vector<Tensor> after = model.get_weights();
  for (std::size_t i = 0; i < before.size(); ++i) {
    CAPTURE(model.weights()[i].path());
    Tensor step = before[i] - after[i], expected = rate * gradients[i];
    double largest = max(abs(expected)).item();
    CHECK(largest > 1e-6);
    CHECK(largest_difference(step, expected) < 1e-5 * largest + 2e-7);
  }
}

TEST_CASE("a weight that two layers of a cut batch share gets both their gradients, once") {
  Tensor x = Random(4).normal({16, 29, 32});
  LSTM lstm(32, {.return_sequences = true});
  lstm.ensure_built(x.shape());
  auto twice = [&](const Tensor& part, const Tensor&) {
    return std::pair(lstm(lstm(part)), Tensor());
  };
  std::vector<Weight> weights = lstm.weights();
  for (const Weight& weight : lstm.weights()) weights.push_back(weight);
  auto gradient = [&](bool cut) {
    GradientTape tape;
    Tensor y = cut ? by_parts(2, twice, x, {}, weights, false).first : twice(x, {}).first;
    return tape.gradient(y, lstm.weights()[1].value());
  };
  Tensor whole = gradient(false);
  CHECK(largest_difference(whole, gradient(true)) < 1e-5 * max(abs(whole)).item());
}

TEST_CASE("a loss that is not a number leaves the weights of a cut batch as they are") {
  Sequential model = masked_model();
  model.compile({.optimizer = "adam", .loss = "categorical_crossentropy"});
  Random random(2);
  Tensor x = random.normal({16, 29, 12}), y = one_hot(random.integers({16}, 0, 9), 9);
  model.train_on_batch(x, y);
  std::vector<Tensor> before = model.get_weights();
  slice(x, {3, 4, 5}).assign(NAN);
  CHECK_THROWS_WITH(model.train_on_batch(x, y),
                    doctest::Contains("loss became NaN: sample 3 of x in this batch"));
  for (std::size_t i = 0; i < before.size(); ++i)
    CHECK(largest_difference(before[i], model.get_weights()[i]) == 0);
}

TEST_CASE("memory of parts stays with them, whoever computes them" * doctest::skip(!pooled)) {
  Sequential model = masked_model();
  model.compile({.optimizer = "adam", .loss = "categorical_crossentropy"});
  Random random(2);
  Tensor x = random.normal({16, 29, 12}), y = one_hot(random.integers({16}, 0, 9), 9);
  auto work = [&](int steps) {
    for (int i = 0; i < steps; ++i) {
      model.train_on_batch(x, y);
      model.predict_on_batch(x);
    }
  };
  work(5);
  release_cached_memory();
  std::int64_t model_alone = memory_stats().bytes_reserved;
  work(5);
  MemoryStats before = memory_stats();
  CHECK(before.bytes_reserved > model_alone);
  work(50);
  CHECK(memory_stats().system_allocations == before.system_allocations);
  release_cached_memory();
  CHECK(memory_stats().bytes_reserved == model_alone);
}

TEST_CASE("a frozen layer in a cut batch stays as it is") {
  Sequential model = masked_model();
  model.compile({.optimizer = SGD(0.5), .loss = "categorical_crossentropy"});
  Random random(2);
  Tensor x = random.normal({16, 29, 12}), y = one_hot(random.integers({16}, 0, 9), 9);
  model.ensure_built(x.shape());
  model.get_layer(1).set_trainable(false);
  std::vector<Tensor> before = model.get_weights();
  model.train_on_batch(x, y);
  std::vector<Tensor> after = model.get_weights();
  for (std::size_t i = 0; i < before.size(); ++i)
    CHECK((largest_difference(before[i], after[i]) == 0) == (i < 3));
}

TEST_CASE("each part of a batch has dropout noise of its own, the same after the same seed") {
  Tensor x = ones({16, 29, 12});
  auto draw = [&] {
    set_random_seed(11);
    Dropout dropout(0.5);
    dropout.ensure_built(x.shape());
    auto f = [&](const Tensor& part, const Tensor&) {
      return std::pair(dropout(part, {.training = true}), Tensor());
    };
    return by_parts(2, f, x, {}, {}, true).first;
  };
  Tensor y = draw();
  CHECK(largest_difference(y, draw()) == 0);
  CHECK(largest_difference(slice(y, {range(0, 8)}), slice(y, {range(8, 16)})) == 2);
  CHECK(mean(y).item() == doctest::Approx(1).epsilon(0.05));
}

TEST_CASE("what goes wrong in a part is told of the whole batch") {
  auto f = [](const Tensor& x, const Tensor&) -> std::pair<Tensor, Tensor> {
    return {dot(x, zeros({5, 2})), Tensor()};
  };
  CHECK_THROWS_WITH(by_parts(2, f, zeros({16, 4}), {}, {}, false), doctest::Contains("(16, 4)"));
}

TEST_CASE("a batch is computed whole when a part may not be what it seems") {
  Tensor x = Random(4).normal({16, 4});
  Weight listed("listed", ones({4})), other("other", full({4}, 2.0));
  int calls = 0;
  auto check = [&](const MaskedFunction& f, const Tensor& expected) {
    std::vector<Weight> weights{listed};
    Threads one(1);  // to count the calls
    calls = 0;
    GradientTape tape;
    Tensor y = by_parts(2, f, x, {}, weights, false).first;
    CHECK(calls == 3);
    CHECK(largest_difference(y, expected) == 0);
    return tape.gradient(sum(y), other.value());
  };
  auto uses_another_weight = [&](const Tensor& part, const Tensor&) {
    ++calls;
    return std::pair(part * listed * other, Tensor());
  };
  CHECK(largest_difference(check(uses_another_weight, x * 2), sum(x, 0)) < 1e-5);

  auto drops_samples = [&](const Tensor& part, const Tensor&) {
    ++calls;
    return std::pair(slice(part * listed, {range(1, part.size(0))}) * other, Tensor());
  };
  check(drops_samples, slice(x, {range(1, 16)}) * 2);

  // Without a generator of its own, a part cannot draw the same numbers on any thread.
  Dropout dropout(0.5);
  dropout.ensure_built(x.shape());
  auto noisy = [&](const Tensor& part, const Tensor&) {
    ++calls;
    return std::pair(dropout(part, {.training = true}) * listed * other, Tensor());
  };
  set_random_seed(1);
  Tensor expected = dropout(x, {.training = true}) * 2;
  set_random_seed(1);
  check(noisy, expected);
}

TEST_CASE("a model that is asked within a part does not cut its batch again") {
  CutBatches allowed;
  Tensor x = ones({16, 4});
  auto f = [](const Tensor& part, const Tensor&) {
    CHECK(!may_cut_batches());
    CutBatches again;
    CHECK(!may_cut_batches());
    return std::pair(part + 1, Tensor());
  };
  CHECK(largest_difference(by_parts(2, f, x, {}, {}, false).first, x + 1) == 0);
  CHECK(may_cut_batches());
}

TEST_CASE("batches are cut where it is allowed and worth it") {
  Layers layers(29);
  std::vector<Weight> weights = layers.weights();
  auto parts = [&](std::int64_t rows, std::int64_t steps = 29) {
    return parts_worth(zeros({rows, steps, 12}), weights);
  };
  CHECK(parts(15) == 1);
  CHECK(parts(16) == 2);
  CHECK(parts(64) == 2);
  CHECK(parts(128) == 4);
  CHECK(parts(4096) == 8);
  CHECK(parts(16, 2) == 1);  // too little to do
  CHECK(parts_worth(zeros({64, 29, 12}), std::vector{Weight("w", zeros({1024, 1024}))}) == 1);

  CHECK(!may_cut_batches());  // nobody asked for it
  CutBatches allowed;
  CHECK(may_cut_batches());
  {
    Capture values;  // wants to see what layers name
    CHECK(!may_cut_batches());
  }
  GradientTape one;
  CHECK(may_cut_batches());
  GradientTape two;  // would record how the other differentiates
  CHECK(!may_cut_batches());
}

TEST_CASE("layers with something to share between samples are not cut") {
  struct Mine : AttentionLayer {
    using AttentionLayer::AttentionLayer;
  };
  CHECK(AttentionLayer(4).splits_batch());
  CHECK(!Mine(4).splits_batch());
  CHECK(LSTM(4).splits_batch());
  CHECK(GRU(4).splits_batch());
  CHECK(SimpleRNN(4).splits_batch());
  CHECK(!LSTM(4, {.stateful = true}).splits_batch());
  CHECK(!LSTM(4, {.seed = 3}).splits_batch());
  CHECK(!LSTM(4, {.activation = [](const Tensor& x) { return x; }}).splits_batch());
  CHECK(Bidirectional(LSTM(4)).splits_batch());
  CHECK(!Bidirectional(LSTM(4, {.stateful = true})).splits_batch());
  CHECK(Dropout(0.5).splits_batch());
  CHECK(!Dropout(0.5, {.seed = 1}).splits_batch());
  CHECK(Masking().splits_batch());
  CHECK(!BatchNormalization().splits_batch());
}

TEST_CASE("capture sees the values inside a model whose batches are cut") {
  Sequential model = masked_model();
  Tensor x = Random(2).normal({16, 29, 12});
  Tensor y = model.predict(x);
  std::map<std::string, Tensor> values = model.capture(x);
  CHECK(values.at(model.get_layer(2).name() + "/attention").shape() == Shape{16, 29, 1});
  CHECK(largest_difference(values.at(model.get_layer(3).name()), y) < 1e-6);
}

TEST_CASE("a wandering tape goes on in another thread") {
  Tensor x = tensor({0.5, 2.0}), y;
  GradientTape outer;
  outer.watch(x);
  std::optional<WanderingTape> tape;
  std::thread([&] {
    tape.emplace();
    (*tape)->watch(x);
    y = x * x;
    tape->leave();
    CHECK_THROWS_WITH((*tape)->gradient(y, x), doctest::Contains("belongs to the thread"));
  }).join();
  std::thread([&] {
    tape->join();
    y = y * x;
    tape->leave();
    CHECK(recording == nullptr);
  }).join();
  tape->join();
  Tensor g = (*tape)->gradient(y, x);
  CHECK(g.item(0) == doctest::Approx(0.75));
  CHECK(g.item(1) == doctest::Approx(12));
  CHECK(outer.size() == 0);
  tape->leave();
  tape.reset();
  Tensor z = x * x;  // this thread's own tape is as it was
  CHECK(outer.gradient(z, x).item(1) == 4);
}

}  // namespace keratin
