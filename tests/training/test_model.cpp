// Models: building, training, evaluating, looking inside, and every mistake on the way.

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include <keratin/core/internal/sanitized.h>
#include <keratin/keratin.h>
#include <keratin/layers/attention.h>

#include "../on_processor.h"
#include "error_of.h"
#include "temporary_directory.h"

TEST_SUITE_BEGIN("training");

namespace keratin {
namespace {

Sequential classifier() {
  Sequential model(
      {Dense(8, {.activation = "tanh", .input_shape = {4}}), Dense(3, {.activation = "softmax"})});
  model.compile({.optimizer = Adam({.learning_rate = 0.02}),
                 .loss = "sparse_categorical_crossentropy",
                 .metrics = {"accuracy"}});
  return model;
}

struct Task {
  Tensor x = Random(1).normal({90, 4});
  Tensor y = argmax(slice(x, {all, range(0, 3)}), -1);
};

}  // namespace

TEST_CASE("the seed model's summary is Keras' to the letter" * on_processor()) {
  clear_session();
  Sequential model;
  model.add(LSTM(128, {.return_sequences = true, .input_shape = {10, 32}}));
  model.add(AttentionLayer(64));
  model.add(Dense(10, {.activation = "softmax"}));
  CHECK(model.summary_text() ==
        "Model: \"sequential\"\n"
        "┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━┓\n"
        "┃ Layer (type)                         ┃ Output Shape                ┃         Param # ┃\n"
        "┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━┩\n"
        "│ lstm (LSTM)                          │ (None, 10, 128)             │          82,432 │\n"
        "├──────────────────────────────────────┼─────────────────────────────┼─────────────────┤\n"
        "│ attention_layer (AttentionLayer)     │ (None, 128)                 │           8,320 │\n"
        "├──────────────────────────────────────┼─────────────────────────────┼─────────────────┤\n"
        "│ dense (Dense)                        │ (None, 10)                  │           1,290 │\n"
        "└──────────────────────────────────────┴─────────────────────────────┴─────────────────┘\n"
        " Total params: 92,042 (359.54 KB)\n"
        " Trainable params: 92,042 (359.54 KB)\n"
        " Non-trainable params: 0 (0.00 B)\n");
  CHECK(model.weights()[0].path() == "sequential/lstm/lstm_cell/kernel");
  CHECK(model.weights()[3].path() == "sequential/attention_layer/W");
  model.compile({.optimizer = "adam", .loss = "categorical_crossentropy"});
  model.train_on_batch(zeros({2, 10, 32}), one_hot(tensor({1, 2}, int32), 10));
  CHECK(model.summary_text().find(" Total params: 276,128 (1.05 MB)\n") != std::string::npos);
  CHECK(model.summary_text().find(" Optimizer params: 184,086 (719.09 KB)\n") != std::string::npos);
}

TEST_CASE("summary wraps long cells and shows what is not built") {
  clear_session();
  Sequential model({AttentionLayer(4), Dense(2)});
  std::string text = model.summary_text(76);
  CHECK(text.find("│ attention_layer                 │ ?") != std::string::npos);
  CHECK(text.find("│ (AttentionLayer)                │  ") != std::string::npos);
  CHECK(text.find("0 (unbuilt)") != std::string::npos);
}

TEST_CASE("a model learns, and the history says so") {
  set_random_seed(3);
  Task task;
  Sequential model = classifier();
  History history = model.fit(task.x, task.y, {.epochs = 60, .verbose = 0});
  CHECK(history["loss"].size() == 60);
  CHECK(history["loss"].front() > 2 * history["loss"].back());
  CHECK(history["accuracy"].back() > 0.95);
  auto [loss, accuracy] = model.evaluate<2>(task.x, task.y);
  CHECK(accuracy > 0.95);
  CHECK(model.evaluate(task.x, task.y)["loss"] == doctest::Approx(loss));
  CHECK(model.predict(task.x).shape() == Shape{90, 3});
  CHECK(model.metrics_names() == std::vector<std::string>{"loss", "accuracy"});
  CHECK(error_of([&] { history["val_loss"]; }).find("val_loss") != std::string::npos);
}

TEST_CASE("a training loop of one's own is a tape, a gradient by the weights, and an optimizer") {
  set_random_seed(3);
  Sequential model({Dense(8, {.activation = "tanh"}), Dense(1)});
  Tensor x = Random(1).uniform({64, 2}, -1, 1), y = sum(square(x), 1, true);
  model.ensure_built(x.shape());
  Loss loss = "mse";
  SGD optimizer(0.1);
  double first = 0, last = 0;
  for (int step = 0; step < 50; ++step) {
    GradientTape tape;
    Tensor value = loss(y, model(x, {.training = true}));
    std::vector<Tensor> g = tape.gradient(value, model.trainable_weights());
    CHECK(g.size() == 4);
    optimizer.apply(std::move(tape).gradient(value, model.trainable_weights()),
                    model.trainable_weights());
    (step == 0 ? first : last) = value.item();
  }
  CHECK(last < first / 4);
}

TEST_CASE("the same seed gives the same bits, with one thread or four" *
          doctest::test_suite("threads")) {
  Task task;
  auto train = [&](int threads) {
    set_num_threads(threads);
    set_random_seed(11);
    Sequential model({LSTM(40, {.return_sequences = true, .dropout = 0.2}), AttentionLayer(8),
                      Dense(3, {.activation = "softmax"})});
    model.compile({.optimizer = "adam", .loss = "sparse_categorical_crossentropy"});
    Tensor x = Random(2).normal({90, 12, 33});
    model.fit(x, task.y, {.batch_size = 45, .epochs = 3, .verbose = 0});
    set_num_threads(0);
    return model.get_weights();
  };
  std::vector<Tensor> one = train(1), four = train(4), again = train(4);
  for (std::size_t i = 0; i < one.size(); ++i) {
    CHECK(all(one[i] == four[i]).item() == 1);
    CHECK(all(four[i] == again[i]).item() == 1);
  }
}

TEST_CASE("steady training asks the system for no memory") {
  // One thread: on a busy machine a thread takes over another's part for the first time at any
  // time, and then has no blocks of the part's sizes yet.
  set_num_threads(1);
  Task task;
  Sequential model({LSTM(16, {.return_sequences = true}), AttentionLayer(8),
                    Dense(3, {.activation = "softmax"})});
  model.compile(
      {.optimizer = "adam", .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}});
  Tensor x = Random(2).normal({90, 6, 4});
  model.fit(x, task.y, {.epochs = 2, .verbose = 0});
  std::int64_t before = memory_stats().system_allocations;
  model.fit(x, task.y, {.epochs = 3, .verbose = 0});
  set_num_threads(0);
  if (!sanitized) CHECK(memory_stats().system_allocations == before);
}

TEST_CASE("eight threads predict on one model at once" * doctest::test_suite("threads")) {
  Task task;
  Sequential model = classifier();
  Tensor expected = model.predict(task.x);
  std::vector<Tensor> results(8);
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) threads.emplace_back([&, i] { results[i] = model.predict(task.x); });
  for (std::thread& thread : threads) thread.join();
  for (const Tensor& result : results) CHECK(all(result == expected).item() == 1);
}

TEST_CASE("errors show the chain of shapes up to the layer that does not fit") {
  clear_session();
  Sequential model(
      {Masking(0, {.input_shape = {29, 12}}), LSTM(64, {.return_sequences = true}), Dense(5)});
  CHECK(error_of([&] {
          model(zeros({2, 29, 13}));
        }) ==
        "lstm (LSTM): expected inputs (batch, time, 12), got (2, 29, 13).\n"
        "  masking (None, 29, 12) -> lstm");
  CHECK(error_of([] {
          Sequential broken({Dense(4, {.input_shape = {3}}), LSTM(2)});
        })
            .find("lstm_1 (LSTM): expected inputs (batch, time, features), got (None, 4).\n"
                  "  dense_1 (None, 4) -> lstm_1") == 0);
  CHECK(error_of([] {
          Sequential twice({Dense(1, {.name = "a"}), Dense(1, {.name = "a"})});
        }).find("two layers are named \"a\"") != std::string::npos);
}

TEST_CASE("compile and fit refuse what cannot work, and say why") {
  clear_session();
  Task task;
  Sequential model = classifier();
  CHECK(error_of([&] { model.compile({.optimizer = "adamm"}); }).find("Did you mean \"adam\"?") !=
        std::string::npos);
  CHECK(error_of([&] { model.compile({.loss = "mean_square"}); }).find("mean_squared_error") !=
        std::string::npos);
  CHECK(error_of([&] { model.fit(task.x, slice(task.y, {range(0, 89)})); }) ==
        "fit: x has 90 samples, y has 89.");
  CHECK(error_of([&] { model.fit(zeros({0, 4}), zeros({0}, int32)); }) == "fit: x has no samples");
  CHECK(error_of([&] { model.fit(task.x, task.y, {.batch_size = 0}); }) ==
        "fit: expected a batch_size of at least 1, got 0");
  CHECK(error_of([&] { model.fit(task.x, task.y, {.verbose = 0, .validation_split = 0.001}); }) ==
        "no error");
  CHECK(error_of([&] {
          model.fit(task.x, task.y, {.validation_split = 0.999});
        }).find("leaves 0 to train on") != std::string::npos);
  CHECK(error_of([&] { model.fit(task.x, task.y + 1, {.verbose = 0}); }).find("3") !=
        std::string::npos);
  CHECK(error_of([&] {
          model.fit(task.x, task.y, {.class_weight = {{0, 2.0}}, .sample_weight = ones({90})});
        }) == "fit: class_weight and sample_weight cannot be combined");
  Sequential raw({Dense(1)});
  CHECK(error_of([&] { raw.fit(task.x, task.y); }) ==
        "sequential_1 (Sequential): compile it with a loss first");
  CHECK(error_of([&] { model.evaluate<3>(task.x, task.y); }) ==
        "evaluate<3>: this model has 2 scores: loss, accuracy");
  CHECK(error_of([&] { model.get_layer("dens"); }).find("Layers: dense, dense_1") !=
        std::string::npos);
}

TEST_CASE("a loss that is no number stops training with the culprit, weights unharmed") {
  clear_session();
  Sequential model({Dense(4, {.input_shape = {3}}), Dense(2)});
  model.compile({.optimizer = "sgd", .loss = "mse"});
  Tensor x = ones({8, 3}), y = ones({8, 2});
  slice(x, {5, 1}).assign(NAN);
  std::vector<Tensor> before = model.get_weights();
  std::string message =
      error_of([&] { model.fit(x, y, {.batch_size = 4, .verbose = 0, .shuffle = false}); });
  CHECK(message.find("loss became NaN in epoch 1, batch 2: sample 5 of x is not finite") !=
        std::string::npos);
  Sequential exploding(
      {Dense(4, {.activation = "exponential", .kernel_initializer = "ones", .input_shape = {3}}),
       Dense(2)});
  exploding.compile({.optimizer = "sgd", .loss = "mse"});
  message = error_of([&] { exploding.fit(ones({4, 3}) * 1e4, ones({4, 2}), {.verbose = 0}); });
  INFO(message);
  CHECK(message.find("first in exp, forward, in dense_2") != std::string::npos);
  // TerminateOnNaN takes care of it instead.
  CHECK(error_of([&] { model.fit(x, y, {.verbose = 0, .callbacks = {TerminateOnNaN()}}); }) ==
        "no error");
}

TEST_CASE("an exception in a callback passes through; the model goes on") {
  Task task;
  Sequential model = classifier();
  LambdaCallback thrower({.on_epoch_end = [](int epoch, const Logs&) {
    if (epoch == 1) throw std::runtime_error("enough");
  }});
  CHECK(error_of([&] {
          model.fit(task.x, task.y, {.epochs = 5, .verbose = 0, .callbacks = {thrower}});
        }) == "enough");
  CHECK(model.fit(task.x, task.y, {.epochs = 2, .verbose = 0})["loss"].size() == 2);
}

TEST_CASE("fit works inside a scope that records nothing, and under another tape") {
  Task task;
  Sequential model = classifier();
  {
    NoGradient scope;
    History history = model.fit(task.x, task.y, {.epochs = 30, .verbose = 0});
    CHECK(history["loss"].back() < history["loss"].front());
  }
  GradientTape outer;
  model.fit(task.x, task.y, {.epochs = 1, .verbose = 0});
  CHECK(outer.size() == 0);
}

TEST_CASE("weights go through a file, and nothing is loaded that does not fit") {
  TemporaryDirectory folder;
  std::string path = folder / "weights.npz";
  Sequential model = classifier();
  model.save_weights(path);
  Sequential other = classifier();
  other.load_weights(path);
  CHECK(all(other.get_weights()[0] == model.get_weights()[0]).item() == 1);

  clear_session();
  Sequential different({Dense(8, {.input_shape = {5}}), Dense(2, {.use_bias = false})});
  std::vector<Tensor> before = different.get_weights();
  save_npz(path, {{"m/dense/kernel", zeros({4, 8})},
                  {"m/dense/bias", zeros({8})},
                  {"m/extra/kernel", zeros({1})}});
  CHECK(error_of([&] { different.load_weights(path); }) ==
        path +
            ": nothing was loaded:\n"
            "  sequential/dense/kernel: expected (5, 8), found (4, 8)\n"
            "  sequential/dense_1/kernel: missing\n"
            "  m/extra/kernel: not in the model");
  CHECK(all(different.get_weights()[1] == before[1]).item() == 1);
}

TEST_CASE("capture shows every layer's output and what layers named") {
  clear_session();
  Sequential model({LSTM(4, {.return_sequences = true, .input_shape = {5, 3}}), AttentionLayer(2)});
  auto seen = model.capture(Random(1).normal({2, 5, 3}));
  CHECK(seen["lstm"].shape() == Shape{2, 5, 4});
  CHECK(seen["attention_layer"].shape() == Shape{2, 4});
  Tensor a = seen["attention_layer/attention"];
  CHECK(a.shape() == Shape{2, 5, 1});
  CHECK(max(abs(sum(a, 1) - 1.0)).item() < 1e-6);
}

TEST_CASE("layers can be added to and removed from a built model") {
  clear_session();
  Sequential model({Dense(4, {.input_shape = {3}})});
  model.add(Dense(2));
  CHECK(model.output_shapes().back() == Shape{None, 2});
  CHECK(model.weights().size() == 4);
  CHECK(model.weights()[2].path() == "sequential/dense_1/kernel");
  model.pop();
  CHECK(model(zeros({1, 3})).shape() == Shape{1, 4});
  CHECK(model.weights().size() == 2);
  CHECK_THROWS_AS(model.add(LSTM(2)), LayerError);
  CHECK(model.layers().size() == 1);
}

TEST_CASE("models nest: a Sequential is a layer, and masks pass through it") {
  Sequential inner({LSTM(4, {.return_sequences = true})});
  auto shared = std::make_shared<Sequential>(std::move(inner));
  Sequential model({Masking(0, {.input_shape = {5, 2}}), shared, AttentionLayer(3)});
  Tensor x = Random(1).normal({2, 5, 2});
  slice(x, {0, range(2, 5)}).assign(0.0);
  Tensor a = model.capture(x)["attention_layer/attention"];
  (void)a;
  for (const auto& [name, value] : model.capture(x))
    if (name.ends_with("/attention")) CHECK(sum(value[0][4]).item() == 0);
}

TEST_CASE("variable lengths: None in the time axis") {
  Sequential model({LSTM(3, {.input_shape = {None, 2}}), Dense(1)});
  CHECK(model(zeros({2, 7, 2})).shape() == Shape{2, 1});
  CHECK(model(zeros({1, 3, 2})).shape() == Shape{1, 1});
}

TEST_CASE("automatic names count in the order of the layers") {
  clear_session();
  Sequential model({Dense(4), Dense(3), LSTM(2, {.name = "x"}), Dense(1)});
  std::vector<std::string> names;
  for (Layer* layer : model.layers()) names.push_back(layer->name());
  CHECK(names == std::vector<std::string>{"dense", "dense_1", "x", "dense_2"});
}

TEST_CASE("build by hand builds once") {
  Sequential model({Dense(2), Dense(1)});
  model.build({None, 3});
  CHECK(model.built());
  model.build({None, 3});
  CHECK(model.weights().size() == 4);
  CHECK_THROWS_AS(Sequential({Dense(2), LSTM(1)}).build({None, 3}), LayerError);
}

TEST_CASE("a stateful layer works in a model and begins with empty states") {
  Sequential model({LSTM(3, {.stateful = true, .input_shape = {4, 2}}), Dense(1)});
  model.compile({.optimizer = "sgd", .loss = "mse"});
  Tensor x = Random(1).normal({8, 4, 2}), y = zeros({8, 1});
  CHECK(model.fit(x, y, {.batch_size = 4, .verbose = 0, .shuffle = false})["loss"].size() == 1);
  dynamic_cast<LSTM&>(model.get_layer(0)).reset_states();
  Tensor first = model.predict_on_batch(slice(x, {range(0, 4)}));
  Tensor second = model.predict_on_batch(slice(x, {range(0, 4)}));
  CHECK(any(first != second).item() == 1);
}

TEST_CASE("clones of a layer around a layer are layers of their own") {
  Bidirectional both(LSTM(3));
  TimeDistributed each(Dense(2));
  Sequential a({both, Dense(1)}), b({clone(both), Dense(1)});
  a(zeros({2, 4, 2}));
  b(zeros({2, 4, 6}));
  CHECK_FALSE(a.weights()[0] == b.weights()[0]);
  TimeDistributed other = clone(each);
  each(zeros({2, 4, 2}));
  CHECK(other(zeros({2, 4, 3})).shape() == Shape{2, 4, 2});
}

TEST_CASE("empty handles and models that were moved from are refused, not followed") {
  CHECK_THROWS_AS(Sequential({std::shared_ptr<Dense>()}), std::invalid_argument);
  CHECK_THROWS_AS(AnyCallback(std::shared_ptr<EarlyStopping>()), std::invalid_argument);
  CHECK_THROWS_AS(LambdaCallback({}).model(), std::logic_error);
  Sequential a = classifier();
  Sequential b(std::move(a));
  CHECK_THROWS_AS(a.fit(zeros({2, 4}), zeros({2}, int32)), std::invalid_argument);
  CHECK_THROWS_AS(a(zeros({2, 4})), std::invalid_argument);
  CHECK(b(zeros({2, 4})).shape() == Shape{2, 3});
  CHECK(error_of([&] { b.save_weights("w.txt"); }).find("or .npz, got w.txt") != std::string::npos);
  CHECK(error_of([&] {
          b.fit(zeros({2, 4}), zeros({2}, int32), {.initial_epoch = -1});
        }) == "fit: expected initial_epoch of at least 0, got -1");
}

TEST_CASE("the optimizer that compile was given is the one that trains") {
  Task task;
  Adam adam({.learning_rate = 0.01});
  Sequential model = classifier();  // compiled with another one
  model.compile({.optimizer = adam, .loss = "sparse_categorical_crossentropy"});
  model.fit(task.x, task.y, {.batch_size = 30, .epochs = 2, .verbose = 0});
  CHECK(adam.iterations() == 6);
  adam.set_learning_rate(0.5);
  CHECK(model.optimizer().learning_rate() == 0.5);

  // Another model gets one of its own.
  Sequential other({Dense(3, {.activation = "softmax"})});
  other.compile({.optimizer = adam, .loss = "sparse_categorical_crossentropy"});
  CHECK(other.optimizer().iterations() == 0);
  CHECK(other.optimizer().learning_rate() == 0.01);
  other.fit(task.x, task.y, {.batch_size = 90, .verbose = 0});
  CHECK(other.optimizer().iterations() == 1);
  CHECK(adam.iterations() == 6);

  // The same model begins anew.
  model.compile({.optimizer = adam, .loss = "sparse_categorical_crossentropy"});
  CHECK(adam.iterations() == 0);
  CHECK(adam.learning_rate() == 0.01);
  model.fit(task.x, task.y, {.batch_size = 90, .verbose = 0});
  CHECK(adam.iterations() == 1);
}

TEST_CASE("the metrics that compile was given are those that count") {
  const Tensor x = tensor({{0.2}, {0.4}, {0.6}, {0.8}}), y = tensor({{0}, {1}, {1}, {1}});
  Sequential a({Flatten()});
  Precision precision;
  Recall recall;
  AUC auc;
  BinaryAccuracy accuracy;
  const CompileOptions options{.loss = "mse",
                               .metrics = {precision, accuracy, auc},
                               .weighted_metrics = {recall, precision}};
  a.compile(options);
  const Scores scores = a.evaluate(x, y);
  CHECK(scores["precision"] == 1);
  CHECK(precision.result() == 1);
  CHECK(recall.result() == doctest::Approx(2.0 / 3));
  CHECK(accuracy.result() == 0.75);
  CHECK(auc.result() == 1);
  CHECK(scores["weighted_precision"] == 1);  // named twice, counted once in each list

  // Another model gets metrics of its own, and the same model begins anew.
  Sequential b({Flatten()});
  b.compile(options);
  CHECK(b.evaluate(x, 1 - y)["recall"] == 0);
  CHECK(recall.result() == doctest::Approx(2.0 / 3));
  a.compile(options);
  CHECK(recall.result() == 0);
  a.evaluate(x, 1 - y);
  CHECK(accuracy.result() == 0.25);
  CHECK(b.evaluate(x, y)["binary_accuracy"] == 0.75);
  CHECK(accuracy.result() == 0.25);
}

TEST_CASE("one CompileOptions for two models shares nothing, and compiling again begins anew") {
  const CompileOptions options{
      .optimizer = SGD({.learning_rate = 0.0}), .loss = "mse", .metrics = {"mae", AUC()}};
  Sequential a({Dense(1, {.kernel_initializer = "zeros", .input_shape = {1}})});
  Sequential b = clone(a);
  a.compile(options);
  b.compile(options);
  const Tensor x = zeros({4, 1});
  a.train_on_batch(x, full({4, 1}, 1.0));
  Logs logs = b.train_on_batch(x, full({4, 1}, 67.0));
  CHECK(logs["mae"] == 67);
  CHECK(a.optimizer().iterations() == 1);
  a.compile(options);
  CHECK(a.optimizer().iterations() == 0);
  CHECK(a.train_on_batch(x, full({4, 1}, 3.0))["mae"] == 3);
}

TEST_CASE("metrics under weighted_metrics do not see masked steps, with and without weights") {
  Sequential model({Masking(), Dense(1, {.activation = "sigmoid",
                                         .kernel_initializer = "ones",
                                         .bias_initializer = "ones"})});
  model.compile({.loss = "binary_crossentropy",
                 .metrics = {Precision()},
                 .weighted_metrics = {Precision({.name = "heeding"}), AUC({.exact = true})}});
  // All scores are above one half. Two steps count; after each is padding with a wrong label.
  Tensor x = tensor({{{2}, {0}, {1}, {0}}}), y = tensor({{{1.0}, {NAN}, {0.0}, {1.0}}});
  Logs logs = model.evaluate(x, y);
  CHECK(logs["heeding"] == 0.5);
  CHECK(logs["auc"] == 1);
  CHECK(logs["precision"] == 0.75);  // it counts all four, as in Keras
  logs = model.evaluate(x, y, {.sample_weight = tensor({{3.0, NAN, 1.0, 1.0}})});
  CHECK(logs["heeding"] == 0.75);
  CHECK(logs["auc"] == 1);
  CHECK(logs["precision"] == 0.75);
}

}  // namespace keratin

TEST_SUITE_END();
