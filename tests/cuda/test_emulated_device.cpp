// What the library asks of a device, counted on the emulated one.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/backend.h>
#include <keratin/core/internal/sanitized.h>
#include <keratin/core/internal/tensor_data.h>
#include <keratin/core/kernels.h>
#include <keratin/core/memory.h>
#include <keratin/core/random.h>
#include <keratin/layers/conv_lstm.h>
#include <keratin/layers/core_layers.h>
#include <keratin/layers/dense.h>
#include <keratin/layers/embedding.h>
#include <keratin/layers/normalization.h>
#include <keratin/layers/registry.h>
#include <keratin/layers/rnn.h>
#include <keratin/layers/wrappers.h>
#include <keratin/optim/metrics.h>
#include <keratin/optim/optimizers.h>
#include <keratin/training/callbacks.h>
#include <keratin/training/sequential.h>

#include "../error_of.h"
#include "../golden.h"
#include "../golden_configs.h"
#include "../on_processor.h"
#include "emulator/emulation.h"

TEST_SUITE_BEGIN("cuda");

using namespace keratin;

TEST_CASE("an op is one launch, and waits for nothing" * on_processor()) {
  Tensor x = ones({3, 4}, float32, "cuda:0"), w = ones({4, 5}, float32, "cuda:0");
  const emulation::Counts before = emulation::counts();
  Tensor y = tanh(2.0 * x + 1) / 3;
  Tensor z = softmax(matmul(y, w), -1);
  const emulation::Counts after = emulation::counts();
  CHECK(after.kernels - before.kernels == 5);
  CHECK(after.products - before.products == 1);
  CHECK(after.copies == before.copies);
  CHECK(after.waits == before.waits);
  CHECK(z.item(1, 1) == doctest::Approx(0.2));
}

TEST_CASE("layers, running sums and the finite check have the same bits in every order of threads" *
          on_processor()) {
  auto scope = device("cuda:0");
  const Tensor x = Random(1).normal({9, 4, 5});
  LSTM lstm(10, {.return_sequences = true});
  lstm(x);
  Tensors sources{x};
  for (const Weight& weight : lstm.weights()) sources.push_back(weight.value());
  auto results = [&](emulation::Order order) {
    const auto before = std::exchange(emulation::order, order);
    GradientTape tape;
    tape.watch(x);
    const Tensor y = softmax(lstm(x), 1), finite = full({}, 1, boolean);
    Tensors all = tape.gradient(sum(square(y)), sources);
    all.push_back(y);
    kernels_of(y).check_finite(finite, all);
    all.push_back(finite.astype(float32));
    all.insert(all.begin(), {cumsum(y, 1), cumsum(reshape(x, {-1}), 0)});
    for (std::int64_t place : {0, 127, 255}) {  // of the threads of a block
      const Tensor numbers = zeros({256}), found = full({}, 1, boolean);
      slice(numbers, {range(place, place + 1)}).assign(std::nan(""));
      kernels_of(numbers).check_finite(found, {&numbers, 1});
      all.push_back(found.astype(float32));
    }
    for (Tensor& t : all) t = t.to("cpu");  // which waits
    emulation::order = before;
    return all;
  };
  const Tensors forward = results(emulation::Order::forward);
  CHECK(forward[forward.size() - 4].item() == 1);
  for (std::size_t i = forward.size() - 3; i < forward.size(); ++i) CHECK(forward[i].item() == 0);
  for (auto order : {emulation::Order::backward, emulation::Order::shuffled}) {
    const Tensors other = results(order);
    for (std::size_t i = 0; i < forward.size(); ++i)
      CHECK(max(abs(other[i] - forward[i])).item() == 0);
  }
}

TEST_CASE("a step of training waits for nothing" * on_processor()) {
  auto scope = device("cuda:0");
  const Tensor ids = Random(2).integers({80, 6}, 0, 8), y = Random(3).integers({80, 6}, 0, 3);
  Sequential model({Embedding(8, 4, {.mask_zero = true}), LSTM(5, {.return_sequences = true}),
                    BatchNormalization(), Dropout(0.1), Dense(3, {.activation = "softmax"})});
  model.compile({.optimizer = Adam({.clipnorm = 1.0}),
                 .loss = "sparse_categorical_crossentropy",
                 .metrics = {"accuracy"}});
  auto waits = [&](int batch_size, FitOptions options) {
    options.batch_size = batch_size;
    options.verbose = 0;
    const std::int64_t before = emulation::counts().waits;
    model.fit(ids, y, options);
    return emulation::counts().waits - before;
  };
  waits(20, {});
  // At the end of an epoch one looks at the steps, the loss and the accuracy.
  CHECK(waits(20, {}) == 3);
  CHECK(waits(5, {}) == 3);
  CHECK(waits(5, {.epochs = 4}) == 12);
  CHECK(waits(5, {.class_weight = {{0, 2.0}}}) == 3);
  CHECK(waits(5, {.sample_weight = ones({80})}) == 3);
  // Both sets of labels are read for their classes, and the validation's numbers.
  CHECK(waits(10, {.validation_split = 0.5}) == 3 + 2 + 2);
  // Metrics of counts wait for nothing either.
  Sequential binary({Embedding(8, 4), Flatten(), Dense(1, {.activation = "sigmoid"})});
  binary.compile({.optimizer = "adam",
                  .loss = "binary_crossentropy",
                  .metrics = {AUC(), Precision({.top_k = 2}), Recall({.thresholds = {0.2, 0.4}})}});
  const Tensor labels = slice(y, {all, range(0, 1)}) > 1;
  binary.fit(ids, labels, {.batch_size = 8, .verbose = 0});
  const std::int64_t before = emulation::counts().waits;
  binary.fit(ids, labels, {.batch_size = 8, .verbose = 0});
  CHECK(emulation::counts().waits - before == 2 + 3);
  // Whoever reads the numbers of a batch waits for them.
  int seen = 0;
  LambdaCallback idle({.on_train_batch_end = [&](int, const Logs&) { ++seen; }});
  LambdaCallback reader({.on_train_batch_end = [&](int, const Logs& logs) { logs.at("loss"); }});
  CHECK(waits(5, {.callbacks = {idle}}) == 3);
  CHECK(seen == 16);
  CHECK(waits(5, {.callbacks = {reader}}) == 48);
}

TEST_CASE("an epoch of many steps does not wait for them" * on_processor()) {
  auto scope = device("cuda:0");
  const Tensor x = Random(2).normal({400, 3}), y = Random(3).normal({400, 1});
  Sequential model({Dense(1)});
  model.compile({.optimizer = "sgd", .loss = "mse"});
  std::int64_t before = 0, after = 0;
  LambdaCallback counting({.on_train_batch_end = [&](int batch, const Logs&) {
    (batch == 0 ? before : after) = emulation::counts().waits;
  }});
  emulation::eager = true;  // a device that is faster than the host
  model.fit(x, y, {.batch_size = 2, .verbose = 0, .callbacks = {counting}});
  emulation::eager = false;
  CHECK(after == before);
  model.fit(x, y, {.batch_size = 2, .verbose = 0, .callbacks = {counting}});
  CHECK(after - before == 5);  // one that does nothing before somebody waits: each 32 steps of 200
  CHECK(model.optimizer().iterations() == 400);
}

TEST_CASE("large arrays go to a device through buffers that are not filled too early" *
          on_processor()) {
  const Tensor x = Random(1).uniform({3'000'001}, 0, 1, float32, "cpu");
  const emulation::Counts before = emulation::counts();
  Tensor twice[2];
  for (Tensor& there : twice) {
    Tensor changing = x.copy();
    there = changing.to("cuda:0");
    changing.assign(0);
  }
  for (const Tensor& there : twice) CHECK(max(abs(there.to("cpu") - x)).item() == 0);
  const emulation::Counts after = emulation::counts();
  CHECK(after.copies - before.copies == 2 * 3 + 2);
  CHECK(after.waits - before.waits == 2 * 3 - 2 + 2);
}

TEST_CASE("threads that copy to a device at the same time do not fill each other's buffers" *
          on_processor()) {
  std::array<double, 3> differences;
  differences.fill(1);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < differences.size(); ++i)
    threads.emplace_back([&differences, i] {
      const Tensor x = full({3'000'001}, static_cast<double>(i), float32, "cpu");
      double largest = 0;
      for (int turn = 0; turn < 4; ++turn)
        largest = std::max(largest, max(abs(x.to("cuda:0").to("cpu") - x)).item());
      differences[i] = largest;
    });
  for (std::thread& thread : threads) thread.join();
  for (double difference : differences) CHECK(difference == 0);
}

TEST_CASE("many rows of many units of an LSTM are multiplied by cuBLAS" * on_processor()) {
  auto scope = device("cuda:0");
  auto products = [](std::int64_t rows) {
    LSTM lstm(128);
    const Tensor x = ones({rows, 3, 1});
    lstm(x);
    const std::int64_t before = emulation::counts().products;
    lstm(x);
    return emulation::counts().products - before;
  };
  const std::int64_t few = products(1024);  // 1024 * 128 * 512 = 2^26
  CHECK(products(1025) == few + 2);         // of the second and third step
}

TEST_CASE("a repeated step is one graph, its batch, and the optimizer" * on_processor()) {
  auto scope = device("cuda:0");
  const Tensor ids = Random(2).integers({84, 6}, 0, 8), y = Random(3).integers({84, 6}, 0, 3);
  auto counts_of = [&](const std::vector<AnyLayer>& layers, std::optional<bool> eagerly,
                       const AnyMetric& metric) {
    Sequential model;
    for (const AnyLayer& layer : layers) model.add(layer);
    model.compile({.optimizer = "adam",
                   .loss = "sparse_categorical_crossentropy",
                   .metrics = {metric},
                   .run_eagerly = eagerly});
    emulation::Counts before, after;
    // Batches of 10, the last of 4; the last epoch repeats all.
    LambdaCallback counting({.on_epoch_begin =
                                 [&](int epoch) {
                                   if (epoch == 3) before = emulation::counts();
                                 },
                             .on_train_batch_end =
                                 [&](int batch, const Logs&) {
                                   if (batch == 8) after = emulation::counts();
                                 }});
    model.fit(
        ids, y,
        {.batch_size = 10, .epochs = 4, .verbose = 0, .shuffle = false, .callbacks = {counting}});
    return emulation::Counts{after.kernels - before.kernels, after.products - before.products,
                             after.copies - before.copies, after.graphs - before.graphs,
                             after.waits - before.waits};
  };
  auto layers = [](AnyLayer last) {
    return std::vector<AnyLayer>{Embedding(8, 4, {.mask_zero = true}),
                                 LSTM(5, {.return_sequences = true}), BatchNormalization(), last};
  };
  auto dense = [](const auto& activation) { return Dense(3, {.activation = activation}); };
  const emulation::Counts graphs = counts_of(layers(dense("softmax")), {}, "accuracy");
  CHECK(graphs.graphs == 9);
  CHECK(graphs.kernels == 9 * 3);  // two parts of the batch, and Adam
  CHECK(graphs.products == 0);
  CHECK(graphs.copies == 0);
  CHECK(graphs.waits == 0);
  const emulation::Counts eager = counts_of(layers(dense("softmax")), true, "accuracy");
  CHECK(eager.graphs == 0);
  CHECK(eager.kernels > 9 * 100);
  // Dropout tells where its generator is; a metric of one's own follows the graph.
  CHECK(counts_of({Embedding(8, 4), Dropout(0.5), dense("softmax")}, {}, "accuracy").copies == 9);
  const AnyMetric own("own", [](const Tensor& y, const Tensor&) { return y; });
  const emulation::Counts followed = counts_of(layers(dense("softmax")), {}, own);
  CHECK(followed.graphs == 9);
  CHECK(followed.kernels > graphs.kernels + 9 * 3);
  CHECK(
      counts_of({Embedding(8, 4), Reshape({6, 4, 1}), ConvLSTM1D(3, 3, {.return_sequences = true}),
                 TimeDistributed(Flatten()), dense("softmax")},
                {}, "accuracy")
          .graphs == 9);
  // A function of one's own has to be promised.
  const Activation own_softmax([](const Tensor& x) { return softmax(x); });
  CHECK(counts_of(layers(dense(own_softmax)), {}, "accuracy").graphs == 0);
  CHECK(counts_of(layers(dense(own_softmax)), false, "accuracy").graphs == 9);
}

namespace {

/// A layer of the golden cases, with dropout where it can have that.
AnyLayer golden_layer(GoldenConfig object) {
  for (auto& [option, value] : object.config)
    if (option == "dropout" || option == "recurrent_dropout") value = 0.2;
  AnyLayer layer = layer_from_config(object.class_name, object.config);
  layer->set_trainable(true);
  return layer;
}

/// How many of 5 steps were graphs. The first is worked on op by op.
std::int64_t graphs_in_five_steps(Model& model, const Tensors& x, const Tensors& y,
                                  CompileOptions options) {
  auto five_times = [](const Tensors& tensors) {
    Tensors all;
    for (const Tensor& t : tensors) all.push_back(concatenate(Tensors(5, t), 0));
    return all;
  };
  options.optimizer = "sgd";
  options.run_eagerly = false;
  model.compile(options);
  const std::int64_t before = emulation::counts().graphs;
  model.fit(five_times(x), five_times(y),
            {.batch_size = static_cast<int>(x[0].size(0)), .verbose = 0});
  return emulation::counts().graphs - before;
}
std::int64_t graphs_in_five_steps(Model& model, const Tensors& x) {
  Tensors y;
  for (const Tensor& output : Tensors(model(x))) y.push_back(zeros_like(output));
  return graphs_in_five_steps(model, x, y, {.loss = "mse"});
}

}  // namespace

TEST_CASE("a step of every layer of the library is repeated as a graph" * on_processor()) {
  auto scope = device("cuda:0");
  const std::map<std::string, GoldenConfig> objects = golden_cases("layer");
  int layers = 0;
  for (const Golden* file : {&golden("layers"), &golden("conv_lstm")})
    for (const std::string& name : file->cases()) {
      if (name.starts_with("activation")) continue;  // a function
      const Option* stateful = find_option(objects.at(name).config, "stateful");
      const bool no_graph = stateful != nullptr && *stateful == Option(true);
      if (no_graph || file->has(name + "/i0")) continue;  // or initial states
      CAPTURE(name);
      Sequential model({golden_layer(objects.at(name))});
      CHECK(graphs_in_five_steps(model, {(*file)[name + "/x"]}) == 4);
      ++layers;
    }
  const Golden& several = golden("several_inputs");
  for (const std::string& name : several.cases()) {
    if (name.ends_with("mask_for_all")) continue;  // which is no batch
    CAPTURE(name);
    Tensors x;
    std::vector<SymbolicTensor> inputs;
    for (int i = 0; several.has(name + "/x" + std::to_string(i)); ++i) {
      x.push_back(several[name + "/x" + std::to_string(i)]);
      inputs.push_back(Input(x.back().shape().without(0), {.dtype = x.back().dtype()}));
    }
    Model model(inputs, {golden_layer(objects.at(name))(inputs)});
    CHECK(graphs_in_five_steps(model, x) == 4);
    ++layers;
  }
  CHECK(layers >= 558);
  // Cells within layers, and a cell by itself.
  const Tensor x = Random(1).normal({4, 3, 5});
  const AnyLayer within[] = {
      Bidirectional(GRU(4, {.dropout = 0.2})), TimeDistributed(LSTMCell(4, {.dropout = 0.2})),
      RNN(StackedRNNCells(LSTMCell(4, {.dropout = 0.2}), GRUCell(3, {.recurrent_dropout = 0.3})))};
  for (const AnyLayer& layer : within) {
    CAPTURE(layer->class_name());
    Sequential model({layer});
    CHECK(graphs_in_five_steps(model, {x}) == 4);
  }
}

TEST_CASE("a step with every loss and metric of the library is repeated as a graph" *
          on_processor()) {
  auto scope = device("cuda:0");
  auto graphs = [](const Tensor& x, const Tensor& y, const CompileOptions& options) {
    Sequential model({Activation("linear")});
    return graphs_in_five_steps(model, {x}, {y}, options);
  };
  const Golden &losses = golden("losses"), &metrics = golden("metrics");
  for (const auto& golden_case : golden_cases("loss")) {
    const auto& [name, object] = golden_case;
    CAPTURE(golden_case.first);
    const Option* reduction = find_option(object.config, "reduction");
    if (reduction != nullptr && *reduction == Option("none")) continue;
    CHECK(graphs(losses[name + "/y_pred"], losses[name + "/y_true"],
                 {.loss = Loss::from_config(object.class_name, object.config)}) == 4);
  }
  const Loss any([](const Tensor&, const Tensor& y_pred) { return y_pred * 0.0; });
  for (const auto& golden_case : golden_cases("metric")) {
    const auto& [name, object] = golden_case;
    CAPTURE(golden_case.first);
    const AnyMetric metric = AnyMetric::from_config(object.class_name, object.config);
    CHECK(graphs(metrics[name + "/y_pred0"], metrics[name + "/y_true0"],
                 {.loss = any, .metrics = {metric}}) == 4);
  }
}

// Under sanitizers blocks of two sizes are never one.
TEST_CASE("graphs share their memory" * on_processor() * doctest::skip(sanitized)) {
  auto scope = device("cuda:0");
  auto reserved = [](int kinds) {
    release_cached_memory();
    const std::int64_t before = memory_stats("cuda:0").bytes_reserved;
    Sequential model({Dense(32), Dense(32), Dense(32), Dense(2)});
    model.compile({.optimizer = "sgd", .loss = "mse"});
    auto begin = [kinds] {
      return [kinds, i = 0]() mutable -> std::optional<Batch> {
        if (i == 4 * kinds) return {};
        const std::int64_t rows = 512 - i++ % kinds;
        return Batch{{ones({rows, 4})}, {ones({rows, 2})}};
      };
    };
    const std::int64_t graphs = emulation::counts().graphs;
    model.fit(Dataset(begin), {.verbose = 0});
    CHECK(emulation::counts().graphs == graphs + 3 * kinds);
    return memory_stats("cuda:0").bytes_reserved - before;
  };
  const std::int64_t one = reserved(1);
  CHECK(one > 4 * 512 * 32 * 4);
  CHECK(reserved(8) < 3 * one);  // but for the batches, and what a step hands out: gradients
}

TEST_CASE("graphs give their memory back, and a run asks for none" * on_processor()) {
  auto scope = device("cuda:0");
  const Tensor x = Random(2).normal({90, 5}), y = Random(3).normal({90, 2});
  Sequential model({Dense(6, {.activation = "tanh"}), Dropout(0.2), Dense(2)});
  model.compile({.optimizer = "adam", .loss = "mse"});
  std::vector<std::int64_t> asked;
  LambdaCallback counting({.on_epoch_end = [&](int, Logs&) {
    asked.push_back(memory_stats("cuda:0").system_allocations);
  }});
  auto fit = [&] {
    model.fit(x, y, {.batch_size = 20, .epochs = 5, .verbose = 0, .callbacks = {counting}});
  };
  fit();
  CHECK(asked[4] == asked[2]);
  fit();
  fit();
  CHECK(asked[14] == asked[5]);
  const std::int64_t all = memory_stats("cuda:0").bytes_reserved;
  release_cached_memory();
  CHECK(memory_stats("cuda:0").bytes_reserved < all);
  const std::size_t used = emulation::memory_in_use(0);
  fit();
  CHECK(emulation::memory_in_use(0) > used);
  release_cached_memory();
  CHECK(emulation::memory_in_use(0) == used);
}

TEST_CASE("where there is no memory for a graph, the steps go on op by op" * on_processor()) {
  // Its second call, which is noted, finds no memory.
  class Hungry : public Layer {
   public:
    bool supports_graph() const override { return true; }
    Tensor call(const Tensor& x) override {
      const std::size_t limit = emulation::memory_limit;
      if (training() && ++*calls_ == 2) emulation::memory_limit = emulation::memory_in_use(0);
      try {
        Tensor y = x + sum(zeros({100'000 * (*calls_ + 1)}));
        emulation::memory_limit = limit;
        return y;
      } catch (const OutOfMemory&) {
        emulation::memory_limit = limit;
        ++*refused_;
        throw;
      }
    }
    int refused() const { return *refused_; }

   private:
    std::shared_ptr<int> calls_ = std::make_shared<int>(0), refused_ = std::make_shared<int>(0);
  };
  auto scope = device("cuda:0");
  Hungry hungry;
  Sequential model({hungry, Dense(2)});
  model.compile({.optimizer = "sgd", .loss = "mse"});
  const std::int64_t before = emulation::counts().graphs;
  const auto history = model.fit(ones({40, 3}), ones({40, 2}), {.batch_size = 10, .verbose = 0});
  CHECK(hungry.refused() == 1);
  CHECK(emulation::counts().graphs == before);
  CHECK(std::isfinite(history["loss"].back()));
}

TEST_CASE("threads that note a step at the same time wait for each other" * on_processor()) {
  constexpr int count = 3;
  std::atomic<int> ready = 0;  // threads whose next step is noted
  // Does not go on with its second step before all are there.
  class Meeting : public Layer {
   public:
    explicit Meeting(const std::atomic<int>& ready) : ready_(&ready) {}
    bool supports_graph() const override { return true; }
    Tensor call(const Tensor& x) override {
      if (training() && ++*calls_ == 2)
        for (int turn = 0; turn < 1000 || *ready_ < count; ++turn) std::this_thread::yield();
      return x * 2.0;
    }

   private:
    const std::atomic<int>* ready_;
    std::shared_ptr<int> calls_ = std::make_shared<int>(0);
  };
  const std::int64_t before = emulation::counts().graphs;
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i)
    threads.emplace_back([&] {
      auto scope = device("cuda:0");
      Sequential model({Meeting(ready), Dense(2)});
      model.compile({.optimizer = "sgd", .loss = "mse"});
      LambdaCallback arriving({.on_train_batch_end = [&](int batch, const Logs&) {
        if (batch == 0) ++ready;
      }});
      model.fit(ones({40, 3}), ones({40, 2}),
                {.batch_size = 10, .verbose = 0, .callbacks = {arriving}});
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(emulation::counts().graphs - before == 3 * count);
}

TEST_CASE("elements of a view that overlap are added by one launch after the other" *
          on_processor()) {
  const Tensor y = zeros({11}, float32, "cuda:0"), x = ones({3, 5}, float32, "cuda:0");
  auto launches = [&](const Strides& strides) {
    const std::int64_t before = emulation::counts().kernels;
    kernels_of(y).accumulate(make_view(y, {3, 5}, strides, 0), x);
    return emulation::counts().kernels - before;
  };
  CHECK(launches({3, 1}) == 3);
  CHECK(y.to_vector<float>() == std::vector<float>{1, 1, 1, 2, 2, 1, 2, 2, 1, 1, 1});
  CHECK(launches({1, 2}) == 5);
  CHECK(launches({0, 1}) == 3);
  const Tensor z = zeros({11}, float32, "cuda:0");
  kernels_of(z).accumulate(make_view(z, {3, 5}, {3, 1}, 0), arange(5, float32, "cuda:0"));
  CHECK(z.to_vector<float>() == std::vector<float>{0, 1, 2, 3, 5, 2, 3, 5, 2, 3, 4});
  const Tensor apart = zeros({3, 5}, float32, "cuda:0");
  const std::int64_t before = emulation::counts().kernels;
  kernels_of(apart).accumulate(apart, x);
  CHECK(emulation::counts().kernels - before == 1);
}

TEST_CASE("a step of the optimizer is one launch for all weights" * on_processor()) {
  auto scope = device("cuda:0");
  std::vector<Weight> weights;
  std::vector<Tensor> gradients;
  for (int i = 0; i < 100; ++i) {
    weights.emplace_back("w" + std::to_string(i), ones({1 + i, 3}));
    gradients.push_back(full({1 + i, 3}, i));
  }
  Adam adam(0.1);
  adam.apply(gradients, weights);
  const emulation::Counts before = emulation::counts();
  adam.apply(gradients, weights);
  const emulation::Counts after = emulation::counts();
  CHECK(after.kernels - before.kernels == 2);  // of up to 64 weights each
  CHECK(after.copies == before.copies);
  CHECK(after.waits == before.waits);
  CHECK(weights[0].value().item(0, 0) == 1);
  CHECK(weights[99].value().item(99, 2) == doctest::Approx(0.8));
}

TEST_CASE("data that would fill a device goes there batch by batch" * on_processor()) {
  release_cached_memory();
  auto scope = device("cuda:0");
  const Tensor x = Random(1).normal({4096, 16}, 0, 1, float32, "cpu");
  const Tensor y = zeros({4096, 1}, float32, "cpu");
  const std::size_t limit = emulation::memory_limit;
  auto trained = [&](std::size_t most) {
    emulation::memory_limit = most;
    set_random_seed(1);
    Sequential model({Dense(1)});
    model.compile({.optimizer = "sgd", .loss = "mse"});
    model.fit(x, y, {.batch_size = 64, .verbose = 0});
    emulation::memory_limit = limit;
    return model.get_weights()[0].to("cpu");
  };
  const std::size_t used = emulation::memory_in_use(0);
  const Tensor with_room = trained(limit);
  release_cached_memory();
  const Tensor without = trained(used + (1 << 20));  // four times the data is more
  CHECK(max(abs(with_room - without)).item() == 0);
}

TEST_CASE("running out of a device's memory names the bytes, and the program goes on" *
          on_processor()) {
  release_cached_memory();
  const std::size_t limit = emulation::memory_limit;
  emulation::memory_limit = emulation::memory_in_use(0) + (1 << 20);
  CHECK(error_of([] { zeros({1'000'001}, float32, "cuda:0"); }) ==
        "out of memory: 4000004 bytes were asked for on cuda:0");
  { Tensor half = zeros({1 << 17}, float32, "cuda:0"); }
  // What was freed is given back before memory runs out.
  CHECK(sum(ones({200'000}, float32, "cuda:0")).item() == 200'000);
  emulation::memory_limit = limit;
}

namespace {

/// Its second call, which is noted, asks for what no graph can have, after it has replaced a
/// tensor.
class Asking : public Layer {
 public:
  bool supports_graph() const override { return true; }
  Tensor call(const Tensor& x) override {
    if (!training()) return x;
    Shared& s = *shared_;
    if (!s.count.defined()) s.count = zeros({}, int32, x.device());
    if (s.reading == nullptr) s.reading = backend_of(x.device()).make_reading(x.device().index);
    if (++s.calls == 2) {
      s.count = s.count + 1;
      s.reading->begin(s.count);
    }
    return x * 2.0;
  }

 private:
  struct Shared {
    Tensor count = {};
    std::unique_ptr<DeviceReading> reading = {};
    int calls = 0;
  };
  std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
};

}  // namespace

TEST_CASE("a capture that the runtime has ended tells the first error" * on_processor()) {
  auto scope = device("cuda:0");
  Sequential model({Asking(), Dense(2)}, "model");
  model.compile({.optimizer = "sgd", .loss = "mse"});
  CHECK(error_of([&] {
          model.fit(ones({40, 3}), ones({40, 2}), {.batch_size = 10, .verbose = 0});
        }) ==
        "model (Sequential): fit: a step cannot become a CUDA graph, though its layers support "
        "graphs: emulated CUDA: an event is recorded while the stream is captured; compile it with "
        "run_eagerly = true");
}

TEST_CASE("a fault in a kernel is an error at the next wait, in debug mode with the op's name" *
          on_processor()) {
  Tensor x = ones({3}, float32, "cuda:0");
  CHECK(sum(x).item() == 3);
  emulation::next_kernel_fails = true;
  const bool debug = std::getenv("KERATIN_CUDA_DEBUG") != nullptr;
  const std::string op = debug ? "tanh" : "an op before (KERATIN_CUDA_DEBUG=1 names it)";
  CHECK(error_of([&] {
          Tensor y = tanh(x);
          sum(exp(y)).item();
        }) == "cuda:0: " + op + ": an emulated fault");
  CHECK(sum(x).item() == 3);  // a real device would have to be set up anew
}

TEST_CASE("there are two devices, and they do not mix" * on_processor()) {
  CHECK(cuda_device_count() == 2);
  Tensor x = ones({3}, float32, "cuda:0"), y = full({3}, 2, float32, "cuda:1");
  CHECK(error_of([&] {
          x* y;
        }).ends_with("operands are on cuda:0 and on cuda:1; move one of them with .to(...)"));
  CHECK(sum(x.to("cuda:1") * y).item() == 6);
  CHECK(error_of([] { zeros({1}, float32, "cuda:2"); }) ==
        "device: cuda:2: there are 2 CUDA devices");
}

TEST_CASE("what is told of the second device is its own" * on_processor()) {
  release_cached_memory();
  const std::size_t used = emulation::memory_in_use(1);
  {
    const Tensor x = ones({3}, float32, "cuda:1");
    CHECK(sum(x).item() == 3);
    emulation::next_kernel_fails = true;
    CHECK(error_of([&] { sum(tanh(x)).item(); }).starts_with("cuda:1: "));
    const std::int64_t first = memory_stats("cuda:0").bytes_reserved,
                       second = memory_stats("cuda:1").bytes_reserved;
    const Tensor large = zeros({1 << 20}, float32, "cuda:1");
    CHECK(memory_stats("cuda:0").bytes_reserved == first);
    CHECK(memory_stats("cuda:1").bytes_reserved == second + (4 << 20));
    const std::size_t limit = std::exchange(emulation::memory_limit, emulation::memory_in_use(1));
    CHECK(error_of([] { zeros({1'000'001}, float32, "cuda:1"); }) ==
          "out of memory: 4000004 bytes were asked for on cuda:1");
    emulation::memory_limit = limit;
  }
  {
    auto scope = device("cuda:1");
    Sequential model({Dense(2)});
    model.compile({.optimizer = "sgd", .loss = "mse", .run_eagerly = false});
    const std::int64_t before = emulation::counts().graphs;
    model.fit(ones({40, 3}), ones({40, 2}), {.batch_size = 10, .verbose = 0});
    CHECK(emulation::counts().graphs == before + 3);
  }
  release_cached_memory();
  CHECK(emulation::memory_in_use(1) == used);
}

TEST_SUITE_END();
