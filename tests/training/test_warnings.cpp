// Warnings, on standard error, and what follows from masks in attention.

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <iostream>
#include <sstream>
#include <thread>

#include <keratin/keratin.h>
#include <keratin/layers/attention.h>

TEST_SUITE_BEGIN("training");

namespace keratin {
namespace {

/// What f prints on std::cerr.
std::string warnings_of(const std::function<void()>& f) {
  std::ostringstream text;
  std::streambuf* before = std::cerr.rdbuf(text.rdbuf());
  f();
  std::cerr.rdbuf(before);
  return text.str();
}

}  // namespace

TEST_CASE("what is hardly meant is said, once") {
  Tensor x = Random(1).normal({8, 4, 3}), y = tensor({0, 1, 2, 0, 1, 2, 0, 1});
  const std::string one = warnings_of([] { Dense(1, {.activation = "softmax"}); });
  CHECK(one.starts_with("Warning: Dense: softmax of one unit is 1"));
  CHECK(warnings_of([] { Dense(2, {.activation = "softmax"}); }).empty());

  Sequential flat({Masking(), Flatten({.name = "flat"}), Dense(3, {.activation = "softmax"})});
  CHECK(warnings_of([&] {
          flat(x);
        }).starts_with("Warning: flat (Flatten): was given a mask, which it neither reads"));
  CHECK(warnings_of([&] { flat(x); }).empty());
  Sequential reads({Masking(), LSTM(2), Dense(3)});
  CHECK(warnings_of([&] { reads(x); }).empty());

  flat.compile({.loss = "sparse_categorical_crossentropy"});
  CHECK(warnings_of([&] { flat.fit(x, y, {.verbose = 0, .validation_split = 0.25}); }) ==
        "Warning: fit: the validation data lacks class 2\n");
  flat.set_trainable(false);
  CHECK(warnings_of([&] { flat.fit(x, y, {.verbose = 0}); }).find("no weight is trainable") !=
        std::string::npos);

  Sequential stateful({LSTM(2, {.stateful = true}), Dense(3)});
  stateful.compile({.loss = SparseCategoricalCrossentropy({.from_logits = true})});
  CHECK(warnings_of([&] { stateful.fit(x, y, {.verbose = 0}); }).find(".shuffle = false") !=
        std::string::npos);
  CHECK(warnings_of([&] { stateful.fit(x, y, {.verbose = 0, .shuffle = false}); }).empty());

  Sequential logits({Dense(1)});
  auto compile = [&](const Metrics& metrics) {
    return warnings_of([&] {
      logits.compile({.loss = BinaryCrossentropy({.from_logits = true}), .metrics = metrics});
    });
  };
  CHECK(compile({"accuracy"}).find("compares logits with a threshold of 0.5") != std::string::npos);
  CHECK(compile({BinaryAccuracy()}).find("BinaryAccuracy({.threshold = 0})") != std::string::npos);
  CHECK(compile({BinaryAccuracy({.threshold = 0})}).empty());
}

TEST_CASE("attention to nothing is 0, and padding leaves no trace, NaN included") {
  AttentionLayer layer(4);
  Tensor x = Random(1).normal({2, 3, 5}),
         mask = tensor({{true, true, false}, {false, false, false}});
  layer(x);
  Tensor with_nan = x.copy();
  slice(with_nan, {0, 2}).assign(std::nan(""));
  slice(with_nan, {1}).assign(std::nan(""));
  GradientTape tape;
  tape.watch(with_nan);
  std::vector<Tensor> sources{with_nan};
  for (const Weight& weight : layer.weights()) sources.push_back(weight.value());
  Tensor y = layer(with_nan, {.mask = mask});
  CHECK(max(abs(y[0] - layer(slice(x, {range(0, 1), range(0, 2)}))[0])).item() < 1e-6);
  CHECK(max(abs(y[1])).item() == 0);
  for (const Tensor& g : tape.gradient(sum(square(y)), sources)) {
    CHECK(all(isfinite(g)).item() != 0);
  }
  CHECK(max(abs(tape.gradient(sum(square(y)), with_nan)[1])).item() == 0);
}

TEST_CASE("scores are read by name and by place") {
  Sequential model({Dense(1, {.input_shape = {2}})});
  model.compile({.loss = "mse", .metrics = {"mae"}});
  Tensor x = ones({4, 2}), y = zeros({4, 1});
  Scores scores = model.evaluate(x, y);
  CHECK(scores.names() == std::vector<std::string>{"loss", "mae"});
  CHECK(scores[0] == scores["loss"]);
  CHECK(scores[1] == scores.at("mae"));
  CHECK(scores[1] != scores[0]);
}

TEST_CASE("predict of a constant model gives eight threads the same numbers") {
  auto x = Input({6, 3});
  auto h = Bidirectional(LSTM(8, {.return_sequences = true}))(x);
  const Model model({x}, {Dense(2)(layer<AttentionLayer>(4)(h))});
  Tensor data = Random(1).normal({20, 6, 3});
  Tensor expected = model.predict(data, {.batch_size = 5});
  std::vector<double> differences(8, 1);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < differences.size(); ++i)
    threads.emplace_back([&, i] {
      Tensor p = model.predict(data, {.batch_size = 5});
      differences[i] = max(abs(p - expected)).item();
    });
  for (std::thread& thread : threads) thread.join();
  for (double difference : differences) CHECK(difference == 0);
}

}  // namespace keratin
