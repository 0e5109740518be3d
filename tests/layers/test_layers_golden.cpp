// Every layer against real Keras, in float64: outputs, masks, states, and the gradient of every
// weight and input (tests/golden/layers.npz and conv_lstm.npz; the tables of options are
// tools/golden/layers.py and conv_lstm.py). A layer is made from the config that Keras gives.

#include <doctest/doctest.h>

#include <functional>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/layers/layers.h>
#include <keratin/layers/registry.h>

#include "error_of.h"
#include "golden.h"
#include "golden_configs.h"

TEST_SUITE_BEGIN("keras");

namespace keratin {
namespace {

constexpr double tolerance = 1e-9;

void compare(const std::string& what, const Tensor& found, const Tensor& expected) {
  double difference = max_relative_difference(found, expected, 1e-3);
  INFO(what, ": expected ", expected, ", got ", found);
  CHECK(difference <= tolerance);
}

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

Tensor mask_of(const Golden& file, const std::string& name) {
  return file.has(name + "/mask") ? file[name + "/mask"].astype(boolean) : Tensor();
}

void set_golden_weights(Layer& layer, const Golden& file, const std::string& name) {
  std::vector<Tensor> values;
  for (int i = 0; file.has(name + "/w" + std::to_string(i)); ++i)
    values.push_back(file[name + "/w" + std::to_string(i)]);
  layer.set_weights(values);
}

// Outputs of a call: the output itself, then the final states if the layer returns them.
using Call =
    std::function<std::vector<Tensor>(const Tensor& x, const std::vector<Tensor>& initial)>;

// The call on tensors without elements, by which shapes are found.
void check_on_meta(const Call& call, const Tensor& x, const Tensors& initial, const Tensors& y) {
  const Tensors found = call(x.to("meta"), initial);
  REQUIRE(found.size() == y.size());
  for (std::size_t i = 0; i < y.size(); ++i) {
    CHECK(found[i].device().is_meta());
    CHECK(found[i].shape() == y[i].shape());
    CHECK(found[i].dtype() == y[i].dtype());
  }
}

void check_case(const Golden& file, const std::string& name, Layer& layer, const Call& call) {
  CAPTURE(name);
  Tensor x = file[name + "/x"];
  layer.ensure_built(x.shape());
  set_golden_weights(layer, file, name);
  std::vector<Tensor> initial, watched;
  for (int i = 0; file.has(name + "/i" + std::to_string(i)); ++i)
    initial.push_back(file[name + "/i" + std::to_string(i)]);

  GradientTape tape;
  if (x.dtype() == float64) {
    tape.watch(x);
    watched.push_back(x);
  }
  for (const Tensor& state : initial) {
    tape.watch(state);
    watched.push_back(state);
  }
  for (const Weight& weight : layer.trainable_weights()) watched.push_back(weight.value());
  std::vector<Tensor> y = call(x, initial);
  compare("y", y[0], file[name + "/y"]);
  std::vector<Tensor> cotangents{file[name + "/gy"]};
  for (std::size_t i = 1; i < y.size(); ++i) {
    std::string state = std::to_string(i - 1);
    compare("state " + state, y[i], file[name + "/s" + state]);
    cotangents.push_back(file[name + "/gs" + state]);
  }
  std::vector<Tensor> g = tape.gradient(y, watched, cotangents);
  std::size_t k = 0;
  if (x.dtype() == float64) compare("gx", g[k++], file[name + "/gx"]);
  for (std::size_t i = 0; i < initial.size(); ++i)
    compare("initial state gradient", g[k++], file[name + "/gi" + std::to_string(i)]);
  for (std::size_t i = 0; k < g.size(); ++i, ++k)
    compare("weight gradient " + std::to_string(i), g[k], file[name + "/g" + std::to_string(i)]);
  std::vector<Tensor> after = layer.get_weights();
  bool changes_weights = false;
  for (std::size_t i = 0; i < after.size(); ++i) {
    if (!file.has(name + "/w" + std::to_string(i) + "_after")) continue;
    compare("weight after", after[i], file[name + "/w" + std::to_string(i) + "_after"]);
    changes_weights = true;
  }
  if (!changes_weights) check_on_meta(call, x, initial, y);
}

// Two calls in a row, the second starting where the first stopped; y3 follows a reset.
void check_stateful(const Golden& file, const std::string& name, Layer& layer) {
  layer.ensure_built(file[name + "/x"].shape());
  set_golden_weights(layer, file, name);
  compare("y", Tensors(layer(file[name + "/x"]))[0], file[name + "/y"]);
  Tensors y2 = layer(file[name + "/x2"]);
  compare("y2", y2[0], file[name + "/y2"]);
  for (std::size_t i = 1; i < y2.size(); ++i)
    compare("state", y2[i], file[name + "/s" + std::to_string(i - 1)]);
  layer.reset_states();
  compare("y3", Tensors(layer(file[name + "/x2"]))[0], file[name + "/y3"]);
}

// Every case of a file.
void check_file(const Golden& file) {
  std::map<std::string, GoldenConfig> objects = golden_cases("layer");
  for (const std::string& name : file.cases()) {
    if (name.starts_with("activation")) continue;
    CAPTURE(name);
    REQUIRE(objects.contains(name));
    AnyLayer layer = layer_from_config(objects[name].class_name, objects[name].config);
    if (file.has(name + "/y3")) {
      check_stateful(file, name, *layer);
      continue;
    }
    CallOptions options{contains(name, "training"), mask_of(file, name)};
    check_case(file, name, *layer, [&](const Tensor& x, const Tensors& initial) {
      Tensors inputs{x};
      inputs.insert(inputs.end(), initial.begin(), initial.end());
      auto [y, masks] = layer->call_with_mask(inputs, options);
      CHECK(masks[0].defined() == file.has(name + "/ymask"));
      if (masks[0].defined() && !masks[0].device().is_meta())
        compare("mask of y", masks[0].astype(int32), file[name + "/ymask"]);
      return y;
    });
  }
}

}  // namespace

TEST_CASE("layers made from Keras' configs compute what Keras' compute") {
  Float64 scope;
  check_file(golden("layers"));
  check_file(golden("conv_lstm"));
}

TEST_CASE("activations compute what Keras' compute, and have its values at their corners") {
  const Golden& file = golden("layers");
  const std::map<std::string, ActivationFunction> with_options{
      {"celu_0.5", [](const Tensor& x) { return celu(x, 0.5); }},
      {"elu_0.5", [](const Tensor& x) { return elu(x, 0.5); }},
      {"gelu_tanh", [](const Tensor& x) { return gelu(x, true); }},
      {"leaky_relu_0.3", [](const Tensor& x) { return leaky_relu(x, 0.3); }},
      {"log_softmax_axis_1", [](const Tensor& x) { return log_softmax(x, 1); }},
      {"log_softmax_large", "log_softmax"},
      {"relu_options",
       [](const Tensor& x) { return where(x > 0.5, minimum(x, 5.0), 0.1 * (x - 0.5)); }},
      {"softmax_axis_1", [](const Tensor& x) { return softmax(x, 1); }},
      {"softmax_large", "softmax"},
      {"softmax_rank_3", "softmax"},
      {"threshold", [](const Tensor& x) { return threshold(x, 0.5, -2.0); }},
  };
  for (const std::string& key : file.cases("activation")) {
    if (key == "activation/sparsemax") continue;  // below
    CAPTURE(key);
    std::string name = key.substr(key.find('/') + 1);
    ActivationFunction f = with_options.contains(name) ? with_options.at(name) : name;
    Tensor x = file[key + "/x"];
    GradientTape tape;
    tape.watch(x);
    Tensor y = f(x);
    compare("y", y, file[key + "/y"]);
    // At a corner the derivative is a choice, and backends choose differently.
    if (file.has(key + "/gy"))
      compare("gx", tape.gradient(y, x, file[key + "/gy"]), file[key + "/gx"]);
  }
}

TEST_CASE("threshold needs its numbers") {
  CHECK(error_of([] { ActivationFunction("threshold"); }) ==
        "activation \"threshold\" needs two numbers: pass [](const Tensor& x) { return "
        "threshold(x, 0.5, 0.0); }");
}

// Keras 3.15 takes a threshold that is too high when more than one entry is left. Where one is left
// the two agree; where more are, ours are its entries, all raised alike, and some that it lost.
TEST_CASE("sparsemax sums to 1 where that of Keras 3.15 does not") {
  const Golden& file = golden("layers");
  Tensor y = ActivationFunction("sparsemax")(file["activation/sparsemax/x"]);
  Tensor keras = file["activation/sparsemax/y"];
  compare("row 0", y[0], keras[0]);
  compare("sum", sum(y, 1), ones({3}, float64));
  CHECK(sum(keras, 1).item(1) == doctest::Approx(0.34210407));
}

TEST_CASE("glu halves the width of a layer") {
  Dense layer(4, {.activation = "glu"});
  CHECK(layer(ones({2, 3})).shape() == Shape{2, 2});
  CHECK(error_of([] {
          Dense(3, {.activation = "glu"})(ones({2, 3}));
        }).find("even size") != std::string::npos);
}

}  // namespace keratin

TEST_SUITE_END();
