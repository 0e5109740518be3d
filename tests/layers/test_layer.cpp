// What every layer does: names, weights, building, masks, errors that name the layer.

#include <doctest/doctest.h>

#include <keratin/keratin.h>

#include "../on_processor.h"
#include "error_of.h"

TEST_SUITE_BEGIN("layers");

namespace keratin {
namespace {

class Scale : public Layer {
 public:
  void build(const Shape& input_shape) override { s = add_weight("s", {input_shape[-1]}, "ones"); }
  Tensor call(const Tensor& x) override { return x * s; }

 private:
  Weight s;
};

// A layer made of layers.
class Tower : public Layer {
 public:
  void build(const Shape& input_shape) override {
    track(first_);
    track(second_);
    first_.ensure_built(input_shape);
    second_.ensure_built(input_shape.with(-1, 3));
  }
  Tensor call(const Tensor& x) override { return second_(name("hidden", first_(x))); }

 private:
  Dense first_{3}, second_{2};
};

}  // namespace

TEST_CASE("class names become layer names by Keras' rule, and are numbered") {
  CHECK(to_snake_case("LSTM") == "lstm");
  CHECK(to_snake_case("SimpleRNN") == "simple_rnn");
  CHECK(to_snake_case("AttentionLayer") == "attention_layer");
  CHECK(to_snake_case("Conv1D") == "conv1d");
  CHECK(to_snake_case("MaxPooling1D") == "max_pooling1d");
  CHECK(to_snake_case("ReLU") == "re_lu");
  CHECK(to_snake_case("LeakyReLU") == "leaky_re_lu");
  CHECK(to_snake_case("RMSprop") == "rm_sprop");
  clear_session();
  Dense a(1), b(1), c(1, {.name = "mine"});
  CHECK(a.name() == "dense");
  CHECK(b.name() == "dense_1");
  CHECK(c.name() == "mine");
  clear_session();
  CHECK(Dense(1).name() == "dense");
}

TEST_CASE("a layer of one's own has weights, a name and a place in the numbering") {
  clear_session();
  Scale layer;
  Tensor y = layer(ones({2, 3}));
  CHECK(layer.name() == "scale");
  CHECK(layer.class_name() == "Scale");
  CHECK(layer.count_params() == 3);
  CHECK(layer.weights()[0].path() == "scale/s");
  CHECK(layer.input_shape() == Shape{None, 3});
  CHECK(y.shape() == Shape{2, 3});
}

TEST_CASE("a layer made of layers owns their weights") {
  clear_session();
  Tower tower;
  CHECK(tower(ones({4, 5})).shape() == Shape{4, 2});
  CHECK(tower.weights().size() == 4);
  CHECK(tower.count_params() == 5 * 3 + 3 + 3 * 2 + 2);
  tower.set_weight_paths("model/");
  CHECK(tower.weights()[2].path() == "model/tower/dense_1/kernel");
  Capture capture;
  tower(ones({4, 5}));
  CHECK(capture.values().at("tower/hidden").shape() == Shape{4, 3});
}

TEST_CASE("errors name the layer, the rule and what came; the layer is as it was before") {
  clear_session();
  Dense dense(4);
  dense(ones({2, 128}));
  CHECK(error_of([&] {
          dense(ones({32, 64}));
        }) == "dense (Dense): expected input with last axis 128, got (32, 64)");
  CHECK(error_of([] { Dense(0); }) == "Dense: expected units of at least 1, got 0");
  CHECK(error_of([] { Dense(2, {.activation = "rellu"}); }).find("unknown activation \"rellu\"") ==
        0);
  CHECK(error_of([] { Dense(2, {.activation = "rellu"}); }).find("Did you mean \"relu\"?") !=
        std::string::npos);
  CHECK(error_of([] { Dense(2, {.kernel_initializer = "glorot"}); }).find("glorot_uniform") !=
        std::string::npos);
  CHECK(error_of([] { Dropout(1.5); }) == "Dropout: expected rate between 0 and 1, got 1.5");
  LSTM lstm(3);
  CHECK(error_of([&] {
          lstm(ones({2, 3}));
        }) == "lstm (LSTM): expected inputs (batch, time, features), got (None, 3)");
  CHECK_FALSE(lstm.built());
  CHECK(lstm.weights().empty());
  lstm(ones({2, 4, 5}));
  CHECK(error_of([&] {
          lstm(ones({2, 4, 5}), {.mask = ones({2, 3}, boolean)});
        }) == "lstm (LSTM): expected a mask of shape (2, 4), got (2, 3)");
  CHECK(error_of([&] {
          lstm({ones({2, 4, 5}), zeros({2, 3})});
        }) == "lstm (LSTM): expected 2 initial states, got 1");
}

TEST_CASE("ids that there are not are errors, on a device when somebody waits" * on_processor()) {
  Embedding embedding(5, 2);
  CHECK(error_of([&] {
          embedding(tensor({{0, 5}}, int32));
        }) == "embedding (Embedding): expected ids in 0..4, got 0 to 5");
  for (double id : {1.5, std::nan("")})
    CHECK(error_of([&] { embedding(tensor({id})); }) ==
          "embedding (Embedding): expected ids that are whole numbers");
}

TEST_CASE("set_weights checks everything before it changes anything") {
  clear_session();
  Dense dense(2);
  dense(ones({1, 3}));
  std::vector<Tensor> before = dense.get_weights();
  CHECK(error_of([&] {
          dense.set_weights({zeros({3, 2})});
        }) == "dense (Dense): set_weights: expected 2 tensors, got 1");
  CHECK(error_of([&] {
          dense.set_weights({zeros({3, 2}), zeros({3})});
        }) == "dense/bias: expected a value of shape (2,), got (3,)");
  CHECK(all(dense.get_weights()[0] == before[0]).item() == 1);
}

TEST_CASE("a layer that is not trainable has no trainable weights, statistics never are") {
  BatchNormalization layer;
  layer(ones({2, 3}));
  CHECK(layer.trainable_weights().size() == 2);
  CHECK(layer.non_trainable_weights().size() == 2);
  layer.set_trainable(false);
  CHECK(layer.trainable_weights().empty());
  layer.set_trainable(true);
  CHECK(layer.trainable_weights().size() == 2);
}

TEST_CASE("dropout keeps the mean, acts in training only, and can be seeded") {
  Tensor x = ones({100, 100});
  Dropout dropout(0.3, {.seed = 5});
  CHECK(all(dropout(x) == x).item() == 1);
  Tensor y = dropout(x, {.training = true});
  CHECK(mean(y).item() == doctest::Approx(1).epsilon(0.02));
  CHECK(mean((y == 0).astype(float32)).item() == doctest::Approx(0.3).epsilon(0.05));
  CHECK(max(y).item() == doctest::Approx(1 / 0.7));
  CHECK(all(Dropout(0.3, {.seed = 5})(x, {.training = true}) == y).item() == 1);
  CHECK(sum(Dropout(1.0)(x, {.training = true})).item() == 0);
}

TEST_CASE("masked steps leave no trace: padding with anything gives the same") {
  LSTM lstm(3);
  Tensor x = Random(1).normal({2, 5, 4});
  Tensor mask = tensor(std::vector<bool>{1, 1, 1, 0, 0, 1, 1, 1, 1, 1}, {2, 5});
  Tensor y = lstm(x, {.mask = mask});
  Tensor other = x.copy();
  slice(other, {0, range(3, 5)}).assign(1e3);
  CHECK(all(lstm(other, {.mask = mask}) == y).item() == 1);
  CHECK(max(abs(lstm(slice(x, {range(0, 1), range(0, 3)}))[0] - y[0])).item() < 1e-6);
}

TEST_CASE("initializers have the spread that Keras computes") {
  set_random_seed(1);
  Tensor w = Initializer("glorot_uniform")({300, 200});
  double limit = std::sqrt(6.0 / 500);
  CHECK(max(abs(w)).item() <= limit);
  CHECK(std(w).item() == doctest::Approx(limit / std::sqrt(3.0)).epsilon(0.02));
  CHECK(std(Initializer("he_normal")({300, 200})).item() ==
        doctest::Approx(std::sqrt(2.0 / 300)).epsilon(0.02));
  Tensor q = Initializer("orthogonal")({20, 60}, float64);
  CHECK(max(abs(dot(q, q.transpose()) - eye(20, 20, float64))).item() < 1e-12);
  Initializer seeded = RandomNormal({.seed = 3});
  CHECK(all(seeded({4, 4}) == seeded({4, 4})).item() == 1);
}

TEST_CASE("constraints and regularizers compute Keras' formulas") {
  Tensor w = tensor({{3, 0.5}, {4, -1}}, float64);
  CHECK(NonNeg().function()(w).item(1, 1) == 0);
  CHECK(MaxNorm(2).function()(w).item(1, 0) == doctest::Approx(4 * 2 / (5 + 1e-7)).epsilon(1e-12));
  CHECK(UnitNorm().function()(w).item(0, 0) == doctest::Approx(3 / (5 + 1e-7)).epsilon(1e-12));
  CHECK(L2(0.1).function()(w).item() == doctest::Approx(0.1 * 26.25).epsilon(1e-12));
  CHECK(Regularizer("l1").function()(w).item() == doctest::Approx(0.085).epsilon(1e-12));
}

}  // namespace keratin

TEST_SUITE_END();
