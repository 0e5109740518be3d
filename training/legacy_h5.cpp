// The .h5 files of Keras before its .keras format (keras/src/legacy/saving/legacy_h5_format.py):
// the config is an attribute, the weights lie under the names of the layers and belong to the
// model's by their order.

#include <algorithm>

#include <keratin/core/internal/message.h>
#include <keratin/io/json.h>
#include <keratin/training/internal/saving.h>

namespace keratin {
namespace {

/// The texts of a list that was cut into name0, name1, ... because attributes are short.
std::vector<std::string> texts_of(const Hdf5Group& group, const std::string& name) {
  if (const auto* list = group.list(name)) return *list;
  std::vector<std::string> all;
  for (int i = 0; const auto* part = group.list(name + std::to_string(i)); ++i)
    all.insert(all.end(), part->begin(), part->end());
  return all;
}

/// The arrays of a group in the order of its weight_names.
std::vector<const Tensor*> arrays_of(const Hdf5Group& group, const std::string& who) {
  std::vector<const Tensor*> arrays;
  for (const std::string& name : texts_of(group, "weight_names")) {
    arrays.push_back(group.array(name));
    if (arrays.back() == nullptr) fail_io("{}: there is no {} in it", who, name);
  }
  return arrays;
}

std::vector<Weight> in_legacy_order(const Layer& layer) {
  std::vector<Weight> weights = layer.trainable_weights();
  for (const Weight& weight : layer.non_trainable_weights()) weights.push_back(weight);
  return weights;
}

}  // namespace

void load_legacy_weights(Model& model, const Hdf5Group& root, const std::string& who) {
  const Hdf5Group* groups = root.group("model_weights");
  if (groups == nullptr) groups = &root;
  std::vector<std::pair<std::string, std::vector<const Tensor*>>> stored;
  for (const std::string& name : texts_of(*groups, "layer_names")) {
    const Hdf5Group* group = groups->group(name);
    if (group == nullptr) fail_io("{}: there is no group {} in it", who, name);
    const std::string place = fmt::format("{}: {}", who, name);
    if (auto arrays = arrays_of(*group, place); !arrays.empty()) stored.emplace_back(name, arrays);
  }
  std::vector<const Layer*> layers;
  for (const Layer* layer : model.layers())
    if (!layer->weights().empty()) layers.push_back(layer);

  Differences differences(who);
  std::vector<std::pair<Weight, const Tensor*>> plan;
  if (layers.size() != stored.size())
    differences.add(
        fmt::format("expected {} layers with weights, found {}", layers.size(), stored.size()));
  for (std::size_t i = 0; i < std::min(layers.size(), stored.size()); ++i) {
    const auto& [name, arrays] = stored[i];
    const std::vector<Weight> weights = in_legacy_order(*layers[i]);
    if (weights.size() != arrays.size())
      differences.add(fmt::format("{}: expected {} arrays for {}, found {}", name, weights.size(),
                                  layers[i]->name(), arrays.size()));
    for (std::size_t j = 0; j < std::min(weights.size(), arrays.size()); ++j) {
      differences.expect_shape(fmt::format("{}: {}", name, weights[j].name()), weights[j].shape(),
                               arrays[j]->shape());
      plan.emplace_back(weights[j], arrays[j]);
    }
  }
  differences.check();
  for (auto& [weight, value] : plan) weight.assign(*value);
  if (const Hdf5Group* optimizer = root.group("optimizer_weights"))
    if (const auto arrays = arrays_of(*optimizer, who); !arrays.empty())
      load_optimizer(model, arrays, who);
}

Hdf5Group legacy_weights(const Model& model) {
  Hdf5Group root;
  std::vector<std::string> names;
  for (const Layer* layer : model.layers()) {
    names.push_back(layer->name());
    std::vector<std::string> paths;
    Hdf5Group& group = root.groups.emplace_back(layer->name(), Hdf5Group()).second;
    for (const Weight& weight : in_legacy_order(*layer)) {
      const std::string path =
          weight.path().substr(weight.path().find('/') + 1);  // below the model
      const auto slash = path.rfind('/');
      group.make_group(path.substr(0, slash))
          .arrays.emplace_back(path.substr(slash + 1), weight.value());
      paths.push_back(path);
    }
    group.lists = {{"weight_names", paths}};
  }
  root.lists = {{"layer_names", names}};
  root.texts = {{"backend", "keratin"}, {"keras_version", keras_version}};
  return root;
}

Config legacy_config(const Hdf5Group& root, const std::string& who) {
  const std::string *model = root.text("model_config"), *training = root.text("training_config");
  if (model == nullptr)
    fail_io("{}: it holds weights and no model: make the model and call load_weights", who);
  Option config = parse_json(*model, who + ": model_config");
  auto* object = std::get_if<Config>(&config);
  if (object == nullptr) fail("model_config: expected an object");
  modernize(config);
  if (training == nullptr) return *object;
  Option compiled = parse_json(*training, who + ": training_config");
  modernize(compiled);
  if (auto* compile = std::get_if<Config>(&compiled)) {
    for (auto& entry : *compile)
      if (entry.first == "optimizer_config") entry.first = "optimizer";
    object->emplace_back("compile_config", *compile);
  }
  return *object;
}

}  // namespace keratin
