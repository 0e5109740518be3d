// Steps of fit that are repeated as CUDA graphs: they give the bits that they give op by op.
#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/random.h>
#include <keratin/layers/attention.h>
#include <keratin/layers/conv_lstm.h>
#include <keratin/layers/core_layers.h>
#include <keratin/layers/dense.h>
#include <keratin/layers/embedding.h>
#include <keratin/layers/normalization.h>
#include <keratin/layers/rnn.h>
#include <keratin/layers/wrappers.h>
#include <keratin/optim/metrics.h>
#include <keratin/optim/optimizers.h>
#include <keratin/training/callbacks.h>
#include <keratin/training/sequential.h>

#include "../error_of.h"
#include "cuda_test_case.h"

TEST_SUITE_BEGIN("cuda");

using namespace keratin;

namespace {

using Numbers = std::vector<std::vector<double>>;

/// Weights, optimizer and history after training on the device.
Numbers trained(Sequential model, CompileOptions compile, std::optional<bool> eagerly,
                const std::function<History(Model&)>& fit) {
  compile.run_eagerly = eagerly;
  model.compile(compile);
  const History history = fit(model);
  Numbers all;
  for (const Tensor& weight : model.get_weights()) all.push_back(weight.to_vector<double>());
  for (const auto& [name, value] : model.optimizer().variables())
    all.push_back(value.to_vector<double>());
  for (const std::string& name : history.names()) all.push_back(history[name]);
  return all;
}

/// Whether graphs change nothing.
bool same_with_graphs(const std::function<Sequential()>& make,
                      const std::function<CompileOptions()>& compile,
                      const std::function<History(Model&)>& fit,
                      std::optional<bool> with_graphs = std::nullopt) {
  auto scope = device("cuda:0");
  auto run = [&](std::optional<bool> eagerly) {
    set_random_seed(7);
    return trained(make(), compile(), eagerly, fit);
  };
  return run(true) == run(with_graphs);
}

CompileOptions sparse() {
  return {.optimizer = Adam({.learning_rate = 0.01, .clipnorm = 1.0}),
          .loss = "sparse_categorical_crossentropy",
          .metrics = {"accuracy", SparseTopKCategoricalAccuracy({.k = 2})},
          .weighted_metrics = {"sparse_categorical_crossentropy"}};
}
CompileOptions squared() { return {.optimizer = Adam(0.01), .loss = "mse"}; }

/// The batches, which must outlive it.
Dataset data_of(const std::vector<Batch>& all) {
  return Dataset([&all] {
    return [&all, i = std::size_t{0}]() mutable -> std::optional<Batch> {
      if (i == all.size()) return {};
      return all[i++];
    };
  });
}

}  // namespace

CUDA_TEST_CASE("a graph's steps have the bits of single ops: noise, statistics, masks, weights") {
  const Tensor ids = Random(2).integers({50, 6}, 0, 8), y = Random(3).integers({50, 6}, 0, 3);
  auto make = [] {
    return Sequential({Embedding(8, 4, {.mask_zero = true}),
                       Bidirectional(LSTM(5, {.return_sequences = true, .dropout = 0.2})),
                       Dropout(0.1, {.seed = 3}), Dropout(0.1, {.seed = 3}), BatchNormalization(),
                       TimeDistributed(Dense(4, {.activation = "relu"})),
                       GRU(4, {.return_sequences = true}),
                       Dense(3, {.activation = "softmax", .kernel_regularizer = L2(0.01)})});
  };
  for (int batch_size : {10, 16}) {  // the last batch is a whole one, or of 2
    CAPTURE(batch_size);
    auto options = [&] { return FitOptions{.batch_size = batch_size, .epochs = 4, .verbose = 0}; };
    CHECK(same_with_graphs(make, sparse, [&](Model& m) { return m.fit(ids, y, options()); }));
    CHECK(same_with_graphs(make, sparse, [&](Model& m) {
      FitOptions weighted = options();
      weighted.class_weight = {{0, 2.0}, {1, 0.25}};
      weighted.validation_split = 0.2;
      return m.fit(ids, y, weighted);
    }));
    CHECK(same_with_graphs(make, sparse, [&](Model& m) {
      FitOptions weighted = options();
      weighted.sample_weight = Random(4).uniform({50}, 0, 1, float32, "cpu");
      return m.fit(ids, y, weighted);
    }));
  }
}

CUDA_TEST_CASE("a convolutional LSTM's steps have the bits of single ops") {
  const Tensor x = Random(2).normal({20, 3, 5, 2}), y = Random(3).normal({20, 3, 3, 2});
  auto make = [] {
    return Sequential({ConvLSTM1D(2, 3, {.dropout = 0.2, .return_sequences = true})});
  };
  CHECK(same_with_graphs(make, squared, [&](Model& m) {
    return m.fit(x, y, {.batch_size = 5, .epochs = 2, .verbose = 0});
  }));
}

CUDA_TEST_CASE("recurrent layers with dropout have the bits of single ops") {
  const Tensor x = Random(2).normal({20, 3, 5}), y = Random(3).normal({20, 2});
  const std::function<AnyLayer()> layers[] = {
      [] { return LSTM(4, {.recurrent_dropout = 0.3}); },
      [] { return GRU(4, {.dropout = 0.2, .recurrent_dropout = 0.3}); },
      [] { return SimpleRNN(4, {.dropout = 0.2, .recurrent_dropout = 0.3}); },
      [] { return Bidirectional(LSTM(4, {.dropout = 0.2})); },
      [] {
        return RNN(
            StackedRNNCells(LSTMCell(4, {.dropout = 0.2}), GRUCell(3, {.recurrent_dropout = 0.3})));
      }};
  for (const auto& layer : layers) {
    CAPTURE(layer()->class_name());
    CHECK(same_with_graphs(
        [&] {
          return Sequential({layer(), Dense(2)});
        },
        squared,
        [&](Model& m) { return m.fit(x, y, {.batch_size = 5, .epochs = 2, .verbose = 0}); }));
  }
}

CUDA_TEST_CASE("metrics of counts are part of a graph") {
  const Tensor x = Random(2).normal({64, 5}),
               y = (Random(3).uniform({64, 1}) > 0.6).astype(float32);
  auto compile = [] {
    return CompileOptions{
        .optimizer = "sgd",
        .loss = "binary_crossentropy",
        .metrics = {"accuracy", AUC(), AUC({.curve = "PR", .thresholds = {0.2, 0.5, 0.9}}),
                    Precision(), Recall({.thresholds = {0.3, 0.7}}), TruePositives(),
                    PrecisionAtRecall(0.5), F1Score({.threshold = 0.5}), BinaryIoU(),
                    R2Score({.num_regressors = 5}), AUC({.name = "each", .multi_label = true})}};
  };
  CHECK(same_with_graphs(
      [] { return Sequential({Dense(1, {.activation = "sigmoid"})}); }, compile,
      [&](Model& m) { return m.fit(x, y, {.batch_size = 8, .epochs = 3, .verbose = 0}); }));
}

CUDA_TEST_CASE("what changes a step between batches changes what is repeated") {
  const Tensor x = Random(2).normal({60, 5}), y = Random(3).normal({60, 2});
  auto make = [] {
    return Sequential({Dense(4, {.activation = "tanh", .name = "first"}),
                       BatchNormalization({.center = false, .scale = false, .name = "norm"}),
                       Dropout(0.3), Dense(2)});
  };
  using Change = std::function<void(Model&, int)>;
  const std::pair<const char*, Change> changes[] = {
      {"learning rate", [](Model& m, int step) { m.optimizer().set_learning_rate(0.01 / step); }},
      {"frozen layer",
       [](Model& m, int step) { m.get_layer("first").set_trainable(step % 6 < 3); }},
      {"frozen statistics",
       [](Model& m, int step) { m.get_layer("norm").set_trainable(step % 6 < 3); }},
      {"frozen weight",
       [](Model& m, int step) {
         Weight kernel = m.get_layer("first").weights()[0];
         kernel.set_trainable(step % 6 < 3);
       }},
      {"replaced weight",
       [](Model& m, int step) {
         if (step == 7) m.get_layer("first").weights()[0].replace(Random(5).normal({5, 4}));
       }},
      {"TF32", [](Model&, int step) { set_tf32(step % 6 > 2); }},
      {"seed",
       [](Model&, int step) {
         if (step % 5 == 0) set_random_seed(static_cast<std::uint64_t>(step));
       }},
      {"values",
       [](Model& m, int step) {
         if (step == 7) m.set_weights(m.get_weights());
         if (step == 8) m.get_layer("first").weights()[1].assign(full({4}, 0.5));
       }},
      {"place of the weights",
       [](Model& m, int step) {
         if (step == 6) m.to(cuda_device_count() > 1 ? "cuda:1" : "cpu");
         if (step == 11) m.to("cpu");
         if (step == 16) m.to("cuda:0");
       }},
      {"dtype", [](Model& m, int step) {
         if (step == 7) m.set_dtype(float64);
       }}};
  for (const auto& change : changes) {
    CAPTURE(change.first);
    CHECK(same_with_graphs(make, squared, [&](Model& m) {
      LambdaCallback changing({.on_train_batch_end = [&, step = 0](int, const Logs&) mutable {
        change.second(m, ++step);
      }});
      return m.fit(x, y, {.batch_size = 10, .epochs = 4, .verbose = 0, .callbacks = {changing}});
    }));
    set_tf32(false);
  }
}

CUDA_TEST_CASE("batches that differ only in their length or their dtype do not share a graph") {
  auto numbers = [](int i, const Shape& shape, DType dtype) {
    return (Random(static_cast<std::uint64_t>(i)).normal(shape, 0, 3, float64)).astype(dtype);
  };
  auto batch = [&](int i, std::int64_t rows, DType x, DType y) {
    return Batch{{numbers(i, {rows, 3}, x)}, {numbers(i + 20, {rows, 2}, y)}};
  };
  const std::function<Batch(int, bool)> kinds[] = {
      [&](int i, bool other) { return batch(i, other ? 2 : 4, float32, float32); },
      [&](int i, bool other) { return batch(i, 4, other ? float64 : float32, float32); },
      [&](int i, bool other) { return batch(i, 4, float32, other ? float64 : float32); },
      [&](int i, bool other) { return batch(i, 4, float32, other ? float32 : int32); }};
  for (const auto& kind : kinds) {
    std::vector<Batch> all;
    for (int i = 0; i < 12; ++i) all.push_back(kind(i, i % 3 == 2));
    CHECK(same_with_graphs(
        [] {
          return Sequential({Dense(3), Dense(2)});
        },
        squared, [&](Model& m) { return m.fit(data_of(all), {.epochs = 2, .verbose = 0}); }));
  }
}

CUDA_TEST_CASE("batches of many shapes, dtypes and parts each have their own graph or none") {
  auto batches = [] {
    std::vector<Batch> all;
    for (int i = 0; i < 60; ++i) {
      const std::int64_t time = 2 + i % 20;
      Batch batch{{Random(static_cast<std::uint64_t>(i)).normal({4, time, 3})},
                  {Random(static_cast<std::uint64_t>(i)).normal({4, 2})}};
      if (i % 3 == 1) batch.sample_weight = {full({4}, 0.5 + i)};
      if (i % 5 == 2) batch.x[0] = batch.x[0].astype(float64);
      if (i % 7 == 3) batch.x[0] = batch.x[0].transpose({1, 0, 2}).copy().transpose({1, 0, 2});
      all.push_back(batch);
    }
    return all;
  };
  const std::vector<Batch> all = batches();
  CHECK(same_with_graphs(
      [] {
        return Sequential({SimpleRNN(3), Dense(2)});
      },
      squared, [&](Model& m) { return m.fit(data_of(all), {.epochs = 3, .verbose = 0}); }));
}

namespace {

/// Multiplies by a number that a tensor on the device keeps.
class Counting : public Layer {
 public:
  enum class Kind {
    in_place,
    replaced,
    dropped,
    kept,
    read,
    replaced_and_read,
    dropped_and_read,
    kept_and_read,
    on_host
  };
  Counting(Kind kind, bool supports) : kind_(kind), supports_(supports) {}
  bool supports_graph() const override { return supports_; }
  Tensor call(const Tensor& x) override {
    if (!training()) return x;
    Shared& s = *shared_;
    if (!s.count.defined()) s.count = zeros({}, float32, x.device());
    ++s.calls;
    switch (kind_) {
      case Kind::in_place:
        s.count.assign(s.count + 1);
        break;
      case Kind::replaced:
        s.count = s.count + 1;
        break;
      case Kind::dropped:
        s.count.assign(s.count + 1);
        return std::exchange(s.count, s.calls == 2 ? Tensor() : s.count) * x;
      case Kind::kept:
        s.list.push_back(s.count * 2);
        break;
      case Kind::replaced_and_read:
      case Kind::dropped_and_read:
      case Kind::kept_and_read:
        if (s.calls == 1) break;  // worked on op by op
        if (kind_ == Kind::kept_and_read)
          s.list.push_back(s.count * 2);
        else
          s.count = kind_ == Kind::replaced_and_read ? s.count + 1 : Tensor();
        [[fallthrough]];
      case Kind::read:
        return x * (1 + sum(x).item() * 1e-3);
      case Kind::on_host:
        return x * (1.0 + 0.01 * s.calls);
    }
    return x * (1 + 0.01 * s.count);
  }

 private:
  struct Shared {
    Tensor count = {};
    Tensors list = {};
    int calls = 0;
  };
  Kind kind_;
  bool supports_;
  std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
};

}  // namespace

CUDA_TEST_CASE("layers of one's own: what cannot be repeated goes on op by op") {
  const Tensor x = Random(2).normal({60, 5}), y = Random(3).normal({60, 2});
  using enum Counting::Kind;
  for (auto kind : {in_place, replaced, dropped, kept, read, on_host})
    for (bool supports : {false, true}) {
      if (kind == on_host && supports) continue;  // a promise that it does not keep
      CAPTURE(static_cast<int>(kind));
      CAPTURE(supports);
      CHECK(same_with_graphs(
          [&] {
            return Sequential({Dropout(0.3), Counting(kind, supports), Dropout(0.2), Dense(2)});
          },
          squared,
          [&](Model& m) { return m.fit(x, y, {.batch_size = 10, .epochs = 3, .verbose = 0}); }));
    }
  for (auto kind : {replaced_and_read, dropped_and_read, kept_and_read}) {
    CAPTURE(static_cast<int>(kind));
    auto scope = device("cuda:0");
    Sequential model({Counting(kind, true), Dense(2)}, "model");
    model.compile(squared());
    CHECK(error_of([&] { model.fit(x, y, {.batch_size = 10, .verbose = 0}); }) ==
          "model (Sequential): fit: a step cannot become a CUDA graph, though its layers support "
          "graphs: a graph cannot wait for its device; compile it with run_eagerly = true");
  }
}

namespace {

/// Draws from a generator that the library does not know of.
class OwnNoise : public Layer {
 public:
  bool supports_graph() const override { return true; }
  Tensor call(const Tensor& x) override {
    return training() ? x * random_->normal(x.shape(), 1, 0.5, x.dtype(), x.device()) : x;
  }

 private:
  std::shared_ptr<Random> random_ = std::make_shared<Random>(3);
};

/// Keeps what it has seen in training.
class Keeping : public Layer {
 public:
  explicit Keeping(Tensors& kept) : kept_(&kept) {}
  bool supports_graph() const override { return true; }
  Tensor call(const Tensor& x) override {
    if (training()) kept_->push_back(x * 2);
    return x;
  }

 private:
  Tensors* kept_;
};

/// In each call another thread asks the device for a number.
class Visited : public Layer {
 public:
  explicit Visited(std::vector<std::string>& errors) : errors_(&errors) {}
  bool supports_graph() const override { return true; }
  Tensor call(const Tensor& x) override {
    std::thread visitor([this] {
      errors_->push_back(error_of([] {
        if (sum(ones({3}, float32, "cuda:0") * 2.0).item() != 6) throw std::runtime_error("not 6");
      }));
    });
    visitor.join();
    return x * 2.0;
  }

 private:
  std::vector<std::string>* errors_;
};

}  // namespace

CUDA_TEST_CASE("a layer with a generator of its own draws the numbers of single ops") {
  const Tensor x = Random(2).normal({60, 5}), y = Random(3).normal({60, 2});
  CHECK(same_with_graphs(
      [] {
        return Sequential({Dropout(0.3), OwnNoise(), Dropout(0.2), Dense(2)});
      },
      squared,
      [&](Model& m) { return m.fit(x, y, {.batch_size = 10, .epochs = 3, .verbose = 0}); }));
}

CUDA_TEST_CASE("what a layer keeps of each step is there when training has ended") {
  auto scope = device("cuda:0");
  const Tensor x = Random(2).normal({60, 5}), y = Random(3).normal({60, 2});
  auto kept = [&](std::optional<bool> eagerly) {
    set_random_seed(7);
    Tensors all;
    trained(Sequential({Dense(4), Keeping(all), Dense(2)}), squared(), eagerly,
            [&](Model& m) { return m.fit(x, y, {.batch_size = 10, .epochs = 2, .verbose = 0}); });
    Numbers numbers;
    for (const Tensor& t : all) numbers.push_back(t.to_vector<double>());
    return numbers;
  };
  const Numbers eager = kept(true);
  CHECK(eager.size() == 12);
  CHECK(kept(std::nullopt) == eager);
}

CUDA_TEST_CASE("another thread may wait for the device while a step is noted") {
  const Tensor x = Random(2).normal({60, 5}), y = Random(3).normal({60, 2});
  std::vector<std::string> errors;
  CHECK(same_with_graphs(
      [&] {
        return Sequential({Dense(4), Visited(errors), Dense(2)});
      },
      squared, [&](Model& m) { return m.fit(x, y, {.batch_size = 10, .verbose = 0}); }));
  CHECK(errors.size() > 2);
  for (const std::string& error : errors) CHECK(error == "no error");
}

CUDA_TEST_CASE("stateful layers, and functions and metrics of one's own, train as before") {
  const Tensor x = Random(2).normal({40, 3, 5}), y = Random(3).normal({40, 2});
  CHECK(same_with_graphs(
      [] {
        return Sequential({LSTM(4, {.stateful = true}), Dense(2)});
      },
      squared,
      [&](Model& m) {
        return m.fit(x, y, {.batch_size = 10, .epochs = 3, .verbose = 0, .shuffle = false});
      }));
  // A metric that counts on the host sees every batch.
  class Batches : public Metric {
   public:
    Batches() : Metric("batches") {}
    using Metric::update_state;
    void update_state(const Tensor&, const Tensor& y_pred, const Tensor&) override {
      *sum_ += 1 + max(y_pred).item();
    }
    double result() const override { return *sum_; }
    void reset_state() override { *sum_ = 0; }

   private:
    struct Zero {
      double value = 0;
      Zero& operator+=(double x) { return value += x, *this; }
      Zero& operator=(double x) { return value = x, *this; }
      operator double() const { return value; }
    };
    Shared<Zero> sum_;
  };
  int calls = 0;
  auto compile = [&] {
    CompileOptions options = squared();
    options.loss = Loss([&calls](const Tensor& y, const Tensor& p) {
      ++calls;
      return mean(square(y - p), {-1});
    });
    options.metrics = {Batches()};
    return options;
  };
  auto fit = [&](Model& m) { return m.fit(x, y, {.batch_size = 10, .epochs = 3, .verbose = 0}); };
  auto make = [] { return Sequential({Flatten(), Dense(2)}); };
  CHECK(same_with_graphs(make, compile, fit));
  CHECK(calls == 24);
  CHECK(same_with_graphs(make, compile, fit, false));
  CHECK(calls == 24 + 12 + 2);
}

CUDA_TEST_CASE("a step that is not finite is found among repeated ones") {
  Tensor x = Random(2).normal({60, 5}).copy();
  x[47].assign(std::numeric_limits<double>::infinity());
  const Tensor y = Random(3).normal({60, 2});
  auto failed = [&](std::optional<bool> eagerly) {
    auto scope = device("cuda:0");
    set_random_seed(3);
    Sequential model({Dense(6, {.activation = "tanh"}), BatchNormalization(),
                      Dropout(0.2, {.seed = 5}), Dense(2)},
                     "model");
    CompileOptions options = squared();
    options.run_eagerly = eagerly;
    model.compile(options);
    std::string error =
        error_of([&] { model.fit(x, y, {.batch_size = 5, .verbose = 0, .shuffle = false}); });
    Numbers state;
    for (const Tensor& weight : model.get_weights()) state.push_back(weight.to_vector<double>());
    for (const auto& [name, tensor] : model.optimizer().variables())
      state.push_back(tensor.to_vector<double>());
    return std::pair(error, state);
  };
  const auto [error, state] = failed(std::nullopt);
  CHECK(error ==
        "model (Sequential): loss became NaN in epoch 1, batch 10: sample 47 of x is not finite. "
        "The model is that of the step before.");
  CHECK(failed(true) == std::pair(error, state));
}

CUDA_TEST_CASE("a bad step among hundreds is found, whichever it is") {
  const Tensor x = Random(2).normal({200, 3}), y = Random(3).normal({200, 1});
  for (int bad : {0, 31, 32, 63, 64, 95, 96, 97, 150, 199}) {
    CAPTURE(bad);
    auto scope = device("cuda:0");
    Tensor spoilt = x.to("cpu").copy();
    spoilt[bad].assign(std::numeric_limits<double>::infinity());
    Sequential model({Dense(1)}, "model");
    model.compile({.optimizer = "adam", .loss = "mse"});
    CHECK(error_of([&] { model.fit(spoilt, y, {.batch_size = 1, .verbose = 0, .shuffle = false}); })
              .find("in epoch 1, batch " + std::to_string(bad + 1) + ": sample " +
                    std::to_string(bad) + " of x is not finite") != std::string::npos);
    CHECK(model.optimizer().iterations() == bad);
  }
}

CUDA_TEST_CASE("threads that train on one device, and use it, do not disturb each other") {
  const Tensor x = Random(2).normal({60, 5}), y = Random(3).normal({60, 2});
  auto train = [&] {
    auto scope = device("cuda:0");
    Sequential model(
        {Dense(6, {.activation = "tanh", .kernel_initializer = GlorotUniform({.seed = 1})}),
         Dropout(0.2, {.seed = 5}), Dense(2, {.kernel_initializer = GlorotUniform({.seed = 2})})});
    model.compile(squared());
    model.fit(x, y, {.batch_size = 10, .epochs = 6, .verbose = 0, .shuffle = false});
    Numbers weights;
    for (const Tensor& weight : model.get_weights()) weights.push_back(weight.to_vector<double>());
    return weights;
  };
  const Numbers alone = train();
  std::vector<Numbers> results(3);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < results.size(); ++i)
    threads.emplace_back([&, i] { results[i] = train(); });
  for (std::thread& thread : threads) thread.join();
  for (const Numbers& weights : results) CHECK(weights == alone);
}

TEST_SUITE_END();
