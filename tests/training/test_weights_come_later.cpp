// While a model is loaded, sizes that its file states take no memory: shapes are found and weights
// are made on meta, until the weights in the file are seen to fit.

#include <doctest/doctest.h>

#include <sys/resource.h>
#include <cstdlib>

#include <keratin/io/file.h>
#include <keratin/io/hdf5.h>
#include <keratin/io/zip.h>
#include <keratin/keratin.h>

#include "error_of.h"
#include "temporary_directory.h"

TEST_SUITE_BEGIN("training");

namespace keratin {
namespace {

/// This layer asks for the elements of its input and of its weight.
class Looks : public Layer {
 public:
  void build(const Shape& input_shape) override { s = add_weight("s", {input_shape[-1]}, "ones"); }
  Tensor call(const Tensor& x) override {
    const double least = min(s.value()).item();
    return any(x > 1e6).item() != 0 ? x : x * s + least;
  }

 private:
  Weight s;
};

/// This layer asks in build for the elements of its weight.
class LooksInBuild : public Layer {
 public:
  void build(const Shape& input_shape) override {
    s = add_weight("s", {input_shape[-1]}, "ones");
    first = s.value().item(0);
  }
  Tensor call(const Tensor& x) override { return x * s + first; }

 private:
  Weight s;
  double first = 0;
};

/// This layer derives a tensor from its weight in build, and keeps one that its first call makes.
class Keeps : public Layer {
 public:
  void build(const Shape& input_shape) override {
    s = add_weight("s", {input_shape[-1]}, "ones");
    row = reshape(s.value(), {1, -1});
  }
  Tensor call(const Tensor& x) override {
    if (!x.device().is_cpu()) throw std::runtime_error("this layer is for the processor");
    if (!two.defined()) two = full({x.size(-1)}, 2, x.dtype(), x.device());
    return x * row * two;
  }

 private:
  Weight s;
  Tensor row, two;
};

/// This layer has its weight as a tensor, which shares the weight's elements.
class Holds : public Layer {
 public:
  void build(const Shape& input_shape) override { s = add_weight("s", {input_shape[-1]}, "ones"); }
  Tensor call(const Tensor& x) override { return x * s; }

 private:
  Tensor s;
};

/// The most memory that the process has had so far, in KiB.
long peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

}  // namespace

TEST_CASE("a model for inputs of any size is built without memory for them") {
  const std::int64_t much = 1 << 20;  // 4 TiB for a sample of one channel
  Sequential model({InputLayer({much, much, 3}), BatchNormalization(), Activation("relu"),
                    LayerNormalization(), Dropout(0.1), Permute({2, 1, 3}),
                    GlobalAveragePooling2D(), Dense(2)});
  CHECK(model.compute_output_shape(Shape{None, much, much, 3}) == Shape{None, 2});
  const SymbolicTensor x = Input({much, much});
  const SymbolicTensor y = softmax(x * 2 + exp(x), -1);
  CHECK(y.shape() == Shape{None, much, much});
  CHECK(sum(y, {1}).shape() == Shape{None, much});
}

TEST_CASE("a wrapper finds its shape as the layer inside does") {
  const std::int64_t long_time = 1 << 30;
  TimeDistributed each(LSTM(2));
  CHECK(each.compute_output_shape({None, None, long_time, 4}) == Shape{None, None, 2});
  TimeDistributed spectral(SpectralNormalization(Dense(3)));
  CHECK(spectral.compute_output_shape({None, 5, long_time, 4}) == Shape{None, 5, long_time, 3});
  // What a stateful layer carries is that of calls, and of no trial.
  const SymbolicTensor x = Input({4, 5, 3}, {.batch_size = 2});
  Model stateful({x}, {TimeDistributed(LSTM(3, {.stateful = true}))(x)});
  CHECK(stateful.compute_output_shape(Shape{2, 4, 5, 3}) == Shape{2, 4, 3});
  CHECK(stateful.predict(ones({2, 4, 5, 3})).shape() == Shape{2, 4, 3});
}

TEST_CASE("a model on meta shows its shapes, and says why it does nothing else") {
  auto scope = device("meta");
  Sequential model({InputLayer({100, 30000}), LSTM(20000), Dense(100000)});
  CHECK(model.count_params() == 6000180000);
  CHECK(model.summary_text().find("Device: meta") != std::string::npos);
  model.compile({.loss = "mse"});
  const std::string why = ": the model is on meta, where its weights have no values";
  auto ends_so = [&](const std::string& error) { return error.ends_with(why); };
  const Tensor x = zeros({4, 100, 30000}), y = zeros({4, 100000});
  CHECK(ends_so(error_of([&] { model.fit(x, y, {.verbose = 0}); })));
  const std::string who = model.name() + " (Sequential): ";
  CHECK(error_of([&] { model.evaluate(x, y, {.verbose = 0}); }) == who + "evaluate" + why);
  CHECK(error_of([&] { model.train_on_batch(x, y); }) == who + "train_on_batch" + why);
  CHECK(error_of([&] { model.test_on_batch(x, y); }) == who + "test_on_batch" + why);
  CHECK(ends_so(error_of([&] { model.save("x.keras"); })));
  CHECK(ends_so(error_of([&] { model.save_weights("x.weights.h5"); })));
  CHECK(model.predict(x).shape() == Shape{4, 100000});
}

TEST_CASE("layers of one's own that look at elements are loaded as they were" *
          doctest::skip(!has_hdf5() || std::getenv("KERATIN_DEVICE") != nullptr)) {
  register_keras_serializable<Looks>("tests");
  register_keras_serializable<LooksInBuild>("tests");
  register_keras_serializable<Holds>("tests");
  register_keras_serializable<Keeps>("tests");
  const TemporaryDirectory folder;
  const Tensor x = tensor({{1, -2, 3}, {0, 5, 1}});
  const std::vector<AnyLayer> all{Looks(), LooksInBuild(), Holds(), Keeps()};
  for (const AnyLayer& layer : all) {
    CAPTURE(layer->class_name());
    Sequential model({Dense(3, {.input_shape = {3}}), layer, Dense(2)});
    model.layers()[1]->weights()[0].assign(tensor({0.5, 2, -1}));
    model.save(folder / "m.keras");
    const LoadedModel loaded = load_model(folder / "m.keras");
    for (const Weight& weight : loaded->weights()) CHECK(weight.device() == default_device());
    CHECK(loaded->predict(x).to_vector<float>() == model.predict(x).to_vector<float>());
    // Trained on, the layer goes with its weight.
    loaded->compile({.optimizer = SGD(0.1), .loss = "mse"});
    loaded->train_on_batch(x, zeros({2, 2}));
    CHECK(loaded->predict(x).to_vector<float>() != model.predict(x).to_vector<float>());
  }
}

TEST_CASE("weights that a file states and does not have take no memory" *
          doctest::skip(!has_hdf5())) {
  const TemporaryDirectory folder;
  const SymbolicTensor x = Input({5});
  Sequential inner({Dense(7, {.input_shape = {5}}), Dense(4)});
  const Model nested({x}, {inner(x)});
  const Sequential flat({Dense(7, {.input_shape = {5}}), Dense(4)});
  const Sequential wrapped({InputLayer({3, 5}), TimeDistributed(Dense(7))});
  for (const Model* model :
       {&nested, static_cast<const Model*>(&flat), static_cast<const Model*>(&wrapped)}) {
    model->save(folder / "m.keras");
    const ZipArchive archive(read_file(folder / "m.keras"), "m.keras");
    std::vector<std::pair<std::string, std::string>> members;
    for (std::size_t i = 0; i < archive.names().size(); ++i) {
      std::string text = archive.read(i);
      if (archive.names()[i] == "config.json") {
        const std::string units = R"("units":7)";
        const auto place = text.find(units);
        REQUIRE(place != std::string::npos);
        text.replace(place, units.size(), R"("units":2000000000)");
      }
      members.emplace_back(archive.names()[i], text);
    }
    write_file(folder / "large.keras", format_zip(members, ZipMethod::store));
    const long before = peak_memory();
    const std::string error = error_of([&] { load_model(folder / "large.keras"); });
    CAPTURE(error);
    CHECK(error.find("vars/0: expected (5, 2000000000), found (5, 7)") != std::string::npos);
    CHECK(peak_memory() - before < 64 << 10);
  }
}

}  // namespace keratin

TEST_SUITE_END();
