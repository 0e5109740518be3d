// Random models of real Keras (tools/random_models.py): their predictions, gradients and first
// training steps. A few dozen are committed; KERATIN_RANDOM_MODELS names a folder with more of
// them.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include <keratin/io/json.h>
#include <keratin/keratin.h>

#include "error_of.h"
#include "golden.h"
#include "golden_configs.h"
#include "on_processor.h"

TEST_SUITE_BEGIN("keras");

namespace keratin {
namespace {

/// The arrays of one model.
struct Recorded {
  const std::map<std::string, Tensor>& all;
  std::string seed;

  const Tensor* find(const std::string& name) const {
    auto found = all.find(seed + "/" + name);
    return found == all.end() ? nullptr : &found->second;
  }
  /// prefix0, prefix1, ... in the given dtype, where they are no ids.
  Tensors numbered(const std::string& prefix, DType dtype) const {
    Tensors found;
    while (const Tensor* next = find(prefix + std::to_string(found.size())))
      found.push_back(is_floating(next->dtype()) ? next->astype(dtype) : *next);
    return found;
  }
};

const Option& entry(const Config& config, const char* name) {
  const Option* found = find_option(config, name);
  if (found == nullptr) throw std::out_of_range(name);
  return *found;
}
std::pair<std::string, Config> object(const Option& option) {
  const auto& parts = std::get<std::vector<Option>>(option);
  return {std::get<std::string>(parts[0]), std::get<Config>(parts[1])};
}

/// What differs by more than the tolerance, relative to the largest number of an array and at least
/// to 0.01; empty when nothing does.
std::string difference(const char* what, const Tensors& ours, const Tensors& keras,
                       double tolerance) {
  if (ours.size() != keras.size())
    return std::string(what) + ": " + std::to_string(ours.size()) + " instead of " +
           std::to_string(keras.size());
  for (std::size_t i = 0; i < ours.size(); ++i) {
    const double found = max_relative_difference(ours[i], keras[i], 0.01);
    if (!(found <= tolerance))
      return std::string(what) + std::to_string(i) + " " + ours[i].shape().str() + ": " +
             std::to_string(found / tolerance) + " times the tolerance";
  }
  return {};
}

/// What the model does otherwise than Keras's; empty where nothing.
std::string compare(const std::string& class_name, const Config& config, const Config& about,
                    const Recorded& recorded) {
  const bool single = std::get<std::string>(entry(about, "dtype")) == "float32";
  const DType dtype = single ? float32 : float64;
  set_floatx(dtype);
  AnyLayer layer = layer_from_config(class_name, config);
  auto& model = dynamic_cast<Model&>(*layer);
  model.set_weights(recorded.numbered("w", dtype));
  const Tensors x = recorded.numbered("x", dtype), keras_y = recorded.numbered("y", dtype);
  const Tensors cotangents = recorded.numbered("gy", dtype);
  const std::vector<Weight> weights = model.trainable_weights();
  Tensors y, gradients;
  {
    GradientTape tape;
    y = Tensors(model(x));
    Tensor total;
    for (std::size_t i = 0; i < y.size(); ++i) {
      const Tensor part = sum(y[i] * cotangents[i]);
      total = total.defined() ? total + part : part;
    }
    for (const Weight& w : weights) gradients.push_back(tape.gradient(total, w));
  }
  std::string found = difference("output ", y, keras_y, single ? 1e-5 : 1e-9);
  if (found.empty())
    found = difference("gradient ", gradients, recorded.numbered("g", dtype), single ? 3e-4 : 1e-9);
  if (!found.empty() || find_option(about, "optimizer") == nullptr) return found;

  const auto [optimizer, optimizer_config] = object(entry(about, "optimizer"));
  const auto [loss, loss_config] = object(entry(about, "loss"));
  model.compile({.optimizer = AnyOptimizer::from_config(optimizer, optimizer_config),
                 .loss = Loss::from_config(loss, loss_config)});
  std::vector<double> losses;
  for (int step = 0; step < 5; ++step)
    losses.push_back(model.train_on_batch(x, recorded.numbered("t", dtype)).at("loss"));
  found = difference("loss", {tensor(losses, {5}).astype(float64)},
                     {recorded.find("loss")->astype(float64)}, single ? 1e-4 : 1e-9);
  if (!found.empty()) return found;
  return difference("trained weight ", model.get_weights(), recorded.numbered("v", dtype),
                    single ? 1e-4 : 1e-9);
}

/// Compares all models of a pair of files; counts those that agree.
int compare_all(const std::filesystem::path& json) {
  int agreed = 0;
  auto arrays = load_npz(std::filesystem::path(json).replace_extension(".npz").string());
  const Option rows = parse_json(read_file(json.string()), json.string());
  for (const Option& option : std::get<std::vector<Option>>(rows)) {
    const auto& row = std::get<std::vector<Option>>(option);
    const std::string seed = std::to_string(std::get<std::int64_t>(row[0]));
    std::string found;
    const std::string error = error_of([&] {
      found = compare(std::get<std::string>(row[1]), std::get<Config>(row[2]),
                      std::get<Config>(row[3]), {arrays, seed});
    });
    set_floatx(float32);
    if (error != "no error") found = "refused: " + error;
    CAPTURE(seed);
    CHECK(found == "");
    agreed += found.empty();
  }
  return agreed;
}

}  // namespace

TEST_CASE("random models of Keras predict, differentiate and train the same here" *
          on_processor()) {
  CHECK(compare_all(KERATIN_SOURCE_DIR "/tests/golden/random_models.json") == 42);
  const char* folder = std::getenv("KERATIN_RANDOM_MODELS");
  if (folder == nullptr) return;
  int agreed = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder))
    if (file.path().extension() == ".json") agreed += compare_all(file.path());
  std::cout << agreed << " random models of Keras agree\n";
}

}  // namespace keratin
