// Models in files: .keras and .weights.h5, as Keras has them.

#include <doctest/doctest.h>

#include <chrono>
#include <csignal>

#include <sys/wait.h>
#include <unistd.h>

#include <keratin/io/file.h>
#include <keratin/io/hdf5.h>
#include <keratin/io/json.h>
#include <keratin/io/zip.h>
#include <keratin/keratin.h>
#include <keratin/layers/attention.h>

#include "error_of.h"
#include "on_processor.h"
#include "temporary_directory.h"

TEST_SUITE_BEGIN("training");

namespace keratin {
namespace {

const auto with_hdf5 = doctest::skip(!has_hdf5());

Sequential seed_model() {
  Sequential model({LSTM(6, {.return_sequences = true, .input_shape = {5, 4}}), AttentionLayer(3),
                    Dense(2, {.activation = "softmax"})});
  model.compile({.optimizer = Adam({.learning_rate = 0.01}),
                 .loss = "sparse_categorical_crossentropy",
                 .metrics = {"accuracy"}});
  return model;
}

Tensor samples() { return Random(3).normal({8, 5, 4}); }
Tensor labels() { return tensor({0, 1, 1, 0, 1, 0, 0, 1}).astype(int32); }

double loss_of_step(Model& model) { return model.train_on_batch(samples(), labels()).at("loss"); }

double difference(const Tensor& a, const Tensor& b) { return max(abs(a - b)).item(); }

/// The file with one member changed by f.
template <class F>
std::string with_member(const std::string& path, const std::string& name, const F& f) {
  const ZipArchive archive(read_file(path), path);
  std::vector<std::pair<std::string, std::string>> members;
  for (std::size_t i = 0; i < archive.names().size(); ++i) {
    std::string bytes = archive.read(i);
    if (archive.names()[i] == name) bytes = f(bytes);
    members.emplace_back(archive.names()[i], bytes);
  }
  return format_zip(members, ZipMethod::store);
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  REQUIRE(at != text.npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("a saved model comes back, and training goes on where it stopped" * with_hdf5) {
  TemporaryDirectory folder;
  Sequential model = seed_model();
  for (int i = 0; i < 3; ++i) loss_of_step(model);
  model.save(folder / "model.keras");
  CHECK(folder.files() == 1);
  const Sequential loaded = load_model(folder / "model.keras");
  Sequential copy = loaded;
  CHECK(copy.name() == model.name());
  CHECK(copy.optimizer().iterations() == 3);
  CHECK(copy.metrics_names() == std::vector<std::string>{"loss", "accuracy"});
  CHECK(difference(copy.predict(samples()), model.predict(samples())) == 0);
  for (int i = 0; i < 3; ++i) CHECK(loss_of_step(copy) == loss_of_step(model));
  CHECK(difference(copy.get_weights()[0], model.get_weights()[0]) == 0);
}

TEST_CASE("a process killed at any point of saving leaves the old model or the new one" *
          with_hdf5 * on_processor()) {
  const TemporaryDirectory folder;
  const std::string path = folder / "model.keras";
  std::vector<Sequential> models;
  for (double value : {1.0, 2.0}) {
    Sequential model({Dense(40, {.input_shape = {30}}), Dense(20)}, "model");
    std::vector<Tensor> weights = model.get_weights();
    for (Tensor& weight : weights) weight.assign(value);
    model.set_weights(weights);
    models.push_back(model);
  }
  // The child is killed behind none to three of its savings, at any time in the next one.
  const auto begin = std::chrono::steady_clock::now();
  models[0].save(path);
  const std::chrono::duration<double, std::micro> one = std::chrono::steady_clock::now() - begin;
  Random random(5);
  int of_second = 0;
  for (int round = 0; round < 200; ++round) {
    int saved[2];
    REQUIRE(::pipe(saved) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
      for (std::size_t i = static_cast<std::size_t>(round) + 1;; ++i) {
        models[i % 2].save(path);
        if (::write(saved[1], "x", 1) != 1) ::_exit(1);
      }
    }
    REQUIRE(child > 0);
    char byte = 0;
    for (int i = 0; i < round % 4; ++i) REQUIRE(::read(saved[0], &byte, 1) == 1);
    ::usleep(static_cast<useconds_t>(one.count() * random.uniform({}).item()));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    ::close(saved[0]);
    ::close(saved[1]);
    const Sequential loaded = load_model(path);
    const double value = loaded.get_weights()[0].to_vector<double>()[0];
    of_second += value == 2;
    for (const Tensor& weight : loaded.get_weights()) REQUIRE(all(weight == value).item() == 1);
  }
  CHECK(of_second > 0);
  CHECK(of_second < 200);
}

TEST_CASE("a file has Keras's members, groups and names" * with_hdf5) {
  TemporaryDirectory folder;
  Sequential model = seed_model();
  loss_of_step(model);
  model.save(folder / "model.keras");
  const ZipArchive archive(read_file(folder / "model.keras"), "model.keras");
  CHECK(archive.names() ==
        std::vector<std::string>{"metadata.json", "config.json", "model.weights.h5"});
  const Hdf5Group weights = parse_hdf5(archive.read(2), "model.weights.h5");
  CHECK(weights.array("layers/lstm/cell/vars/0")->shape() == Shape{4, 24});
  CHECK(weights.array("layers/lstm/cell/vars/1")->shape() == Shape{6, 24});
  CHECK(weights.array("layers/attention_layer/vars/2")->shape() == Shape{3, 1});
  CHECK(weights.array("layers/dense/vars/1")->shape() == Shape{2});
  CHECK(weights.array("optimizer/vars/0")->item() == 1);
  CHECK(weights.array("optimizer/vars/17")->shape() == Shape{2});
  CHECK(*weights.group("layers/lstm/cell/vars")->text("name") == "lstm_cell");
  const std::string config = archive.read(1);
  CHECK(config.find("\"registered_name\":\"Custom>AttentionLayer\"") != config.npos);
  for (const char* new_option : {"quantization_config", "input_axes", "optional", "ragged"})
    CHECK(config.find(new_option) == config.npos);
}

TEST_CASE("options that Keras 3.4 does not know are left out where they say nothing" * with_hdf5) {
  auto x = Input({4, 6});
  auto y = MultiHeadAttention(2, 3)({x, x});
  Model model({x}, {ZeroPadding1D()(BatchNormalization()(y))});
  const std::string json = model.to_json();
  for (const char* option : {"sliding_window", "use_gate", "data_format", "renorm"})
    CHECK(json.find(option) == json.npos);
  Model other({x}, {MultiHeadAttention(2, 3, {.sliding_window = 2})({x, x})});
  CHECK(other.to_json().find("\"sliding_window\":2") != json.npos);
  Sequential classifier({Dense(3, {.input_shape = {2}})});
  classifier.compile({.loss = SparseCategoricalCrossentropy()});
  CHECK(classifier.to_json().find("SparseCategoricalCrossentropy") != json.npos);
  CHECK(classifier.to_json().find("\"axis\"") == json.npos);
}

TEST_CASE("the name that .h5 files have for GroupQueryAttention is read, and not written") {
  auto x = Input({4, 6});
  const std::string json = Model({x}, {GroupQueryAttention(3, 2, 1)({x, x})}).to_json();
  std::string other = json;
  other.replace(other.find("\"GroupQueryAttention\""), 21, "\"GroupedQueryAttention\"");
  CHECK(model_from_json(other)->to_json() == json);
}

TEST_CASE("a loaded model is taken as what it is" * with_hdf5) {
  TemporaryDirectory folder;
  Sequential original = seed_model();
  original.save(folder / "sequential.keras");
  Model model = load_model(folder / "sequential.keras");  // every model is one
  CHECK(model.class_name() == "Sequential");
  CHECK(model.summary_text() == original.summary_text());
  model.save(folder / "again.keras");
  Sequential again = load_model(folder / "again.keras");
  CHECK(difference(again.predict(samples()), original.predict(samples())) == 0);

  auto x = Input({3});
  Model functional({x}, {Dense(2)(x)}, "two");
  functional.save(folder / "functional.keras");
  CHECK(error_of([&] { Sequential wrong = load_model(folder / "functional.keras"); }) ==
        "two (Functional) is no Sequential");
  auto loaded = load_model(folder / "functional.keras");
  CHECK(loaded->class_name() == "Functional");
  CHECK_FALSE(loaded->compiled());
}

TEST_CASE("what was compiled comes back: losses by output, weights, metrics, schedules" *
          with_hdf5) {
  TemporaryDirectory folder;
  auto x = Input({4}, {.name = "x"});
  auto h = Dense(3)(x);
  Model model({x}, {Dense(2, {.name = "a"})(h), Dense(1, {.name = "b"})(h)});
  model.compile({.optimizer = SGD({.learning_rate = CosineDecay(0.1, 10), .momentum = 0.9}),
                 .loss = {{"a", "mse"}, {"b", Huber({.delta = 2})}},
                 .loss_weights = {{"b", 0.5}},
                 .metrics = {{"a", {"mae", MeanSquaredError({.name = "q"})}}}});
  const Tensor in = Random(1).normal({6, 4}), a = Random(2).normal({6, 2}),
               b = Random(3).normal({6, 1});
  const double first = model.train_on_batch(in, {a, b}).at("loss");
  model.save(folder / "model.keras");
  Model copy = load_model(folder / "model.keras");
  CHECK(copy.metrics_names() == model.metrics_names());
  CHECK(copy.get_compile_config() == model.get_compile_config());
  const double second = model.train_on_batch(in, {a, b}).at("loss");
  CHECK(second < first);
  CHECK(copy.train_on_batch(in, {a, b}).at("loss") == second);
  CHECK_FALSE(Model(load_model(folder / "model.keras", {.compile = false})).compiled());
}

TEST_CASE("weights under the name of a lookup's tokens are missed where a layer has its own" *
          with_hdf5) {
  const TemporaryDirectory folder;
  const std::string path = folder / "m.weights.h5";
  Sequential model({Dense(2, {.use_bias = false, .input_shape = {3}})});
  model.save_weights(path);
  Hdf5Group groups = parse_hdf5(read_file(path), path);
  groups.make_group("layers/dense/vars").arrays.at(0).first = "idf_weights";
  write_file(path, format_hdf5(groups));
  CHECK(error_of([&] { model.load_weights(path); }).find("expected 1 arrays") != std::string::npos);
}

TEST_CASE("objects of Keras 2, which lack a module, are saved with one") {
  Sequential model({Dense(2, {.input_shape = {3}})});
  const Config smooth{{"class_name", "LogCosh"}, {"config", Config{{"name", "log_cosh"}}}};
  model.compile_from_config({{"optimizer", "sgd"}, {"loss", smooth}});
  const Config compiled = model.get_compile_config();
  const Option* loss = find_option(compiled, "loss");
  REQUIRE(loss != nullptr);
  const Option* module = find_option(std::get<Config>(*loss), "module");
  REQUIRE(module != nullptr);
  CHECK(*module == Option("keras.losses"));
}

TEST_CASE("a loss without a name is left out with a warning, and the model is saved" * with_hdf5) {
  TemporaryDirectory folder;
  Sequential model({Dense(1, {.input_shape = {2}})});
  model.compile({.loss = [](const Tensor& y, const Tensor& p) { return mean(abs(y - p), -1); }});
  model.save(folder / "model.keras");
  CHECK_FALSE(Model(load_model(folder / "model.keras")).compiled());
}

TEST_CASE("weights go through .weights.h5 and .npz, and JSON makes a new model" * with_hdf5) {
  TemporaryDirectory folder;
  Sequential model = seed_model();
  loss_of_step(model);
  LoadedModel copy = model_from_json(model.to_json());
  CHECK(copy->compiled());
  CHECK(difference(copy->predict(samples()), model.predict(samples())) > 0);
  for (const char* name : {"w.weights.h5", "w.h5", "w.npz"}) {
    Sequential other = model_from_json(model.to_json());
    model.save_weights(folder / name);
    other.load_weights(folder / name);
    CHECK(difference(other.predict(samples()), model.predict(samples())) == 0);
  }
  CHECK(error_of([&] {
          model.save_weights("w.txt");
        }).ends_with("expected a path that ends in .weights.h5, .h5 or .npz, got w.txt"));
  CHECK(error_of([&] {
          model.save("model.h5");
        }).ends_with("save: expected a path that ends in .keras, got model.h5"));
}

TEST_CASE("weights that do not fit are all listed, and nothing is loaded" * with_hdf5) {
  TemporaryDirectory folder;
  seed_model().save_weights(folder / "w.weights.h5");
  Sequential other({LSTM(7, {.return_sequences = true, .input_shape = {5, 4}}),
                    Dense(3, {.name = "extra"}), AttentionLayer(3), Dense(2)});
  const Tensor before = other.predict(samples());
  const std::string error = error_of([&] { other.load_weights(folder / "w.weights.h5"); });
  CHECK(error.find("w.weights.h5: nothing was loaded:") != error.npos);
  CHECK(error.find("layers/lstm/cell/vars/0: expected (4, 28), found (4, 24)") != error.npos);
  CHECK(error.find("layers/dense_1/vars: missing, of dense") != error.npos);
  CHECK(difference(other.predict(samples()), before) == 0);
  Sequential fewer({LSTM(6, {.return_sequences = true, .input_shape = {5, 4}}), AttentionLayer(3)});
  CHECK(error_of([&] {
          fewer.load_weights(folder / "w.weights.h5");
        }).find("layers/dense/vars: not in the model") != std::string::npos);
}

TEST_CASE("parts of layers of one's own lie under the names of their members" * with_hdf5) {
  class Residual : public Layer {
   public:
    void build(const Shape&) override {
      track(first, "first");
      for (Dense& layer : rest) track(layer, "rest/");
    }
    Tensor call(const Tensor& x) override {
      Tensor y = first(x);
      for (Dense& layer : rest) y = layer(y);
      return x + y;
    }

   private:
    Dense first{3};
    std::vector<Dense> rest{Dense(3), Dense(3)};
  };
  TemporaryDirectory folder;
  Sequential model;
  model.add(Residual());
  model.build({None, 3});
  model.save_weights(folder / "w.weights.h5");
  const Hdf5Group weights = parse_hdf5(read_file(folder / "w.weights.h5"), "w");
  for (const char* path : {"layers/residual/first/vars/0", "layers/residual/rest/dense/vars/0",
                           "layers/residual/rest/dense_1/vars/1"})
    CHECK(weights.array(path) != nullptr);
}

TEST_CASE("options that Keras 2 had are no concern of a class of one's own" * with_hdf5) {
  class Fading : public Layer {
   public:
    explicit Fading(double decay) : decay_(decay) {}
    std::vector<Field> fields() override { return {{"decay", &decay_}}; }
    Tensor call(const Tensor& x) override { return x * decay_; }

   private:
    double decay_;
  };
  register_keras_serializable<Fading>("mine", "Fading", [] { return Fading(1); });
  TemporaryDirectory folder;
  Sequential model({Dense(2, {.input_shape = {3}}), Fading(0.25)});
  model.save(folder / "model.keras");
  Sequential copy = load_model(folder / "model.keras");
  const Tensor x = Random(1).normal({4, 3});
  CHECK(difference(copy.predict(x), model.predict(x)) == 0);
}

TEST_CASE("what is wrong with a file is said, with the file's name and the place in it" *
          with_hdf5) {
  TemporaryDirectory folder;
  const std::string good = folder / "good.keras", bad = folder / "bad.keras";
  seed_model().save(good);
  auto error_with = [&](const std::string& member, const std::string& from, const std::string& to) {
    write_file(bad, with_member(good, member,
                                [&](const std::string& text) { return replaced(text, from, to); }));
    return error_of([&] { load_model(bad); });
  };
  CHECK(error_with("config.json", "\"class_name\":\"LSTM\"", "\"class_name\":\"LTSM\"") ==
        bad +
            ": config.json: unknown layer class \"LTSM\". Did you mean \"LSTM\"? A class of one's "
            "own "
            "joins by register_keras_serializable");
  CHECK(error_with("config.json", "\"units\":6", "\"units\":-6") ==
        bad + ": config.json: LSTM: expected units of at least 1, got -6");
  CHECK(error_with("config.json", "\"units\":6", "\"units\":1000000000000")
            .starts_with(bad + ": config.json: "));
  CHECK(error_with("config.json", "\"units\":6", "\"units\":7")
            .find("model.weights.h5: nothing was loaded:") != std::string::npos);
  CHECK(error_with("config.json", "{", "[").starts_with(bad + ": config.json: "));
  CHECK(error_with("model.weights.h5", "HDF", "HDX") ==
        bad + ": model.weights.h5: not an HDF5 file, or a damaged one");
  write_file(bad, format_zip({{"config.json", "{}"}}, ZipMethod::store));
  CHECK(error_of([&] { load_model(bad); }) ==
        bad + ": config.json: expected an object with class_name and config");
  write_file(bad, format_zip({{"metadata.json", "{}"}}, ZipMethod::store));
  CHECK(error_of([&] { load_model(bad); }) == bad + ": there is no config.json in it");
  CHECK(error_of([&] { load_model(folder / "none.keras"); }).find("cannot open") !=
        std::string::npos);
}

}  // namespace keratin
