// Trainings of models with several inputs and outputs against real Keras: every epoch's losses and
// metrics, the final weights and the predictions (tools/golden/functional.py).

#include <doctest/doctest.h>

#include <keratin/keratin.h>

#include "golden.h"

TEST_SUITE_BEGIN("keras");

namespace keratin {
namespace {

/// The fields of a case that are numbered: x0, x1, ...
Tensors all_of(const std::string& name, const std::string& field, const std::string& after = "") {
  Tensors values;
  for (int i = 0; golden("functional").has(name + "/" + field + std::to_string(i) + after); ++i)
    values.push_back(golden("functional")[name + "/" + field + std::to_string(i) + after]);
  return values;
}

Tensors rows(const Tensors& all, std::int64_t begin, std::int64_t end) {
  Tensors part;
  for (const Tensor& t : all) part.push_back(slice(t, {range(begin, end)}));
  return part;
}

void compare(const Tensor& found, const Tensor& expected) {
  CHECK(max_relative_difference(found, expected, 1e-3) <= 1e-9);
}

/// Fits as the recording did; x and y may be given by name.
void check_run(
    const std::string& name, Model model, const CompileOptions& compile,
    const std::function<Arrays(const Tensors&)>& as_x = [](auto& x) { return x; },
    const std::function<Arrays(const Tensors&)>& as_y = [](auto& y) { return y; }) {
  CAPTURE(name);
  model.set_weights(all_of(name, "w"));
  model.compile(compile);
  const Tensors x = all_of(name, "x"), y = all_of(name, "y");
  FitOptions options{.batch_size = 8, .epochs = 3, .verbose = 0, .shuffle = false};
  options.validation_data = {as_x(rows(x, 32, 40)), as_y(rows(y, 32, 40))};
  const Tensors weights = all_of(name, "sample_weight");
  if (!weights.empty()) options.sample_weight = rows(weights, 0, 32);
  History history = model.fit(as_x(rows(x, 0, 32)), as_y(rows(y, 0, 32)), options);

  const std::string prefix = name + "/history_";
  for (const std::string& field : history.names()) {
    CAPTURE(field);
    REQUIRE(golden("functional").has(prefix + field));
    const Tensor& expected = golden("functional")[prefix + field];
    compare(tensor(history[field], expected.shape()), expected);
  }
  CHECK(history.names().size() == model.metrics_names().size() * 2);
  const Tensors after = all_of(name, "w", "_after");
  for (std::size_t i = 0; i < after.size(); ++i) compare(model.get_weights()[i], after[i]);
  const Tensors p = model.predict(as_x(rows(x, 32, 40)), {.batch_size = 3}),
                expected = all_of(name, "p");
  REQUIRE(p.size() == expected.size());
  for (std::size_t i = 0; i < p.size(); ++i) compare(p[i], expected[i]);
}

Model two_outputs() {
  auto text = Input({None}, {.dtype = int32, .name = "text"});
  auto table = Input({4}, {.name = "table"});
  auto h = LSTM(5)(Embedding(9, 3, {.mask_zero = true})(text));
  auto both = concatenate({h, Dense(3, {.activation = "relu"})(table)});
  return Model({text, table}, {Dense(3, {.activation = "softmax", .name = "topic"})(both),
                               Dense(1, {.name = "score"})(both)});
}

}  // namespace

TEST_CASE("a model with two inputs and two outputs trains as Keras trains it") {
  Float64 scope;
  const CompileOptions compile{
      .optimizer = Adam({.learning_rate = 0.02}),
      .loss = {{"topic", "sparse_categorical_crossentropy"}, {"score", "mse"}},
      .loss_weights = {{"score", 0.2}},
      .metrics = {{"topic", "accuracy"}, {"score", {"mae", "mse"}}}};
  check_run("two_outputs", two_outputs(), compile);
  check_run(
      "two_outputs", two_outputs(), compile,
      [](const Tensors& x) -> Arrays {
        return {{"table", x[1]}, {"text", x[0]}};
      },
      [](const Tensors& y) -> Arrays {
        return {{"topic", y[0]}, {"score", y[1]}};
      });
  check_run("weighted", two_outputs(),
            {.optimizer = Adam({.learning_rate = 0.02}),
             .loss = {"sparse_categorical_crossentropy", "mse"},
             .weighted_metrics = {{"score", "mae"}}});
}

TEST_CASE("a shared layer and a regularizer of outputs train as in Keras") {
  Float64 scope;
  auto left = Input({4}), right = Input({4});
  Dense dense(3, {.activation = "tanh"});
  auto both = dense(left) * dense(right) * 2 + 1;
  auto y = Dense(1, {.activity_regularizer = L2(0.1)})(both);
  check_run("shared", Model({left, right}, y),
            {.optimizer = SGD({.learning_rate = 0.05}), .loss = "mse", .metrics = {"mae"}});
}

TEST_CASE("a decoder that begins with the encoder's states trains as in Keras") {
  Float64 scope;
  auto series = Input({5, 3}), start = Input({2, 2});
  auto states = LSTM(4, {.return_state = true})(series);
  auto y = LSTM(4, {.return_sequences = true})({start, states[1], states[2]});
  check_run("states", Model({series, start}, {Dense(2)(y)}),
            {.optimizer = Adam({.learning_rate = 0.02}), .loss = "mse"});
}

}  // namespace keratin
