// Data in batches: from functions, windows of a time series, padded sequences, and steps of one's
// own.

#include <doctest/doctest.h>

#include <set>

#include <keratin/keratin.h>

#include "error_of.h"

TEST_SUITE_BEGIN("training");

namespace keratin {
namespace {

/// Samples x = i, y = 2 i for i in 0..n-1.
Dataset numbers(int n) {
  return Dataset([n]() -> Dataset::Next {
    return [n, i = 0]() mutable -> std::optional<Batch> {
      if (i == n) return {};
      Batch sample{{tensor({double(i)})}, {tensor({2.0 * i})}};
      ++i;
      return sample;
    };
  });
}

std::vector<double> all_x(const Dataset& data) {
  std::vector<double> seen;
  Dataset::Next next = data.begin();
  while (std::optional<Batch> batch = next())
    for (double value : batch->x[0].to_vector<double>()) seen.push_back(value);
  return seen;
}

Sequential line() {
  Sequential model({Dense(1, {.kernel_initializer = "zeros", .input_shape = {1}})});
  model.compile({.optimizer = SGD({.learning_rate = 0.01}), .loss = "mse"});
  return model;
}

}  // namespace

TEST_CASE("a dataset's samples are put together, shuffled, repeated and cut short") {
  Dataset::Next next = numbers(5).batch(2).begin();
  CHECK(next()->x[0].shape() == Shape{2, 1});
  CHECK(next()->y[0].to_vector<double>() == std::vector<double>{4, 6});
  CHECK(next()->x[0].shape() == Shape{1, 1});
  CHECK_FALSE(next().has_value());
  CHECK(all_x(numbers(5).batch(2, /*drop_remainder=*/true)).size() == 4);
  CHECK(all_x(numbers(3).repeat(2)) == std::vector<double>{0, 1, 2, 0, 1, 2});
  CHECK(all_x(numbers(3).repeat().take(7)).size() == 7);
  CHECK(all_x(numbers(3).map([](const Batch& b) { return Batch{{b.y[0] + 1}}; })) ==
        std::vector<double>{1, 3, 5});

  const Dataset shuffled = numbers(50).shuffle(10, 1);
  const std::vector<double> first = all_x(shuffled), second = all_x(shuffled);
  CHECK(first != second);
  CHECK(first == all_x(numbers(50).shuffle(10, 1)));
  CHECK(std::set<double>(first.begin(), first.end()).size() == 50);
  for (std::size_t i = 0; i < first.size(); ++i) CHECK(first[i] < static_cast<double>(i) + 10);

  const Dataset rows = Dataset::from_tensors({arange(6).reshape({3, 2})}, {arange(3)});
  CHECK(all_x(rows).size() == 6);
  CHECK(error_of([] { numbers(3).batch(0); }) ==
        "Dataset::batch: expected a batch_size of at least 1, got 0");
}

TEST_CASE("fit on a dataset is fit on its arrays, and evaluate likewise") {
  Sequential by_arrays = line(), by_dataset = line();
  Tensor x = arange(10).astype(float32).reshape({10, 1}) / 10, y = x * 2;
  History a = by_arrays.fit(
      x, y,
      {.batch_size = 4, .epochs = 3, .verbose = 0, .validation_data = {x, y}, .shuffle = false});
  const Dataset batches = Dataset::from_tensors({x}, {y}).batch(4);
  History b = by_dataset.fit(batches, {.epochs = 3, .verbose = 0, .validation_data = batches});
  CHECK(a["loss"] == b["loss"]);
  CHECK(a["val_loss"] == b["val_loss"]);
  CHECK(by_arrays.evaluate(x, y).at("loss") ==
        doctest::Approx(by_dataset.evaluate(batches).at("loss")));
}

TEST_CASE("steps_per_epoch cuts a source without end, and an epoch goes on where the last ended") {
  std::vector<double> seen;
  Sequential model = line();
  auto begun = std::make_shared<int>(0);
  Dataset data([begun]() -> Dataset::Next {
    ++*begun;
    return [i = 0]() mutable -> std::optional<Batch> {
      if (i == 5) return {};
      ++i;
      return Batch{{ones({2, 1})}, {ones({2, 1})}};
    };
  });
  History history = model.fit(data, {.epochs = 4, .verbose = 0, .steps_per_epoch = 3});
  CHECK(history["loss"].size() == 4);
  CHECK(*begun == 3);  // 12 steps of 5 batches each
  CHECK(error_of([&] {
          model.fit(Dataset([] { return [] { return std::optional<Batch>(); }; }), {.verbose = 0});
        }) == "fit: the dataset is empty");
  CHECK(error_of([&] {
          model.fit(Dataset([]() -> Dataset::Next {
                      return []() -> std::optional<Batch> { throw std::runtime_error("no disk"); };
                    }),
                    {.verbose = 0});
        }) == "no disk");
}

TEST_CASE("windows of a time series, with targets, strides and rates, as Keras makes them") {
  Tensor series = arange(10).astype(float32);
  auto windows = [&](const TimeseriesOptions& options) {
    return timeseries_dataset_from_array(series, arange(100, 110), 3, options).begin();
  };
  std::optional<Batch> batch = windows({})();
  CHECK(batch->x[0].shape() == Shape{8, 3});
  CHECK(batch->x[0][7].to_vector<double>() == std::vector<double>{7, 8, 9});
  CHECK(batch->y[0].to_vector<double>() ==
        std::vector<double>{100, 101, 102, 103, 104, 105, 106, 107});
  batch = windows({.sequence_stride = 3, .sampling_rate = 2})();
  CHECK(batch->x[0].to_vector<double>() == std::vector<double>{0, 2, 4, 3, 5, 7});
  CHECK(batch->y[0].to_vector<double>() == std::vector<double>{100, 103});
  batch = windows({.start_index = 2, .end_index = 6})();
  CHECK(batch->x[0].to_vector<double>() == std::vector<double>{2, 3, 4, 3, 4, 5});
  CHECK(batch->y[0].to_vector<double>() == std::vector<double>{102, 103});
  Dataset::Next small = windows({.batch_size = 5});
  CHECK(small()->x[0].size(0) == 5);
  CHECK(small()->x[0].size(0) == 3);
  CHECK_FALSE(small().has_value());
  CHECK(error_of([&] { timeseries_dataset_from_array(series, {}, 11); }) ==
        "timeseries_dataset_from_array: 10 rows are too few for a window of 11 steps, 1 apart");
}

TEST_CASE("pad_sequences fills and cuts on either side") {
  const std::vector<std::vector<double>> lists{{1, 2, 3}, {4}, {}};
  CHECK(pad_sequences(lists).to_vector<int>() == std::vector<int>{1, 2, 3, 0, 0, 4, 0, 0, 0});
  CHECK(pad_sequences(lists, {.maxlen = 2}).to_vector<int>() == std::vector<int>{2, 3, 0, 4, 0, 0});
  CHECK(pad_sequences(lists, {.maxlen = 2, .padding = "post", .truncating = "post", .value = 9})
            .to_vector<int>() == std::vector<int>{1, 2, 4, 9, 9, 9});
  CHECK(error_of([&] { pad_sequences(lists, {.padding = "left"}); }) ==
        "pad_sequences: expected pre or post, got \"left\"");
}

TEST_CASE("what layers add in call is part of the loss, in training and in evaluation") {
  class Costs : public Layer {
   public:
    Tensor call(const Tensor& x) override {
      add_loss(3 * mean(square(x)));
      return x;
    }
  };
  Sequential model({Dense(2, {.use_bias = false, .input_shape = {2}}), Costs()});
  model.compile({.loss = "mse"});
  Tensor x = Random(1).normal({4, 2}), y = zeros({4, 2});
  Tensor p = model.predict(x);
  CHECK(model.evaluate(x, y).at("loss") == doctest::Approx(4 * mean(square(p)).item()));
  CHECK(gradcheck(model, x, y));
  // Without a loss, what is added is all there is.
  model.compile({.optimizer = "sgd"});
  CHECK(model.evaluate(x).at("loss") == doctest::Approx(3 * mean(square(p)).item()));
  History history = model.fit(x, {}, {.epochs = 2, .verbose = 0});
  CHECK(history["loss"][1] < history["loss"][0]);
  LayerLosses losses;
  model(x);
  CHECK(losses.values().size() == 1);
}

TEST_CASE("a model's own train_step, test_step and predict_step are what fit and others call") {
  class Halved : public Sequential {
   public:
    Halved() : Sequential({Dense(1, {.input_shape = {2}})}) {}
    Logs train_step(const Batch& batch) override {
      GradientTape tape;
      Tensor error = mean(square((*this)(batch.x[0], {.training = true}) - batch.y[0]));
      std::vector<Weight> weights = trainable_weights();
      optimizer().apply(tape.gradient(error, weights), weights);
      ++steps;
      mean_.update_state(error.item());
      return {{"error", mean_.result()}};
    }
    Logs test_step(const Batch&) override { return {{"error", 7}}; }
    Outputs predict_step(const Tensors& x) override { return Tensor((*this)(x)*0.5); }
    void reset_metrics() override { mean_.reset_state(); }
    int steps = 0;

   private:
    Mean mean_;
  } model;
  model.compile({.optimizer = "sgd"});
  Tensor x = Random(1).normal({10, 2}), y = zeros({10, 1});
  History history =
      model.fit(x, y, {.batch_size = 5, .epochs = 3, .verbose = 0, .validation_data = {x, y}});
  CHECK(model.steps == 6);
  CHECK(history["error"][2] < history["error"][0]);
  CHECK(history["val_error"][0] == 7);
  CHECK(max(abs(model.predict(x) * 2 - model(x))).item() < 1e-6);
  CHECK(error_of([&] {
          model.Model::train_step({{x}, {y}});
        }).find("train_step is called by fit and train_on_batch") != std::string::npos);
}

TEST_CASE("wrong lists and names are refused before the first step") {
  auto a = Input({2}, {.name = "a"}), b = Input({2}, {.name = "b"});
  Model model({a, b}, {Dense(1, {.name = "p"})(a), Dense(1, {.name = "q"})(b)}, "m");
  CHECK(error_of([&] {
          model.compile({.loss = {"mse", "mse", "mse"}});
        }) == "compile: loss: expected one for each of 2 outputs (p, q), got 3");
  CHECK(error_of([&] {
          model.compile({.loss = {{"p", "mse"}, {"r", "mse"}}});
        }) == "compile: loss: unknown output \"r\". Known: p, q. Did you mean \"p\"?");
  CHECK(error_of([&] {
          model.compile({.metrics = {{"x", "mse"}}});
        }).starts_with("compile: metrics: unknown output \"x\""));
  model.compile({.loss = {{"p", "mse"}}});
  Tensor x = ones({4, 2}), y = ones({4, 1});
  CHECK(error_of([&] { model.fit(x, y); }) == "m (Functional): expected 2 inputs (a, b), got 1");
  CHECK(error_of([&] {
          model.fit({{"a", x}, {"c", x}}, y);
        }).starts_with("fit: x: unknown name \"c\". Known: a, b."));
  CHECK(error_of([&] {
          model.fit({x, ones({3, 2})}, y);
        }) == "fit: x[0] has 4 samples, x[1] has 3.");
  model.fit({x, x}, y, {.verbose = 0});  // the other output has no loss, and needs no y
  model.fit({x, x}, {{"p", y}}, {.verbose = 0});
  CHECK(model.metrics_names() == std::vector<std::string>{"loss"});
  model.compile({.loss = "mse"});
  CHECK(error_of([&] {
          model.fit({x, x}, y, {.verbose = 0});
        }) == "fit: y: expected one for each of 2 outputs, got 1");
  CHECK(error_of([&] {
          model.fit({x, x}, {y, y}, {.verbose = 0, .class_weight = {{0, 1.0}}});
        }) == "fit: class_weight is for models with one output; give sample_weight");
  class Own : public Model {
    Tensor call(const Tensor& inputs) override { return inputs; }
  } own;
  own.compile({.loss = "mse"});
  CHECK(error_of([&] {
          own.fit({{"a", x}}, y);
        }) == "fit: x was given by name, and this model's are not named: give a list");
}

}  // namespace keratin
