// Whole training runs against real Keras: every epoch's loss and metrics, the final weights and the
// predictions (tests/golden/fit.npz; the runs are described in tools/golden/fit.py).

#include <doctest/doctest.h>

#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/layers/attention.h>
#include <keratin/layers/layers.h>
#include <keratin/optim/optimizers.h>
#include <keratin/training/callbacks.h>
#include <keratin/training/sequential.h>

#include "golden.h"

TEST_SUITE_BEGIN("keras");

namespace keratin {
namespace {

struct FloatType {
  explicit FloatType(DType dtype) { set_floatx(dtype); }
  ~FloatType() { set_floatx(float32); }
};

/// The run `name`: model and options given, data and weights from the file.
class Run {
 public:
  Run(const std::string& name, Sequential& model, const CompileOptions& compile)
      : name_(name), model_(model) {
    model.compile(compile);
    model.ensure_built(data("x").shape());
    std::vector<Tensor> weights;
    for (int i = 0; golden("fit").has(key("w" + std::to_string(i))); ++i)
      weights.push_back(data("w" + std::to_string(i)));
    model.set_weights(weights);
  }

  Tensor data(const std::string& field) const { return golden("fit").get(key(field)); }

  void fit_and_compare(FitOptions options, double tolerance = 1e-9) {
    options.batch_size = 16;
    options.verbose = 0;
    options.shuffle = false;
    if (options.epochs == 1) options.epochs = 3;
    if (options.validation_split == 0) options.validation_data = {data("xv"), data("yv")};
    History history = model_.fit(data("x"), data("y"), options);
    int compared = 0;
    for (const std::string& field : history.names()) {
      INFO(name_, ": ", field);
      Tensor expected = data("history_" + field);
      REQUIRE(expected.defined());
      ++compared;
      Tensor found = tensor(history[field], expected.shape());
      INFO("expected ", expected, ", got ", found);
      CHECK(max_relative_difference(found, expected, 1e-3) <= tolerance);
    }
    CHECK(compared >= 2);
    std::vector<Tensor> weights = model_.get_weights();
    for (std::size_t i = 0; i < weights.size(); ++i) {
      INFO(name_, ": weight ", i);
      Tensor expected = data("w" + std::to_string(i) + "_after");
      CHECK(max_relative_difference(weights[i], expected, 1e-3) <= tolerance);
    }
    INFO(name_, ": predictions");
    CHECK(max_relative_difference(model_.predict(data("xv")), data("predictions"), 1e-3) <=
          tolerance);
  }

 private:
  std::string key(const std::string& field) const { return name_ + "/" + field; }
  std::string name_;
  Sequential& model_;
};

Sequential seed_model() {
  return Sequential({LSTM(8, {.return_sequences = true, .input_shape = {5, 3}}), AttentionLayer(4),
                     Dense(3, {.activation = "softmax"})});
}

Sequential perceptron() {
  return Sequential({Dense(6, {.activation = "relu", .kernel_regularizer = L2(0.01)}),
                     BatchNormalization(), Dense(3, {.activation = "softmax"})});
}

CompileOptions classify(AnyOptimizer optimizer, const char* loss = "categorical_crossentropy") {
  return {.optimizer = optimizer, .loss = loss, .metrics = {"accuracy"}};
}

}  // namespace

TEST_CASE("the seed model trains as in Keras, in float64 and in float32") {
  for (auto [dtype, prefix, tolerance] :
       {std::tuple{float64, "f64", 1e-9}, std::tuple{float32, "f32", 1e-4}}) {
    FloatType scope(dtype);
    Sequential model = seed_model();
    Run(std::string(prefix) + "/seed", model, classify("adam")).fit_and_compare({}, tolerance);
  }
}

TEST_CASE("masked sequences train as in Keras") {
  FloatType scope(float64);
  Sequential last({Masking(), LSTM(4), Dense(3, {.activation = "softmax"})});
  Run("f64/masking", last,
      classify(Adam({.learning_rate = 0.01}), "sparse_categorical_crossentropy"))
      .fit_and_compare({});
  Sequential steps(
      {Masking(), LSTM(4, {.return_sequences = true}), Dense(3, {.activation = "softmax"})});
  Run("f64/masking_steps", steps,
      classify(Adam({.learning_rate = 0.01}), "sparse_categorical_crossentropy"))
      .fit_and_compare({});
}

TEST_CASE("sample and class weights act as in Keras") {
  FloatType scope(float64);
  auto model = [] {
    return Sequential({Dense(5, {.activation = "tanh"}), Dense(3, {.activation = "softmax"})});
  };
  auto compile = [] {
    CompileOptions options = classify(Adam({.learning_rate = 0.01}));
    options.weighted_metrics = {"categorical_accuracy"};
    return options;
  };
  Sequential samples = model();
  Run run("f64/sample_weight", samples, compile());
  run.fit_and_compare({.sample_weight = run.data("sample_weight")});
  Sequential classes = model();
  Run("f64/class_weight", classes, classify(Adam({.learning_rate = 0.01})))
      .fit_and_compare({.class_weight = {{0, 0.5}, {2, 2.0}}});
}

TEST_CASE("GRU and Bidirectional train as in Keras") {
  FloatType scope(float64);
  Sequential gru({GRU(4), Dense(3, {.activation = "softmax"})});
  Run("f64/gru", gru, classify(Adam({.learning_rate = 0.01}))).fit_and_compare({});
  Sequential both({Bidirectional(LSTM(3)), Dense(3, {.activation = "softmax"})});
  Run("f64/bidirectional", both, classify(Adam({.learning_rate = 0.01}))).fit_and_compare({});
}

TEST_CASE("batch normalisation and regularisation train as in Keras") {
  FloatType scope(float64);
  Sequential model = perceptron();
  Run("f64/mlp", model, classify(SGD({.learning_rate = 0.05, .momentum = 0.9})))
      .fit_and_compare({});
}

TEST_CASE("a regression with validation_split trains as in Keras") {
  FloatType scope(float64);
  Sequential model({Dense(6, {.activation = "tanh"}), Dense(1)});
  Run("f64/regression", model,
      {.optimizer = SGD({.learning_rate = 0.1}), .loss = "mse", .metrics = {"mae"}})
      .fit_and_compare({.validation_split = 0.2});
}

TEST_CASE("callbacks steer training as in Keras") {
  FloatType scope(float64);
  Sequential stopped = perceptron();
  Run("f64/early_stopping", stopped, classify(SGD({.learning_rate = 0.2})))
      .fit_and_compare(
          {.epochs = 12,
           .callbacks = {EarlyStopping({.patience = 1, .restore_best_weights = true})}});
  Sequential reduced = perceptron();
  Run("f64/reduce_lr_on_plateau", reduced, classify(SGD({.learning_rate = 0.2})))
      .fit_and_compare(
          {.epochs = 8,
           .callbacks = {ReduceLROnPlateau({.factor = 0.5, .patience = 1, .min_lr = 0.03})}});
  Sequential scheduled({Dense(6, {.activation = "tanh"}), Dense(1)});
  Run("f64/learning_rate_scheduler", scheduled,
      {.optimizer = SGD({.learning_rate = 0.1}), .loss = "mse", .metrics = {"mae"}})
      .fit_and_compare({.callbacks = {LearningRateScheduler(
                            [](int epoch, double lr) { return epoch == 0 ? lr : lr * 0.5; })}});
}

}  // namespace keratin

TEST_SUITE_END();
