// Tensors, ops and models on a CUDA device: one with a GPU, or the emulated one.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/backend.h>
#include <keratin/core/memory.h>
#include <keratin/core/random.h>
#include <keratin/layers/attention.h>
#include <keratin/layers/core_layers.h>
#include <keratin/layers/dense.h>
#include <keratin/layers/embedding.h>
#include <keratin/layers/normalization.h>
#include <keratin/layers/rnn.h>
#include <keratin/optim/metrics.h>
#include <keratin/optim/optimizers.h>
#include <keratin/training/callbacks.h>
#include <keratin/training/sequential.h>

#include "../error_of.h"
#include "../temporary_directory.h"
#include "cuda_test_case.h"

TEST_SUITE_BEGIN("cuda");

using namespace keratin;

namespace {

double distance(const Tensor& a, const Tensor& b) {
  return max(abs(a.to("cpu") - b.to("cpu"))).item();
}

}  // namespace

TEST_CASE("devices have names") {
  CHECK(Device("cpu") == Device());
  CHECK(Device("cuda") == Device("cuda:0"));
  CHECK(Device("cuda:12").str() == "cuda:12");
  for (const char* name : {"gpu", "cuda:", "cuda:-1", "cuda:1x", "cuda:256", "CPU", ""})
    CHECK(error_of([&] { Device device(name); }) ==
          "device: expected \"cpu\", \"cuda\", \"cuda:N\" or \"meta\", got \"" + std::string(name) +
              "\"");
}

CUDA_TEST_CASE("tensors are made where a scope, the program or the caller says") {
  const Device before = default_device();
  CHECK(zeros({2}).device() == before);
  {
    auto scope = device("cuda:0");
    CHECK(tensor({1, 2}).device() == Device("cuda:0"));
    CHECK(Random(1).normal({3}).device() == Device("cuda:0"));
    {
      auto inner = device("cpu");
      CHECK(arange(3).device() == Device());
    }
    CHECK(ones({2}).device() == Device("cuda:0"));
    CHECK(ones({2}, float32, "cpu").device() == Device());
  }
  CHECK(zeros({2}).device() == before);
  set_default_device("cuda:0");
  CHECK(eye(2).device() == Device("cuda:0"));
  set_default_device(before);
  CHECK(error_of([] { set_default_device("cuda:200"); }).find("device: cuda:200: there ") == 0);
}

CUDA_TEST_CASE("a tensor goes to a device and back, and its gradient the other way") {
  Tensor x = Random(1).normal({3, 4}).transpose();
  Tensor there = x.to("cuda:0");
  CHECK(there.device() == Device("cuda:0"));
  CHECK(distance(x, there) == 0);
  CHECK(x.to("cpu").data<float>() == x.data<float>());  // itself
  CHECK(error_of([&] { there.data<float>(); }) ==
        "data: the tensor is on cuda:0; take it to the processor with .to(\"cpu\")");
  CHECK(there.str() == x.str());
  CHECK(there.item(1, 2) == x.item(1, 2));
  there[1].assign(x[0]);  // copies between devices
  CHECK(distance(there[1], x[0]) == 0);

  GradientTape tape;
  tape.watch(x);
  Tensor y = sum(square(x.to("cuda:0")));
  Tensor g = tape.gradient(y, x);
  CHECK(g.device() == Device());
  CHECK(distance(g, 2 * x) == 0);
}

CUDA_TEST_CASE("tensors of different devices do not meet, but plain numbers go anywhere") {
  Tensor x = ones({2, 3}, float32, "cuda:0"), y = ones({2, 3}, float32, "cpu");
  const std::string both = "operands are on cuda:0 and on cpu; move one of them with .to(...)";
  for (const auto& mixed : std::vector<std::function<void()>>{
           [&] { x + y; }, [&] { y + x; }, [&] { matmul(x, y.transpose()); },
           [&] { matmul(y, x.transpose()); }, [&] { where(y > 0, x, x); },
           [&] {
             concatenate({y, x}, 0);
           },
           [&] {
             stack({x, y});
           },
           [&] { greater(y, x); }})
    CHECK(error_of(mixed).ends_with(both));
  CHECK(error_of([&] { x* y; }) == "multiply: " + both);
  CHECK(error_of([&] { matmul(x, y.transpose()); }) == "matmul: " + both);
  CHECK(sum(2.0 * x + 1).item() == 18);
  CHECK(sum(where(x > 0, 3.0, x)).item() == 18);
  CHECK(sum(maximum(0.5, x)).item() == 6);
  // A number on the processor that somebody watches has its gradient there.
  Tensor scale = full({}, 2, float32, "cpu");
  GradientTape tape;
  tape.watch(scale);
  Tensor g = tape.gradient(sum(scale * x), scale);
  CHECK(g.device() == Device());
  CHECK(g.item() == 6);
}

CUDA_TEST_CASE("a recurrent layer or a convolution on two devices names both") {
  const Tensor x = full({2, 5, 3}, 1, float32, "cpu"), kernel = full({2, 3, 4}, 1, float32, "cpu");
  const std::string both = "operands are on cuda:0 and on cpu; move one of them with .to(...)";
  CHECK(error_of([&] { conv(x, kernel.to("cuda:0")); }).ends_with(both));
  CHECK(error_of([&] { conv(x.to("cuda:0"), kernel); }).ends_with(both));
  LSTM lstm(4);
  lstm.ensure_built({None, None, 3});
  lstm.to("cuda:0");
  CHECK(error_of([&] { lstm(x); }).ends_with(both));
  lstm.to("cpu");
  CHECK(error_of([&] { lstm(x.to("cuda:0")); }).ends_with(both));
}

CUDA_TEST_CASE("a forked process cannot use the device, and is told so") {
  Tensor x = ones({3}, float32, "cuda:0");
  CHECK(sum(x).item() == 3);
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string error = error_of([&] { x + x; });
    x = Tensor();  // as its other tensors are, at its end
    ::_exit(error == "device: cuda:0: a forked process cannot use its parent's devices" &&
                    sum(ones({3}, float32, "cpu")).item() == 3
                ? 0
                : 1);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(sum(x + x).item() == 6);
}

CUDA_TEST_CASE("threads that take and free memory at the same time have blocks of their own") {
  constexpr std::size_t count = 4, held = 50;
  Backend& backend = backend_of("cuda:0");
  std::array<std::vector<void*>, count> blocks;
  const std::int64_t before = memory_stats("cuda:0").system_allocations;
  std::vector<std::thread> threads;
  for (std::vector<void*>& own : blocks)
    threads.emplace_back([&] {
      for (std::size_t i = 0; i < 100'000; ++i) {
        if (i >= held) backend.free(own[i % held], 3000, 0);
        void* block = backend.allocate(3000, 0);
        if (i < held)
          own.push_back(block);
        else
          own[i % held] = block;
      }
    });
  for (std::thread& thread : threads) thread.join();
  std::set<void*> all;
  for (const std::vector<void*>& own : blocks) all.insert(own.begin(), own.end());
  CHECK(all.size() == count * held);
  for (void* block : all) backend.free(block, 3000, 0);
  CHECK(memory_stats("cuda:0").system_allocations <= before + std::int64_t{count * held});
}

namespace {

Sequential model_for(std::uint64_t seed) {
  set_random_seed(seed);
  Sequential model({LSTM(8, {.return_sequences = true, .dropout = 0.2}), AttentionLayer(6),
                    Dropout(0.1), Dense(3, {.activation = "softmax"})});
  model.compile({.optimizer = Adam(0.01),
                 .loss = "sparse_categorical_crossentropy",
                 .metrics = {"accuracy"}});
  return model;
}

/// Far too large for what is not zero.
class Overflow : public Layer {
 public:
  Tensor call(const Tensor& x) override { return exp(x * 100.0); }
};

struct Task {
  Tensor x = Random(4).normal({40, 7, 5}), y = Random(5).integers({40}, 0, 3);
};

}  // namespace

CUDA_TEST_CASE("a model learns on a device as it does on the processor") {
  const Task task;
  auto trained = [&](const char* where) {
    auto scope = device(where);
    Sequential model = model_for(1);
    History history = model.fit(task.x, task.y, {.batch_size = 16, .epochs = 3, .verbose = 0});
    CHECK(model.device() == Device(where));
    return std::pair(history, model.predict(task.x));
  };
  auto [here, predicted] = trained("cpu");
  auto [there, predicted_there] = trained("cuda:0");
  for (const char* log : {"loss", "accuracy"})
    for (std::size_t epoch = 0; epoch < 3; ++epoch)
      CHECK(there[log][epoch] == doctest::Approx(here[log][epoch]).epsilon(1e-4));
  CHECK(distance(predicted, predicted_there) < 1e-4);
}

CUDA_TEST_CASE("a model moves between devices with its weights, files and optimizer") {
  TemporaryDirectory directory;
  const Task task;
  Sequential model = model_for(2);
  model.fit(task.x, task.y, {.batch_size = 20, .verbose = 0});
  const Tensor before = model.predict(task.x);
  model.save_weights(directory / "model.npz");
  CHECK(model.summary_text().find("Device") == std::string::npos);
  model.to("cuda:0");
  CHECK(model.device() == Device("cuda:0"));
  CHECK(model.summary_text().ends_with(" Device: cuda:0\n"));
  CHECK(distance(model.predict(task.x), before) < 1e-5);
  CHECK(Tensor(model.predict(task.x)).device() == Device());  // where x is
  CHECK(Tensor(model.predict(task.x.to("cuda:0"))).device() == Device("cuda:0"));
  model.fit(task.x, task.y, {.batch_size = 20, .verbose = 0});
  CHECK(distance(model.predict(task.x), before) > 1e-4);
  model.load_weights(directory / "model.npz");
  CHECK(distance(model.predict(task.x), before) < 1e-5);
  CHECK(model.device() == Device("cuda:0"));
  model.to("cpu");
  CHECK(distance(model.predict(task.x), before) == 0);
}

CUDA_TEST_CASE("a training loop asks the device for no memory after its first steps") {
  auto scope = device("cuda:0");
  const Task task;
  Sequential model = model_for(3);
  for (int i = 0; i < 3; ++i) model.train_on_batch(task.x, task.y);
  const std::int64_t before = memory_stats("cuda:0").system_allocations;
  for (int i = 0; i < 5; ++i) model.train_on_batch(task.x, task.y);
  CHECK(memory_stats("cuda:0").system_allocations == before);
  CHECK(memory_stats("cuda:0").bytes_reserved > 0);
}

CUDA_TEST_CASE("a step that is not finite leaves a model on a device as it was") {
  const Task task;
  Sequential model = model_for(4);
  model.to("cuda:0");
  model.predict(task.x);
  Tensor bad = task.x.copy();
  bad[3].assign(std::numeric_limits<double>::quiet_NaN());
  const std::vector<Tensor> before = model.get_weights();
  CHECK(error_of([&] { model.train_on_batch(bad, task.y); }).find("not finite") !=
        std::string::npos);
  const std::vector<Tensor> after = model.get_weights();
  for (std::size_t i = 0; i < before.size(); ++i) CHECK(distance(before[i], after[i]) == 0);
}

CUDA_TEST_CASE("every optimizer does on a device what it does on the processor") {
  const Task task;
  std::vector<std::pair<std::string, std::function<AnyOptimizer()>>> all;
  for (const char* name : {"sgd", "adam", "adamw", "rmsprop", "adagrad", "adadelta", "adamax",
                           "nadam", "ftrl", "lion", "lamb"})
    all.emplace_back(name, [name] { return AnyOptimizer(name); });
  all.emplace_back("nesterov", [] { return SGD({.momentum = 0.9, .nesterov = true}); });
  all.emplace_back("amsgrad", [] { return Adam({.amsgrad = true}); });
  all.emplace_back("centered", [] { return RMSprop({.momentum = 0.9, .centered = true}); });
  all.emplace_back("clipnorm", [] { return Adam({.clipnorm = 0.01}); });
  all.emplace_back("clipvalue", [] { return SGD({.clipvalue = 0.01}); });
  all.emplace_back("global_clipnorm", [] { return SGD({.global_clipnorm = 0.01}); });
  all.emplace_back("ema", [] { return SGD({.use_ema = true, .ema_overwrite_frequency = 2}); });
  all.emplace_back("accumulation", [] { return SGD({.gradient_accumulation_steps = 2}); });
  all.emplace_back("decay", [] { return Adam({.weight_decay = 0.1}); });
  for (const auto& optimizer : all) {
    const auto& make = optimizer.second;
    CAPTURE(optimizer.first);
    auto trained = [&](const char* where) {
      auto scope = device(where);
      set_random_seed(3);
      Sequential model({Dense(6, {.activation = "tanh", .kernel_constraint = "max_norm"}),
                        BatchNormalization(), Dense(3)});
      model.compile({.optimizer = make(), .loss = "mse"});
      model.fit(reshape(task.x, {40, 35}), one_hot(task.y, 3),
                {.batch_size = 10, .epochs = 2, .verbose = 0, .shuffle = false});
      return model.get_weights();
    };
    const std::vector<Tensor> here = trained("cpu"), there = trained("cuda:0");
    for (std::size_t i = 0; i < here.size(); ++i) CHECK(distance(here[i], there[i]) < 2e-5);
  }
}

CUDA_TEST_CASE("a step reaches weights whose elements are in another order in memory") {
  auto stepped = [](const char* where) {
    const Tensor value = Random(1).normal({3, 4}, 0, 1, float32, where),
                 gradient = Random(2).normal({4, 3}, 0, 1, float32, where);
    std::vector<Weight> weights{{"w", zeros({4, 3})}, {"v", zeros({3})}};
    weights[0].replace(value.transpose());
    weights[1].replace(value.copy().transpose()[1]);
    Adam adam(0.1);
    for (int i = 0; i < 3; ++i) adam.apply({gradient, gradient[1]}, weights);
    return concatenate({weights[0].value().reshape({12}), weights[1].value()}, 0);
  };
  CHECK(distance(stepped("cpu"), stepped("cuda:0")) < 1e-6);
  const Tensor before = Random(1).normal({3, 4}, 0, 1, float32, "cpu").transpose().reshape({12});
  CHECK(distance(slice(stepped("cuda:0"), {range(0, 12)}), before) > 0.1);
}

CUDA_TEST_CASE("a step of weights without elements does nothing to them") {
  auto scope = device("cuda:0");
  std::vector<Weight> weights{{"w", zeros({0, 3})}};
  Adam(0.1).apply({zeros({0, 3})}, weights);
  CHECK(weights[0].value().shape() == Shape{0, 3});
  weights.emplace_back("v", zeros({3}));
  Adam(0.1).apply({zeros({0, 3}), ones({3})}, weights);
  CHECK(max(weights[1].value()).item() < -0.09);
}

CUDA_TEST_CASE("a bad step within an epoch is found at its end, and nothing has changed since") {
  const Task task;
  Tensor x = reshape(task.x, {40, 35}).copy();
  x[25].assign(std::numeric_limits<double>::infinity());
  struct Case {
    std::string name;
    std::function<AnyOptimizer()> optimizer;
    Constraint constraint = {};
  };
  const Case cases[] = {
      {"fused", [] { return Adam(0.01); }},
      {"fused, constrained", [] { return Adam(0.01); }, "unit_norm"},
      {"of ops", [] { return Adagrad(0.01); }},
      {"with a number of its own", [] { return Nadam(0.01); }},
      {"averaged", [] { return SGD({.use_ema = true, .ema_overwrite_frequency = 1}); }},
      {"accumulated", [] { return SGD({.gradient_accumulation_steps = 3}); }},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    auto failed = [&](const char* where) {
      auto scope = device(where);
      set_random_seed(3);
      Sequential model(
          {Dense(6, {.activation = "tanh", .kernel_constraint = c.constraint, .name = "first"}),
           BatchNormalization(), Dropout(0.2, {.seed = 5}), Dense(3)},
          "model");
      model.compile({.optimizer = c.optimizer(), .loss = "mse"});
      std::string error = error_of([&] {
        model.fit(x, one_hot(task.y, 3), {.batch_size = 5, .verbose = 0, .shuffle = false});
      });
      std::vector<Tensor> state = model.get_weights();
      for (const auto& [name, tensor] : model.optimizer().variables()) state.push_back(tensor);
      return std::pair(error, state);
    };
    const auto [error, here] = failed("cpu");
    const auto [error_there, there] = failed("cuda:0");
    CHECK(error ==
          "model (Sequential): loss became NaN in epoch 1, batch 6: sample 25 of x is not "
          "finite. The model is that of the step before.");
    CHECK(error_there == error);
    REQUIRE(here.size() == there.size());
    for (std::size_t i = 0; i < here.size(); ++i) CHECK(distance(here[i], there[i]) < 1e-5);
  }
}

CUDA_TEST_CASE("the op that overflowed is found by a second run with the same random numbers") {
  for (const char* where : {"cpu", "cuda:0"})
    for (int seed = 0; seed < 8; ++seed) {
      CAPTURE(where);
      CAPTURE(seed);
      auto scope = device(where);
      set_random_seed(static_cast<std::uint64_t>(seed));
      // Only a number that dropout keeps is too large.
      Sequential model({Dense(1, {.kernel_initializer = "ones"}), Dropout(0.5, {.seed = seed}),
                        Dropout(0.5), layer<Overflow>()},
                       "model");
      model.compile({.optimizer = "sgd", .loss = "mse"});
      const std::string error = error_of([&] {
        model.fit(ones({32, 1}), zeros({32, 1}), {.batch_size = 1, .verbose = 0});
      });
      CAPTURE(error);
      CHECK(error.find("first in exp, forward, in overflow") != std::string::npos);
    }
}

CUDA_TEST_CASE("a model that steps twice with batches of its own finds the one that failed") {
  class Twice : public Sequential {
   public:
    using Sequential::Sequential;
    Logs train_step(const Batch& batch) override {
      Model::train_step(batch);
      Batch larger = batch;
      larger.x[0] = larger.x[0] * (++steps_ == 3 ? std::numeric_limits<double>::infinity() : 1.0);
      return Model::train_step(larger);
    }

   private:
    int steps_ = 0;
  };
  for (const char* where : {"cpu", "cuda:0"}) {
    CAPTURE(where);
    auto scope = device(where);
    Twice model({Dense(1)}, "twice");
    model.compile({.optimizer = "sgd", .loss = "mse"});
    CHECK(error_of([&] {
            model.fit(ones({20, 2}), zeros({20, 1}),
                      {.batch_size = 4, .verbose = 0, .shuffle = false});
          }).find("in epoch 1, batch 3: sample 8 of x is not finite") != std::string::npos);
    CHECK(model.optimizer().iterations() == 5);
  }
}

CUDA_TEST_CASE("a callback that throws leaves the optimizer with the steps that were taken") {
  const Task task;
  auto scope = device("cuda:0");
  Tensor x = reshape(task.x, {40, 35}).copy();
  x[12].assign(std::numeric_limits<double>::infinity());
  Sequential model({Dense(3)});
  model.compile({.optimizer = "adam", .loss = "mse"});
  LambdaCallback thrower({.on_train_batch_end = [](int batch, const Logs&) {
    if (batch == 6) throw std::runtime_error("enough");
  }});
  CHECK(error_of([&] {
          model.fit(x, one_hot(task.y, 3),
                    {.batch_size = 4, .verbose = 0, .shuffle = false, .callbacks = {thrower}});
        }) == "enough");
  CHECK(model.optimizer().iterations() == 3);
}

CUDA_TEST_CASE("a metric may see one device after another") {
  CategoricalAccuracy accuracy;
  for (const char* where : {"cpu", "cuda:0", "cpu"}) {
    const Tensor y = one_hot(tensor({0, 1}, int32, where), 2);
    accuracy.update_state(y, where == std::string("cpu") ? 1 - y : y);
  }
  CHECK(accuracy.result() == doctest::Approx(1.0 / 3));
}

CUDA_TEST_CASE("a label that is no class stops training before its step") {
  const Task task;
  for (double wrong : {3.0, -1.0, 1.5}) {
    CAPTURE(wrong);
    Tensor y = task.y.astype(float32).copy();
    y[30].assign(wrong);
    auto scope = device("cuda:0");
    Sequential model = model_for(5);
    CHECK(error_of([&] {
            model.fit(task.x, y, {.batch_size = 10, .verbose = 0, .shuffle = false});
          }) == (wrong == 3 ? "sparse_categorical_crossentropy: index 3 at position 0 is out of "
                              "range for an axis of 3"
                            : "sparse_categorical_crossentropy: index -1 at position 0 is out of "
                              "range for an axis of 3"));
    CHECK(model.optimizer().iterations() == 3);
    Sequential other = model_for(5);
    other.fit(slice(task.x, {range(0, 30)}), slice(task.y, {range(0, 30)}),
              {.batch_size = 10, .verbose = 0, .shuffle = false});
    const std::vector<Tensor> a = model.get_weights(), b = other.get_weights();
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(distance(a[i], b[i]) == 0);
    // The device goes on.
    model.fit(task.x, task.y, {.batch_size = 10, .verbose = 0});
    CHECK(model.optimizer().iterations() == 7);
  }
}

CUDA_TEST_CASE("weights of classes and samples, and masks, mean the same on a device") {
  const Task task;
  auto trained = [&](const char* where, bool by_class) {
    auto scope = device(where);
    set_random_seed(9);
    Sequential model({Embedding(8, 4, {.mask_zero = true}), GRU(5, {.return_sequences = true}),
                      Dense(3, {.activation = "softmax"})});
    model.compile({.optimizer = "adam",
                   .loss = "sparse_categorical_crossentropy",
                   .metrics = {"accuracy"},
                   .weighted_metrics = {SparseTopKCategoricalAccuracy({.k = 2})}});
    const Tensor ids = Random(2).integers({24, 6}, 0, 8), y = Random(3).integers({24, 6}, 0, 3);
    FitOptions options{.batch_size = 8, .epochs = 2, .verbose = 0};
    if (by_class)
      options.class_weight = {{0, 2.0}, {2, 0.5}};
    else
      options.sample_weight = Random(4).uniform({24});
    History history = model.fit(ids, y, options);
    std::vector<double> values;
    for (const auto& name : model.metrics_names())
      for (double value : history[name]) values.push_back(value);
    return values;
  };
  for (bool by_class : {false, true}) {
    const std::vector<double> here = trained("cpu", by_class), there = trained("cuda:0", by_class);
    for (std::size_t i = 0; i < here.size(); ++i)
      CHECK(there[i] == doctest::Approx(here[i]).epsilon(1e-5));
  }
}

TEST_SUITE_END();
