// Models in .keras files, and as JSON.

#include <algorithm>
#include <chrono>
#include <ctime>
#include <optional>

#include <keratin/core/internal/class_name.h>
#include <keratin/core/internal/message.h>
#include <keratin/io/file.h>
#include <keratin/io/json.h>
#include <keratin/io/zip.h>
#include <keratin/layers/internal/context.h>
#include <keratin/training/internal/saving.h>
#include <keratin/training/saving.h>

namespace keratin {
namespace {

using List = std::vector<Option>;

// The members of a .keras file.
constexpr const char* metadata_member = "metadata.json";
constexpr const char* config_member = "config.json";
constexpr const char* weights_member = "model.weights.h5";

/// Options that Keras 3.4 does not know; they are left out where they say nothing, so that it opens
/// the file, too.
bool is_new_and_unset(const std::string& name, const Option& value) {
  static constexpr const char* unset[] = {
      "quantization_config", "optional",      "ragged",      "renorm",
      "renorm_clipping",     "use_gate",      "rms_scaling", "input_axes",
      "output_axes",         "sliding_window"};
  if (std::ranges::find(unset, name) == std::end(unset)) return false;
  return value.is_none() || value == Option(false);
}

void leave_out_new(Option& option) {
  if (auto* list = std::get_if<List>(&option)) {
    for (Option& one : *list) leave_out_new(one);
  } else if (auto* config = std::get_if<Config>(&option)) {
    const Option* renorm = find_option(*config, "renorm");
    const bool no_renorm = renorm != nullptr && *renorm == Option(false);
    std::erase_if(*config, [&](const auto& entry) {
      return is_new_and_unset(entry.first, entry.second) ||
             (no_renorm && entry.first == "renorm_momentum");
    });
    // New in these classes, where it is not in their kin.
    const Option* class_name = find_option(*config, "class_name");
    auto leave_out = [&](const char* of_class, Config& from, const char* option, Option unset) {
      if (class_name != nullptr && *class_name == Option(of_class))
        std::erase(from, std::pair{std::string(option), std::move(unset)});
    };
    for (auto& [name, value] : *config) {
      if (auto* inner = std::get_if<Config>(&value); inner != nullptr && name == "config") {
        leave_out("ZeroPadding1D", *inner, "data_format", "channels_last");
        leave_out("SparseCategoricalCrossentropy", *inner, "axis", -1);
      }
      leave_out_new(value);
    }
  }
}

/// The model as an object, with what was compiled.
Option model_option(const Model& model, bool& compiled) {
  Option option = to_option(reference_to(model));
  compiled = model.compiled();
  if (compiled) {
    auto& object = std::get<Config>(option);
    try {
      const Config config = model.get_compile_config();
      std::erase_if(object, [](const auto& entry) { return entry.first == "compile_config"; });
      object.emplace_back("compile_config", config);
    } catch (const std::invalid_argument& error) {
      warn("{}: saved without what was compiled: {}", model.name(), error.what());
      compiled = false;
    }
  }
  leave_out_new(option);
  return option;
}

std::string now() {
  const std::time_t time = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm parts{};
  gmtime_r(&time, &parts);
  char text[32];
  const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%d@%H:%M:%S", &parts);
  return std::string(text, size);
}

std::string format_keras(const Model& model) {
  bool compiled = false;
  const Option config = model_option(model, compiled);
  Hdf5Group weights = weights_as_groups(model);
  if (!compiled)
    std::erase_if(weights.groups, [](const auto& group) { return group.first == "optimizer"; });
  std::vector<std::pair<std::string, std::string>> members{
      {metadata_member,
       format_json(Config{{"keras_version", keras_version}, {"date_saved", now()}})},
      {config_member, format_json(config)},
      {weights_member, format_hdf5(weights)}};
  for (const auto& text : vocabularies_of(model)) members.push_back(text);
  return format_zip(members, ZipMethod::store);
}

/// Shapes that Keras would build the model for.
void build_as_saved(Model& model, const Config& object) {
  if (model.built()) return;
  const Option* build = find_option(object, "build_config");
  auto* config = build == nullptr ? nullptr : std::get_if<Config>(build);
  const Option* given = config == nullptr ? nullptr : find_option(*config, "input_shape");
  Shape shape;
  if (given != nullptr && from_option(*given, shape) && shape.rank() > 0) model.ensure_built(shape);
}

enum class Weights { initial, in_file };

LoadedModel model_in(const Option& option, const LoadOptions& options, Weights weights) {
  auto* object = std::get_if<Config>(&option);
  if (object == nullptr || !object_in(option))
    fail("expected an object with class_name and config");
  AnyLayer layer = Sequential();
  std::optional<WeightsComeLater> scope;  // whatever sizes the config states, it takes no memory
  if (weights == Weights::in_file) scope.emplace();
  from_option(option, layer);
  LoadedModel model(layer);
  build_as_saved(*model, *object);
  scope.reset();
  const Option* compile = find_option(*object, "compile_config");
  auto* config = compile == nullptr ? nullptr : std::get_if<Config>(compile);
  if (options.compile && config != nullptr && !config->empty()) model->compile_from_config(*config);
  return model;
}

/// What f throws as a fault of the file.
template <class F>
auto naming(const std::string& who, const F& f) {
  try {
    return f();
  } catch (const std::invalid_argument& error) {
    fail_io("{}: {}", who, error.what());
  }
}

std::optional<std::string> find_member(const ZipArchive& archive, const std::string& name) {
  const auto found = std::ranges::find(archive.names(), name);
  if (found == archive.names().end()) return {};
  return archive.read(static_cast<std::size_t>(found - archive.names().begin()));
}

std::string member(const ZipArchive& archive, const std::string& path, const std::string& name) {
  if (auto found = find_member(archive, name)) return *found;
  fail_io("{}: there is no {} in it", path, name);
}

LoadedModel load_legacy(const std::string& path, const LoadOptions& options) {
  const Hdf5Group root = parse_hdf5(read_file(path), path);
  return naming(path, [&] {
    const LoadedModel model = model_in(legacy_config(root, path), options, Weights::in_file);
    load_legacy_weights(*model, root, path);
    return model;
  });
}

}  // namespace

LoadedModel::LoadedModel(AnyLayer model)
    : layer_(std::move(model)), model_(dynamic_cast<Model*>(&*layer_)) {
  if (model_ == nullptr)
    fail("expected a model, found the layer {} ({})", layer_->name(), layer_->class_name());
}

void LoadedModel::refuse(const std::type_info& wanted) const {
  fail("{} ({}) is no {}", model_->name(), model_->class_name(), class_name_of(wanted));
}

void Model::save(const std::string& path) const {
  if (!path.ends_with(".keras"))
    fail("{} ({}): save: expected a path that ends in .keras, got {}", name(), class_name(), path);
  check_built("save", *this);
  write_file(path, format_keras(*this));
}

std::string Model::to_json() const {
  bool compiled = false;
  return format_json(model_option(*this, compiled));
}

LoadedModel load_model(const std::string& path, const LoadOptions& options) {
  if (path.ends_with(".h5") || path.ends_with(".hdf5")) return load_legacy(path, options);
  const ZipArchive archive(read_file(path), path);
  const std::string config_name = fmt::format("{}: {}", path, config_member),
                    weights_name = fmt::format("{}: {}", path, weights_member);
  Option config = parse_json(member(archive, path, config_member), config_name);
  LoadedModel model = naming(config_name, [&] {
    modernize(config);
    return model_in(config, options, Weights::in_file);
  });
  const Hdf5Group weights = parse_hdf5(member(archive, path, weights_member), weights_name);
  naming(weights_name, [&] { load_groups(*model, weights, weights_name); });
  load_vocabularies(
      *model, weights, [&](const std::string& name) { return find_member(archive, name); }, path);
  return model;
}

LoadedModel model_from_json(const std::string& json) {
  const Option config = parse_json(json, "model_from_json");
  return naming("model_from_json", [&] { return model_in(config, {}, Weights::initial); });
}

}  // namespace keratin
