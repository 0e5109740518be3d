// What must leave no trace: padding, weights of 0, and a step that failed. And what is refused.

#include <doctest/doctest.h>

#include <cmath>

#include <keratin/keratin.h>
#include <keratin/layers/attention.h>

#include "error_of.h"

TEST_SUITE_BEGIN("training");

namespace keratin {
namespace {

bool same(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i].shape() != b[i].shape() || all(a[i] == b[i]).item() == 0) return false;
  return true;
}

const double nan = std::nan("");

// 0 with an infinite derivative.
struct RootOfZero : Layer {
  void build(const Shape&) override { w = add_weight("w", {1}, "ones"); }
  Tensor call(const Tensor& x) override { return x + sqrt(w * 0.0); }
  Weight w;
};

}  // namespace

TEST_CASE("a failed step leaves weights, statistics, states and the optimizer as they were") {
  clear_session();
  const Tensor x = Random(1).normal({4, 3, 2}), y = zeros({4, 1});
  for (bool finite_loss : {false, true}) {
    CAPTURE(finite_loss);
    Adam adam;
    Sequential model({BatchNormalization({.input_shape = {3, 2}}), LSTM(2, {.stateful = true})});
    if (finite_loss) model.add(RootOfZero());
    model.add(Dense(1));
    model.compile({.optimizer = adam, .loss = "mse"});
    if (!finite_loss) model.train_on_batch(x, y);
    const std::vector<Tensor> before = model.get_weights();
    const std::int64_t steps = adam.iterations();
    const Tensor bad = finite_loss ? y : full({4, 1}, 1e30);
    const std::string error =
        error_of([&] { model.fit(x, bad, {.batch_size = 4, .verbose = 0, .shuffle = false}); });
    CHECK(error.find(finite_loss ? "the gradient of sequential_1/root_of_zero/w became NaN"
                                 : "loss became infinite") != std::string::npos);
    CHECK(error.find("The model is that of the step before.") != std::string::npos);
    CHECK(same(model.get_weights(), before));
    CHECK(adam.iterations() == steps);
  }
}

TEST_CASE("the sample that is not finite is named by its number in the data") {
  Sequential model({Dense(1, {.input_shape = {2}})});
  model.compile({.optimizer = "sgd", .loss = "mse"});
  Tensor x = ones({50, 2});
  slice(x, {37, 1}).assign(nan);
  const std::string error = error_of([&] {
    model.fit(x, ones({50, 1}), {.batch_size = 8, .verbose = 0});
  });
  CHECK(error.find("sample 37 of x is not finite") != std::string::npos);
}

TEST_CASE("class weights for a label at each step") {
  const Tensor x = zeros({2, 3, 1}), labels = tensor({{0, 0, 1}, {1, 0, 0}});
  auto loss_of = [&](int outputs, const std::string& loss, const Tensor& y) {
    Sequential model({Dense(outputs, {.activation = outputs == 1 ? "sigmoid" : "softmax",
                                      .kernel_initializer = "zeros"})});
    model.compile({.optimizer = SGD({.learning_rate = 0.0}), .loss = loss});
    return model.fit(x, y, {.verbose = 0, .class_weight = {{0, 1.0}, {1, 10.0}}})["loss"][0];
  };
  // Four labels of weight 1 and two of weight 10, each with a loss of log 2.
  const double expected = 4 * std::log(2.0);
  CHECK(loss_of(1, "binary_crossentropy", labels) == doctest::Approx(expected).epsilon(1e-6));
  CHECK(loss_of(1, "binary_crossentropy", expand_dims(labels, -1)) ==
        doctest::Approx(expected).epsilon(1e-6));
  CHECK(loss_of(2, "sparse_categorical_crossentropy", labels) ==
        doctest::Approx(expected).epsilon(1e-6));
  CHECK(loss_of(2, "categorical_crossentropy", one_hot(labels.astype(int32), 2)) ==
        doctest::Approx(expected).epsilon(1e-6));
  if (default_device().is_cpu())  // on a device nobody looks at each label
    CHECK(error_of([&] { loss_of(1, "binary_crossentropy", labels * 0.5); }) ==
          "fit: class_weight: 0.5 is not a class");
}

TEST_CASE("weighted metrics see the weights of the classes") {
  Sequential model({Dense(1, {.activation = "sigmoid", .kernel_initializer = "zeros"})});
  model.compile({.optimizer = SGD({.learning_rate = 0.0}),
                 .loss = "binary_crossentropy",
                 .metrics = {"mae"},
                 .weighted_metrics = {"mean_squared_error"}});
  // p is 0.5, and class 0 does not count.
  History history = model.fit(zeros({2, 1}), tensor({{0.0}, {1.0}}),
                              {.verbose = 0, .class_weight = {{0, 0.0}, {1, 3.0}}});
  CHECK(history["mean_squared_error"][0] == doctest::Approx(0.25));
  CHECK(history["loss"][0] == doctest::Approx(1.5 * std::log(2.0)).epsilon(1e-6));

  // A metric that differs by class shows the weights: only the class 1 counts.
  model.compile({.optimizer = SGD({.learning_rate = 0.0}),
                 .loss = "binary_crossentropy",
                 .weighted_metrics = {"accuracy"}});
  history = model.fit(zeros({4, 1}), tensor({{0.0}, {0.0}, {0.0}, {1.0}}),
                      {.verbose = 0, .class_weight = {{0, 0.0}, {1, 3.0}}});
  CHECK(history["accuracy"][0] == 0);
}

TEST_CASE("the first step of a model of one's own trains the weights of its parts") {
  struct Lazy : Model {
    void build(const Shape&) override { track(inner); }
    Tensor call(const Tensor& x) override { return inner(x); }
    Dense inner{1, {.kernel_initializer = "zeros"}};
  } model;
  model.compile({.optimizer = SGD({.learning_rate = 0.1}), .loss = "mse"});
  model.ensure_built({None, 2});
  CHECK(error_of([&] { model.save_weights("never.npz"); }).find("call the model once") !=
        std::string::npos);
  model.train_on_batch(ones({4, 2}), ones({4, 1}));
  CHECK(model.get_weights()[0].item(0, 0) == doctest::Approx(0.2));
}

TEST_CASE("a mask serves a loss with the classes on another axis") {
  const Tensor p = softmax(Random(1).normal({2, 3, 4}), 1), y = one_hot(zeros({2, 4}, int32), 3);
  const Tensor mask = tensor(std::vector<bool>{1, 1, 0, 1, 1, 1, 1, 0}, {2, 4});
  Loss loss = CategoricalCrossentropy({.axis = 1});
  Loss last = "categorical_crossentropy";
  const Tensor y1 = transpose(y, {0, 2, 1}), p2 = transpose(p, {0, 2, 1});
  CHECK(loss(y1, p, {}, mask).item() == doctest::Approx(last(y, p2, {}, mask).item()));
}

TEST_CASE("a function as loss or metric sees predictions and targets of one rank") {
  auto f = [](const Tensor& y, const Tensor& p) { return mean(square(y - p), -1); };
  const Tensor y = tensor({1.0, 2.0, 3.0});
  CHECK(Loss("mine", f)(y, expand_dims(y, -1)).item() == 0);
  AnyMetric metric("mine", f);
  metric->update(y, expand_dims(y, -1));
  CHECK(metric->result() == 0);
}

TEST_CASE("NaN where a mask or a weight of 0 excludes it reaches nothing") {
  const Tensor mask = tensor(std::vector<bool>{1, 1, 0, 1, 1, 1}, {2, 3});
  Tensor y = Random(1).normal({2, 3, 2}), clean = y.copy();
  slice(y, {0, 2}).assign(nan);
  slice(clean, {0, 2}).assign(0.0);
  Tensor p = Random(2).normal({2, 3, 2});
  for (const char* name : {"mse", "mae", "huber", "log_cosh", "mape"}) {
    CAPTURE(name);
    Loss loss(name);
    auto gradient = [&](const Tensor& target) {
      GradientTape tape;
      tape.watch(p);
      return tape.gradient(loss(target, p, {}, mask), p);
    };
    CHECK(same({loss(y, p, {}, mask), gradient(y)}, {loss(clean, p, {}, mask), gradient(clean)}));
    const Tensor weight = mask.astype(float32);
    CHECK(same({loss(y, p, weight)}, {loss(clean, p, weight)}));
    AnyMetric metric(name), other(name);
    metric->update(y, p, weight);
    other->update(clean, p, weight);
    CHECK(metric->result() == other->result());
  }

  // BatchNormalization: in padding, NaN reaches neither statistics nor gradients.
  auto trained = [&](const Tensor& x) {
    BatchNormalization layer;
    GradientTape tape;
    layer.ensure_built(x.shape());
    tape.watch(layer.weights()[0]);
    Tensor out = layer(x, {.training = true, .mask = mask});
    Tensor total = sum(where(expand_dims(mask, -1), square(out), 0.0));
    return std::vector<Tensor>{tape.gradient(total, layer.weights()[0].value()),
                               layer.get_weights()[2], layer.get_weights()[3]};
  };
  CHECK(same(trained(y), trained(clean)));

  Masking masking(nan);
  auto [out, valid] = masking.call_with_mask(y);
  CHECK(all(valid == mask).item() == 1);
  CHECK(all(isfinite(out)).item() == 1);
}

TEST_CASE("masks have the shape (batch, time) and any dtype") {
  clear_session();
  const Tensor x = Random(1).normal({2, 3, 4});
  const Tensor mask = tensor(std::vector<bool>{1, 1, 0, 1, 0, 0}, {2, 3});
  LSTM lstm(2);
  AttentionLayer attention(2);
  CHECK(same({lstm(x, {.mask = mask.astype(float32) * 0.5})}, {lstm(x, {.mask = mask})}));
  for (const Shape& shape : {Shape{2, 1}, Shape{1, 3}, Shape{2}, Shape{3}, Shape{2, 3, 5}}) {
    CAPTURE(shape.rank());
    const Tensor wrong = ones(shape, boolean);
    CHECK(error_of([&] {
            lstm(x, {.mask = wrong});
          }).find("lstm (LSTM): expected a mask of shape") == 0);
    CHECK(error_of([&] { attention(x, {.mask = wrong}); }).find("expected a mask of shape") !=
          std::string::npos);
  }
}

TEST_CASE("TimeDistributed gives the layer its mask, and statistics each step") {
  const Tensor x = Random(1).normal({4, 3, 5, 2});
  const Tensor mask = Random(2).uniform({4, 3, 5}) > 0.4;
  LSTM inner(2);
  TimeDistributed each(inner);
  auto [y, valid] = each.call_with_mask(x, {.mask = mask});
  for (int t = 0; t < 3; ++t)
    CHECK(max(abs(slice(y, {all, t}) - inner(slice(x, {all, t}), {.mask = slice(mask, {all, t})})))
              .item() < 1e-6);
  CHECK(valid.shape() == Shape{4, 3});
  CHECK(keratin::all(valid == any(mask, 2)).item() == 1);

  BatchNormalization norm;
  TimeDistributed normed(norm);
  Tensor s = Random(3).normal({6, 3, 2}) + 5.0;
  normed(s, {.training = true});
  Tensor expected = zeros({2});
  for (int t = 0; t < 3; ++t) expected = expected * 0.99 + mean(slice(s, {all, t}), 0) * 0.01;
  CHECK(max(abs(norm.get_weights()[2] - expected)).item() < 1e-6);
}

TEST_CASE("a stateful layer and an odd batch are refused before the first step") {
  clear_session();
  Sequential model({LSTM(2, {.stateful = true}), Dense(1)});
  model.compile({.optimizer = "sgd", .loss = "mse"});
  const Tensor x = Random(1).normal({10, 3, 2}), y = zeros({10, 1});
  const std::string rest =
      ": lstm (LSTM) is stateful and needs batches of one size; 10 samples leave 2 after batches "
      "of 4";
  CHECK(error_of([&] { model.fit(x, y, {.batch_size = 4, .verbose = 0}); }) == "fit" + rest);
  CHECK(error_of([&] { model.evaluate(x, y, {.batch_size = 4}); }) == "evaluate" + rest);
  CHECK(error_of([&] { model.predict(x, {.batch_size = 4}); }) == "predict" + rest);
  CHECK_FALSE(model.built());

  const Tensor first = model.predict(x, {.batch_size = 5});
  CHECK_FALSE(same({model.predict(x, {.batch_size = 5})}, {first}));
  model.reset_states();
  CHECK(same({model.predict(x, {.batch_size = 5})}, {first}));
}

TEST_CASE("the names that Keras takes, and no others") {
  for (const char* name :
       {"MSE", "MAE", "BCE", "MAPE", "MSLE", "MeanSquaredError", "log_cosh_error", "LogCoshError",
        "Accuracy", "acc", "AUC", "CosineSimilarity"})
    CHECK(AnyMetric(name)->name() == name);
  CHECK(AnyMetric("LogCoshError")->direction() == Direction::down);
  CHECK(AnyMetric("CosineSimilarity")->direction() == Direction::up);
  CHECK(AnyMetric::from_config("LogCoshError", {{"name", std::string("mine")}})->name() == "mine");
  for (const char* name : {"BCE", "KLD", "MSE", "Huber", "CategoricalFocalCrossentropy"})
    CHECK(Loss(name).defined());
  for (const char* name : {"l1", "L1", "l2", "L2", "l1l2", "L1L2", "orthogonal_regularizer"})
    CHECK(Regularizer(name).function() != nullptr);
  for (const char* name : {"GlorotUniform", "HeNormal", "OrthogonalInitializer", "Identity",
                           "IdentityInitializer", "LecunNormal", "VarianceScaling", "Zeros"})
    CHECK(Initializer(name)({3, 3}).shape() == Shape{3, 3});
  CHECK_THROWS_AS(Initializer("Glorot"), std::invalid_argument);
  CHECK_THROWS_AS(Regularizer("l1_l2"), std::invalid_argument);

  // Keras 3.15.1
  const Tensor w = tensor({{3.0, 0.5}, {4.0, -1.0}, {1.0, 2.0}});
  CHECK(OrthogonalRegularizer(0.3).function()(w).item() ==
        doctest::Approx(0.1722172349691391).epsilon(1e-6));
  CHECK(OrthogonalRegularizer(0.3, "columns").function()(w).item() ==
        doctest::Approx(0.012838813476264477).epsilon(1e-6));
  const Tensor held = MinMaxNorm(0.5, 2.0, 0.7).function()(w);
  CHECK(held.item(0, 0) == doctest::Approx(1.7236878871917725).epsilon(1e-6));
  CHECK(held.item(2, 1) == doctest::Approx(1.822020173072815).epsilon(1e-6));
  CHECK(Constraint("MinMaxNorm").function() != nullptr);
}

}  // namespace keratin

TEST_SUITE_END();
