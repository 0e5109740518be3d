// Layers of several inputs against real Keras, in float64: outputs, masks, and the gradient of
// every input and weight (tests/golden/several_inputs.npz; the table is
// tools/golden/several_inputs.py). A layer is made from the config that Keras gives.

#include <doctest/doctest.h>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/layers/call_arguments.h>
#include <keratin/layers/layers.h>
#include <keratin/layers/registry.h>

#include "golden.h"
#include "golden_configs.h"

TEST_SUITE_BEGIN("keras");

namespace keratin {
namespace {

void compare(const std::string& what, const Tensor& found, const Tensor& expected) {
  double difference = max_relative_difference(found, expected, 1e-3);
  INFO(what, ": expected ", expected, ", got ", found);
  CHECK(difference <= 1e-9);
}

/// case/x0, case/x1, ...; undefined where one is missing before the last of at least `count`.
Tensors numbered(const Golden& file, const std::string& prefix, std::size_t count = 0) {
  Tensors found;
  for (std::size_t i = 0; i < count || file.has(prefix + std::to_string(i)); ++i)
    found.push_back(file.get(prefix + std::to_string(i)));
  return found;
}

void check_case(const Golden& file, const std::string& name, Layer& layer) {
  const Tensors x = numbered(file, name + "/x"), y = numbered(file, name + "/y"),
                weights = numbered(file, name + "/w");
  if (auto* told = dynamic_cast<CallArguments*>(&layer))
    for (const Field& flag : told->call_fields()) flag.set(file.has(name + "/" + flag.name));
  Shapes shapes;
  for (const Tensor& input : x) shapes.push_back(input.shape());
  layer.ensure_built(shapes);
  layer.set_weights(weights);

  GradientTape tape;
  Tensors watched;
  for (const Tensor& input : x) {
    if (input.dtype() != float64) continue;
    tape.watch(input);
    watched.push_back(input);
  }
  for (const Weight& weight : layer.trainable_weights()) watched.push_back(weight.value());
  CallOptions options{.masks = numbered(file, name + "/mask", x.size())};
  auto [outputs, masks] = layer.call_with_mask(x, options);
  REQUIRE(outputs.size() == y.size());
  const Shapes stated = layer.compute_output_shape(shapes);
  for (std::size_t i = 0; i < y.size(); ++i) {
    compare("y" + std::to_string(i), outputs[i], y[i]);
    CHECK(stated.at(i) == y[i].shape());
    const std::string of_mask = name + "/ymask" + std::to_string(i);
    CHECK(masks[i].defined() == file.has(of_mask));
    if (masks[i].defined() && file.has(of_mask))
      compare(of_mask, masks[i].astype(int32), file[of_mask]);
  }

  const Tensors g = tape.gradient(outputs, watched, numbered(file, name + "/gy"));
  Tensors expected;
  for (std::size_t i = 0; i < x.size(); ++i)
    if (x[i].dtype() == float64) expected.push_back(file[name + "/gx" + std::to_string(i)]);
  for (const Tensor& of_weight : numbered(file, name + "/g")) expected.push_back(of_weight);
  REQUIRE(g.size() == expected.size());
  for (std::size_t i = 0; i < g.size(); ++i)
    compare("gradient " + std::to_string(i), g[i], expected[i]);
}

}  // namespace

TEST_CASE("layers of several inputs compute what Keras' compute") {
  Float64 scope;
  const Golden& file = golden("several_inputs");
  std::map<std::string, GoldenConfig> objects = golden_cases("layer");
  CHECK(file.cases().size() > 150);
  for (const std::string& name : file.cases()) {
    CAPTURE(name);
    REQUIRE(objects.contains(name));
    AnyLayer layer = layer_from_config(objects[name].class_name, objects[name].config);
    check_case(file, name, *layer);
  }
}

}  // namespace keratin

TEST_SUITE_END();
