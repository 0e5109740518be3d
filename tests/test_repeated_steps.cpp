// A step whose kernel calls were noted down gives what the ops themselves would have given, and is
// not repeated where it might not.
#include <doctest/doctest.h>
#include <keratin/keratin.h>
#include <keratin/layers/attention.h>
#include <keratin/layers/internal/by_parts.h>

#include <atomic>

namespace keratin {
namespace {

double largest_difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  return max(abs(a - b)).item();
}

/// Layers one after the other that count their calls, and their weights.
struct Chain {
  std::vector<AnyLayer> layers;
  std::atomic<int> calls = 0;

  Chain(std::vector<AnyLayer> list, Shape shape) : layers(std::move(list)) {
    set_random_seed(3);
    for (const AnyLayer& layer : layers) {
      layer->ensure_built(shape);
      shape = layer->compute_output_shape(shape);
    }
  }
  std::pair<Tensor, Tensor> operator()(const Tensor& x, const Tensor& mask) {
    ++calls;
    std::pair<Tensor, Tensor> y(x, mask);
    for (const AnyLayer& layer : layers)
      y = layer->call_with_mask(y.first, {.training = true, .mask = y.second});
    return y;
  }
  std::vector<Weight> weights() const {
    std::vector<Weight> all;
    for (const AnyLayer& layer : layers)
      for (const Weight& weight : layer->weights()) all.push_back(weight);
    return all;
  }
  std::vector<Tensor> trainable() const {
    std::vector<Tensor> values;
    for (const Weight& weight : weights())
      if (weight.trainable()) values.push_back(weight.value());
    return values;
  }
};

/// The outputs of `chain` and the gradients of the sum of their squares.
std::vector<Tensor> step(Chain& chain, const Tensor& x, KeptBatch* kept) {
  NoGradient outside;
  GradientTape tape;
  Tensor y = by_parts(2, std::ref(chain), x, {}, chain.weights(), true, kept).first;
  std::vector<Tensor> results = std::move(tape).gradient(sum(square(y)), chain.trainable());
  results.push_back(y);
  return results;
}

/// Checks that a step with `kept` gives the bits of one without; whether it was repeated.
bool is_repeated(Chain& chain, const Tensor& x, KeptBatch& kept) {
  std::vector<Tensor> expected = step(chain, x, nullptr);
  int before = chain.calls;
  std::vector<Tensor> found = step(chain, x, &kept);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CAPTURE(i);
    CHECK(largest_difference(expected[i], found[i]) == 0);
  }
  return chain.calls == before;
}

Chain small_chain() {
  return Chain({LSTM(8, {.return_sequences = true}), AttentionLayer(6)}, {None, 7, 5});
}

}  // namespace

TEST_CASE("a repeated step gives the bits of a recorded one, for all layers that are cut") {
  RNNOptions sequences{.return_sequences = true};
  RNNOptions unusual{.activation = "relu", .recurrent_activation = "hard_sigmoid"};
  std::vector<std::vector<AnyLayer>> chains{
      {LSTM(8, sequences), AttentionLayer(6)},
      {GRU(8, sequences), GRU(8, {.go_backwards = true})},
      {GRU(8, {.reset_after = false})},
      {SimpleRNN(8)},
      {LSTM(8, unusual)},
      {Bidirectional(LSTM(4, sequences)), Bidirectional(GRU(8))},
      {Masking(), LSTM(8, sequences), AttentionLayer(4)},
      {Dropout(0), LSTM(8)},
      {AttentionLayer(4)}};
  Random random(1);
  for (const auto& layers : chains) {
    CAPTURE(layers.front()->name());
    for (int rows : {16, 17}) {
      Chain chain(layers, {None, 7, 5});
      KeptBatch kept;
      for (int i = 0; i < 4; ++i) {
        CAPTURE(i);
        Tensor x = random.normal({rows, 7, 5});
        slice(x, {keratin::all, range(5, 7)}).assign(0.0);
        CHECK(is_repeated(chain, x, kept) == (i > 0));
        for (const Weight& weight : chain.weights())
          Weight(weight).assign(weight.value() + 0.1 * random.normal(weight.shape()));
      }
    }
  }
}

TEST_CASE("a layer with noise or a look at its inputs is called each time") {
  Random random(1);
  Tensor x = random.normal({16, 7, 5});
  KeptBatch kept;
  Chain noisy({Dropout(0.5), LSTM(8)}, {None, 7, 5});
  for (int i = 0; i < 3; ++i) {
    int before = noisy.calls;
    set_random_seed(7);
    std::vector<Tensor> found = step(noisy, x, &kept);
    CHECK(noisy.calls == before + 2);
    set_random_seed(7);
    std::vector<Tensor> expected = step(noisy, x, nullptr);
    CHECK(largest_difference(found[0], expected[0]) == 0);
  }

  struct Looking : AttentionLayer {
    using AttentionLayer::AttentionLayer;
    Tensor call(const Tensor& inputs) override {
      double scale = slice(inputs, {0, 0, 0}).item() > 0 ? 2 : 1;
      return AttentionLayer::call(inputs) * scale;
    }
  };
  Chain looking({Looking(4)}, {None, 7, 5});
  KeptBatch other;
  for (int i = 0; i < 4; ++i) CHECK(!is_repeated(looking, random.normal({16, 7, 5}), other));
}

TEST_CASE("a step whose memory somebody keeps is not repeated") {
  struct Keeping : AttentionLayer {
    Tensor last;
    using AttentionLayer::AttentionLayer;
    Tensor call(const Tensor& inputs) override { return last = AttentionLayer::call(inputs); }
  };
  set_num_threads(1);  // this layer cannot be called by two
  Random random(1);
  Chain chain({Keeping(4)}, {None, 7, 5});
  KeptBatch kept;
  for (int i = 0; i < 3; ++i) CHECK(!is_repeated(chain, random.normal({16, 7, 5}), kept));
  set_num_threads(0);
}

TEST_CASE("a step with a mask or large products of its own is not repeated") {
  Random random(1);
  Tensor x = random.normal({16, 7, 5}), mask = random.uniform({16, 7}) < 0.7;
  Chain chain = small_chain();
  KeptBatch kept;
  for (int i = 0; i < 3; ++i) {
    int before = chain.calls;
    GradientTape tape;
    Tensor y = by_parts(2, std::ref(chain), x, mask, chain.weights(), true, &kept).first;
    std::move(tape).gradient(sum(y), chain.trainable());
    CHECK(chain.calls == before + 2);
  }
  Chain masking({Masking(), LSTM(4, {.return_sequences = true})}, {None, 7, 5});
  KeptBatch with_output_mask;
  for (int i = 0; i < 3; ++i) CHECK(!is_repeated(masking, x, with_output_mask));

  Chain large({LSTM(96)}, {None, 20, 32});
  KeptBatch with_products_that_wait;
  for (int i = 0; i < 3; ++i)
    CHECK(!is_repeated(large, random.normal({64, 20, 32}), with_products_that_wait));
}

TEST_CASE("a step is repeated only for the same shapes and weights") {
  Chain chain = small_chain();
  Random random(1);
  KeptBatch kept;
  auto inputs = [&](int rows) { return random.normal({rows, 7, 5}); };
  CHECK(!is_repeated(chain, inputs(16), kept));
  CHECK(is_repeated(chain, inputs(16), kept));
  // The last batch of an epoch leaves what is kept as it is.
  for (int epoch = 0; epoch < 3; ++epoch) {
    CHECK(!is_repeated(chain, inputs(18), kept));
    CHECK(is_repeated(chain, inputs(16), kept));
  }
  // Another size that stays takes its place.
  CHECK(!is_repeated(chain, inputs(20), kept));
  CHECK(!is_repeated(chain, inputs(20), kept));
  CHECK(is_repeated(chain, inputs(20), kept));

  chain.weights()[0].set_trainable(false);
  CHECK(!is_repeated(chain, inputs(20), kept));
  CHECK(!is_repeated(chain, inputs(20), kept));
  CHECK(is_repeated(chain, inputs(20), kept));
  Weight bias = chain.weights()[2];
  bias.replace(bias.value() + 1);
  CHECK(!is_repeated(chain, inputs(20), kept));
  CHECK(!is_repeated(chain, inputs(20), kept));
  CHECK(is_repeated(chain, inputs(20), kept));
}

TEST_CASE("a step that is under way is not begun again") {
  Chain chain = small_chain();
  Random random(1);
  KeptBatch kept;
  Tensor x1 = random.normal({16, 7, 5}), x2 = random.normal({16, 7, 5});
  for (int i = 0; i < 3; ++i) step(chain, x1, &kept);
  auto both = [&](KeptBatch* place) {
    GradientTape tape;
    Tensor y1 = by_parts(2, std::ref(chain), x1, {}, chain.weights(), true, place).first;
    Tensor y2 = by_parts(2, std::ref(chain), x2, {}, chain.weights(), true, place).first;
    return std::move(tape).gradient(sum(square(y1)) + sum(y2), chain.trainable());
  };
  std::vector<Tensor> expected = both(nullptr), found = both(&kept);
  for (std::size_t i = 0; i < expected.size(); ++i)
    CHECK(largest_difference(expected[i], found[i]) == 0);
}

TEST_CASE("gradients of a repeated step may be fewer, and asked for twice") {
  Chain chain = small_chain();
  Random random(1);
  KeptBatch kept;
  for (int i = 0; i < 3; ++i) step(chain, random.normal({16, 7, 5}), &kept);
  Tensor x = random.normal({16, 7, 5});
  auto some = [&](KeptBatch* place) {
    GradientTape tape;
    Tensor y = by_parts(2, std::ref(chain), x, {}, chain.weights(), true, place).first;
    std::vector<Tensor> all = chain.trainable(), wanted{all[1], all[3]};
    std::vector<Tensor> results = tape.gradient(sum(square(y)), wanted);
    for (const Tensor& again : tape.gradient(sum(y), wanted)) results.push_back(again);
    return results;
  };
  std::vector<Tensor> expected = some(nullptr);
  int before = chain.calls;
  std::vector<Tensor> found = some(&kept);
  CHECK(chain.calls == before);
  for (std::size_t i = 0; i < expected.size(); ++i)
    CHECK(largest_difference(expected[i], found[i]) < 1e-6 * max(abs(expected[i])).item());
}

TEST_CASE("a repeated step may sum up long rows, for which a kernel needs memory of its own") {
  struct Scaled : Layer {
    Weight w;
    void build(const Shape&) override { w = add_weight("w", {1}, "ones"); }
    Tensor call(const Tensor& x) override {
      Tensor a = exp(w), b = tanh(w), c = a * b;  // of 4 bytes each, and kept for their derivatives
      return x * a + tanh(x * c) * b;
    }
  };
  auto layer = std::make_shared<Scaled>();
  Chain chain({layer}, {None, 600, 40});
  Random random(1);
  KeptBatch kept;
  for (int i = 0; i < 4; ++i)
    CHECK(is_repeated(chain, random.normal({16, 600, 40}), kept) == (i > 0));
}

TEST_CASE("who never gets as far as gradients is soon left alone") {
  Chain chain = small_chain();
  Tensor x = Random(1).normal({16, 7, 5});
  KeptBatch kept;
  auto is_kept = [&] {
    GradientTape tape;
    return kept.batch_for(2, x, chain.weights()) != nullptr;
  };
  for (int i = 0; i < 8; ++i) CHECK(is_kept() == (i < 4));
}

TEST_CASE("outputs of a repeated step stay what they are when it is repeated") {
  Chain chain = small_chain();
  Random random(1);
  KeptBatch kept;
  std::vector<Tensor> found, copies;
  for (int i = 0; i < 4; ++i)
    for (const Tensor& result : step(chain, random.normal({16, 7, 5}), &kept)) {
      found.push_back(result);
      copies.push_back(result.copy());
    }
  for (std::size_t i = 0; i < found.size(); ++i)
    CHECK(largest_difference(found[i], copies[i]) == 0);
}

TEST_CASE("a model trains to the same bits whether its steps are repeated or not") {
  struct Counting : AttentionLayer {
    std::atomic<int> calls = 0;
    using AttentionLayer::AttentionLayer;
    bool splits_batch() const override { return true; }
    Tensor call(const Tensor& inputs) override {
      ++calls;
      return AttentionLayer::call(inputs);
    }
  };
  Random random(2);
  Tensor x = random.normal({16, 29, 12}), y = one_hot(random.integers({16}, 0, 9), 9);
  auto weights = [&](bool repeated) {
    set_random_seed(5);
    auto last = std::make_shared<Dense>(9, DenseOptions{.activation = "softmax"});
    auto attention = std::make_shared<Counting>(64);
    Sequential model({LSTM(32, {.return_sequences = true}), attention, last});
    model.compile({.optimizer = "adam", .loss = "categorical_crossentropy"});
    for (int i = 0; i < 20; ++i) {
      int before = attention->calls;
      model.train_on_batch(x, y);
      if (i > 0) CHECK(attention->calls - before == (repeated ? 0 : 2));
      if (repeated) continue;
      model.pop();  // a model whose layers have changed begins anew
      model.add(last);
    }
    return model.get_weights();
  };
  std::vector<Tensor> a = weights(true), b = weights(false);
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(largest_difference(a[i], b[i]) == 0);
}

}  // namespace keratin
