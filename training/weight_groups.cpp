// A model's weights as the groups of an HDF5 file, and back.

#include <algorithm>
#include <charconv>
#include <set>
#include <sstream>

#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/layers/internal/layer_state.h>
#include <keratin/layers/lookup.h>
#include <keratin/training/internal/saving.h>

namespace keratin {
namespace {

/// A layer and where its weights are: "layers/lstm/cell".
struct Place {
  std::string path;
  const Layer* layer;
  std::vector<Weight> weights;
};

std::string joined(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "/" + name;
}

/// The layer and all inside, each once: a layer that is used in two places lies in the first.
void collect(const Layer& layer, const std::string& path, std::vector<Place>& places) {
  if (std::ranges::any_of(places, [&](const Place& place) { return place.layer->is(layer); }))
    return;
  const LayerParts parts(layer);
  places.push_back({path, &layer, parts.weights});
  for (const auto& [name, part] : parts.parts) collect(*part, joined(path, name), places);
}

std::vector<Place> places_of(const Model& model) {
  std::vector<Place> places;
  collect(model, "", places);
  return places;
}

/// The group at the path. A name in it may have an underscore before it or lack one: between
/// Keras's versions the parts of a layer became public and private.
const Hdf5Group* find_group(const Hdf5Group& from, const std::string& path) {
  const std::size_t slash = path.find('/');
  const std::string name = path.substr(0, slash);
  const Hdf5Group* next = from.group(name);
  if (next == nullptr) next = from.group("_" + name);
  if (next == nullptr && name.starts_with('_')) next = from.group(name.substr(1));
  return next == nullptr || slash == std::string::npos ? next
                                                       : find_group(*next, path.substr(slash + 1));
}

/// Keras writes the weights of a lookup's indices here, those of its config, too.
constexpr const char* token_weights = "idf_weights";

Tensor token_weights_of(const Layer& layer) {
  auto* lookup = dynamic_cast<const IntegerLookup*>(&layer);
  if (lookup == nullptr || lookup->idf_weights().empty()) return {};
  return tensor(lookup->idf_weights()).astype(layer.dtype()).to(Device());
}

/// A lookup whose vocabulary is in no config.
bool learns_vocabulary(const Layer& layer) {
  if (dynamic_cast<const IntegerLookup*>(&layer) == nullptr) return false;
  const Config config = layer.get_config();
  const Option* given = find_option(config, "vocabulary");
  return given == nullptr || given->is_none();
}

std::string vocabulary_path(const std::string& layer) {
  return "assets/" + layer + "/vocabulary.txt";
}

std::vector<std::int64_t> numbers_in(const std::string& text, const std::string& who) {
  std::vector<std::int64_t> numbers;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() && lines.peek() == std::istringstream::traits_type::eof()) break;
    const auto [end, error] =
        std::from_chars(line.data(), line.data() + line.size(), numbers.emplace_back());
    if (error != std::errc() || end != line.data() + line.size())
      fail_io("{}: line {}: expected a whole number, got \"{}\"", who, numbers.size(), line);
  }
  return numbers;
}

/// The arrays of a group "vars" by their numbers; nothing when they are not 0, 1, 2, ...
std::optional<std::vector<const Tensor*>> numbered(const Hdf5Group& vars) {
  std::vector<const Tensor*> arrays(vars.arrays.size());
  for (std::size_t i = 0; i < arrays.size(); ++i)
    if ((arrays[i] = vars.array(std::to_string(i))) == nullptr) return {};
  return arrays;
}

/// Groups with arrays among the layers that no layer has taken.
void find_strangers(const Hdf5Group& group, const std::string& path,
                    const std::set<const Hdf5Group*>& taken, Differences& differences) {
  for (const auto& [name, inner] : group.groups) {
    const std::string inside = joined(path, name);
    // Early versions of Keras 3 wrote the state of random generators.
    if (name == "seed_generator") continue;
    if (name == "vars" && !inner.arrays.empty() && !taken.contains(&inner))
      differences.add(inside + ": not in the model");
    find_strangers(inner, inside, taken, differences);
  }
}

}  // namespace

void load_optimizer(Model& model, const std::vector<const Tensor*>& arrays,
                    const std::string& who) {
  if (!model.compiled()) return;
  Optimizer& optimizer = model.optimizer();
  // Before the first step there are the iteration and the learning rate, which the config has.
  if (!optimizer.built() && arrays.size() == optimizer.variables().size() &&
      arrays[0]->numel() == 1 && arrays[0]->item() == 0)
    return;
  try {
    optimizer.build(model.trainable_weights());
    std::vector<Tensor> values;
    for (const Tensor* array : arrays) values.push_back(*array);
    // Keras 2 has no variable for the learning rate.
    const auto variables = optimizer.variables();
    if (values.size() + 1 == variables.size() && variables[1].first == "learning_rate")
      values.insert(values.begin() + 1, variables[1].second);
    optimizer.set_variables(values);
  } catch (const std::invalid_argument& error) {
    warn("{}: the state of the optimizer is left out: {}", who, error.what());
  }
}

void Differences::expect_shape(const std::string& path, const Shape& expected, const Shape& found) {
  if (expected != found) add(fmt::format("{}: expected {}, found {}", path, expected, found));
}

void Differences::check() const {
  if (!lines_.empty()) fail_io("{}: nothing was loaded:{}", who_, lines_);
}

void check_elements(const char* who, const Model& model) {
  if (model.device().is_meta())
    fail("{} ({}): {}: the model is on meta, where its weights have no values", model.name(),
         model.class_name(), who);
}

void check_built(const char* who, const Model& model) {
  check_elements(who, model);
  const Layer* unbuilt = first_unbuilt(model);
  if (unbuilt == &model)
    fail("{} ({}): {}: the model is not built: give its first layer an input_shape", model.name(),
         model.class_name(), who);
  if (unbuilt != nullptr)
    fail("{} ({}): {}: {} has no weights yet: call the model once", model.name(),
         model.class_name(), who, unbuilt->name());
}

Hdf5Group weights_as_groups(const Model& model) {
  Hdf5Group root;
  for (const Place& place : places_of(model)) {
    Hdf5Group& vars = root.make_group(joined(place.path, "vars"));
    vars.texts = {{"name", place.layer->name()}};
    for (std::size_t i = 0; i < place.weights.size(); ++i)
      vars.arrays.emplace_back(std::to_string(i), place.weights[i].value());
    if (const Tensor weights = token_weights_of(*place.layer); weights.defined())
      vars.arrays.emplace_back(token_weights, weights);
  }
  if (!model.compiled()) return root;
  Optimizer& optimizer = model.optimizer();
  const auto variables = optimizer.variables();
  auto add = [&](const char* path, const std::string& name, std::size_t first) {
    Hdf5Group& vars = root.make_group(path);
    vars.texts = {{"name", name}};
    for (std::size_t i = first; i < variables.size(); ++i)
      vars.arrays.emplace_back(std::to_string(i - first), variables[i].second);
  };
  const auto& scaling = optimizer.loss_scaling();
  add("optimizer/vars", scaling ? scaling->name : optimizer.name(), 0);
  // Keras writes the inner optimizer's twice.
  if (scaling) add("optimizer/inner_optimizer/vars", optimizer.name(), optimizer.built() ? 4 : 2);
  return root;
}

std::map<std::string, std::string> vocabularies_of(const Model& model) {
  std::map<std::string, std::string> texts;
  for (const Place& place : places_of(model)) {
    if (!learns_vocabulary(*place.layer)) continue;
    auto& lookup = dynamic_cast<const IntegerLookup&>(*place.layer);
    if (!lookup.get_vocabulary(/*include_special_tokens=*/false).empty())
      texts[vocabulary_path(place.path)] =
          fmt::format("{}", fmt::join(lookup.get_vocabulary(), "\n"));
  }
  return texts;
}

void load_vocabularies(Model& model, const Hdf5Group& groups,
                       const std::function<std::optional<std::string>(const std::string&)>& read,
                       const std::string& who) {
  for (const Place& place : places_of(model)) {
    if (!learns_vocabulary(*place.layer)) continue;
    const std::string path = vocabulary_path(place.path), name = fmt::format("{}: {}", who, path);
    const std::optional<std::string> text = read(path);
    if (!text) continue;  // it was saved before it learnt one
    std::vector<double> weights;
    const Hdf5Group* vars = find_group(groups, joined(place.path, "vars"));
    if (const Tensor* stored = vars == nullptr ? nullptr : vars->array(token_weights))
      weights = stored->astype(float64).to_vector<double>();
    const std::vector<std::int64_t> tokens = numbers_in(*text, name);
    try {
      IntegerLookup lookup = dynamic_cast<const IntegerLookup&>(*place.layer);  // the same layer
      lookup.set_vocabulary(tokens, weights);
    } catch (const std::invalid_argument& error) {
      fail_io("{}: {}", name, error.what());
    }
  }
}

void load_groups(Model& model, const Hdf5Group& groups, const std::string& who) {
  Differences differences(who);
  std::vector<std::pair<Weight, const Tensor*>> plan;
  std::set<const Hdf5Group*> taken;
  for (const Place& place : places_of(model)) {
    const std::string path = joined(place.path, "vars");
    const Hdf5Group* vars = find_group(groups, path);
    if (vars == nullptr && place.weights.empty()) continue;
    if (vars == nullptr) {
      differences.add(fmt::format("{}: missing, of {}", path, place.layer->name()));
      continue;
    }
    taken.insert(vars);
    const bool of_tokens = vars->arrays.size() == 1 && vars->array(token_weights) != nullptr;
    if (of_tokens && place.weights.empty()) continue;  // for its lookup, if it has not got them
    const auto arrays = numbered(*vars);
    if (!arrays || arrays->size() != place.weights.size()) {
      differences.add(fmt::format("{}: expected {} arrays for {}, found {}", path,
                                  place.weights.size(), place.layer->name(), vars->arrays.size()));
      continue;
    }
    for (std::size_t i = 0; i < arrays->size(); ++i) {
      differences.expect_shape(fmt::format("{}/{}", path, i), place.weights[i].shape(),
                               (*arrays)[i]->shape());
      plan.emplace_back(place.weights[i], (*arrays)[i]);
    }
  }
  if (const Hdf5Group* layers = groups.group("layers"))
    find_strangers(*layers, "layers", taken, differences);
  differences.check();
  for (auto& [weight, value] : plan) weight.assign(*value);
  const Hdf5Group* optimizer = groups.group("optimizer/vars");
  if (optimizer == nullptr || optimizer->arrays.empty()) return;
  if (const auto arrays = numbered(*optimizer))
    load_optimizer(model, *arrays, who);
  else
    warn("{}: the state of the optimizer is left out: it is not numbered from 0 on", who);
}

}  // namespace keratin
