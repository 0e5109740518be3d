// A model's weights in a .weights.h5 or .h5 file, and in a .npz file, each under its path.

#include <keratin/core/internal/message.h>
#include <keratin/io/file.h>
#include <keratin/io/json.h>
#include <keratin/io/npz.h>
#include <keratin/training/internal/saving.h>

#include <cstdlib>
#include <iterator>
#include <map>
#include <set>

namespace keratin {

namespace {

// Automatic names count on through a program: the second model's layers are dense_2 and dense_3.
// What makes a weight the same is its place: the model's name is left out, and among siblings names
// are numbered anew in their order, dense_2 and dense_3 becoming dense 0 and dense 1.
std::vector<std::string> places_of(const std::vector<std::string>& paths) {
  auto split_number = [](const std::string& name) {
    std::size_t end = name.find_last_not_of("0123456789");
    if (end == std::string::npos || end + 1 == name.size() || name[end] != '_')
      return std::pair{name, -1L};
    return std::pair{name.substr(0, end), std::atol(name.c_str() + end + 1)};
  };
  std::vector<std::string> rest, places(paths.size());
  for (const std::string& path : paths) rest.push_back(path.substr(path.find('/') + 1));
  for (bool more = true; more;) {
    more = false;
    std::map<std::pair<std::string, std::string>, std::set<long>> numbers;  // by place and base
    std::vector<std::pair<std::string, long>> heads;
    for (std::size_t i = 0; i < paths.size(); ++i) {
      std::size_t slash = rest[i].find('/');
      // The last part is the weight's own name: W_1 and W_2 are two weights.
      heads.push_back(slash == std::string::npos ? std::pair{rest[i], -2L}
                                                 : split_number(rest[i].substr(0, slash)));
      rest[i] = slash == std::string::npos ? "" : rest[i].substr(slash + 1);
      if (heads[i].second > -2) numbers[{places[i], heads[i].first}].insert(heads[i].second);
      more |= !rest[i].empty();
    }
    std::vector<std::string> next = places;
    for (std::size_t i = 0; i < paths.size(); ++i) {
      auto [base, number] = heads[i];
      if (base.empty()) continue;
      next[i] += "/" + base;
      if (number == -2) continue;
      const std::set<long>& all = numbers[{places[i], base}];
      next[i] += " " + std::to_string(std::distance(all.begin(), all.find(number)));
    }
    places = next;
  }
  return places;
}

enum class Format { npz, h5, legacy_h5, shards };

Format format_of(const char* who, const Model& model, const std::string& path) {
  if (path.ends_with(".npz")) return Format::npz;
  if (path.ends_with(".weights.h5")) return Format::h5;
  if (path.ends_with(".weights.json") && who == std::string("load_weights")) return Format::shards;
  if (path.ends_with(".h5") || path.ends_with(".hdf5")) return Format::legacy_h5;
  fail("{} ({}): {}: expected a path that ends in .weights.h5, .h5 or .npz{}, got {}", model.name(),
       model.class_name(), who, who == std::string("load_weights") ? " (or .weights.json)" : "",
       path);
}

/// Adds the groups and arrays of one file to those of the others.
void merge(Hdf5Group& whole, const Hdf5Group& part) {
  for (const auto& [name, inner] : part.groups) merge(whole.make_group(name), inner);
  whole.arrays.insert(whole.arrays.end(), part.arrays.begin(), part.arrays.end());
  if (whole.texts.empty()) whole.texts = part.texts;
}

/// Weights in several files, which a list of Keras's (max_shard_size) names beside itself:
/// {"weight_map": {"/layers/dense/vars": ["model_00000.weights.h5"]}}.
Hdf5Group read_shards(const std::string& path) {
  const Option list = parse_json(read_file(path), path);
  auto* config = std::get_if<Config>(&list);
  const Option* map = config == nullptr ? nullptr : find_option(*config, "weight_map");
  auto* entries = map == nullptr ? nullptr : std::get_if<Config>(map);
  if (entries == nullptr) fail_io("{}: expected a weight_map", path);
  std::set<std::string> files;
  for (const auto& [place, value] : *entries) {
    auto* several = std::get_if<std::vector<Option>>(&value);
    for (const Option& one : several == nullptr ? std::vector{value} : *several) {
      std::string name;
      if (!from_option(one, name)) fail_io("{}: {}: expected the names of files", path, place);
      if (name.find('/') != std::string::npos || !name.ends_with(".h5"))
        fail_io("{}: {}: expected the name of a .h5 file in the same folder, got \"{}\"", path,
                place, name);
      files.insert(name);
    }
  }
  const std::string folder = path.substr(0, path.find_last_of('/') + 1);
  Hdf5Group whole;
  for (const std::string& file : files)
    merge(whole, parse_hdf5(read_file(folder + file), folder + file));
  return whole;
}

}  // namespace

void Model::save_weights(const std::string& path) const {
  const Format format = format_of("save_weights", *this, path);
  check_built("save_weights", *this);
  if (format == Format::h5) return write_file(path, format_hdf5(weights_as_groups(*this)));
  if (format == Format::legacy_h5) return write_file(path, format_hdf5(legacy_weights(*this)));
  std::vector<std::pair<std::string, Tensor>> arrays;
  for (const Weight& weight : weights()) arrays.emplace_back(weight.path(), weight.value());
  save_npz(path, arrays);
}

void Model::load_weights(const std::string& path) {
  const Format format = format_of("load_weights", *this, path);
  check_built("load_weights", *this);
  if (format == Format::shards) return load_groups(*this, read_shards(path), path);
  if (format != Format::npz) {
    const Hdf5Group groups = parse_hdf5(read_file(path), path);
    // Keras 2 gave the extension .weights.h5 to files of its own form, too.
    if (groups.group("vars") != nullptr || groups.group("layers") != nullptr)
      return load_groups(*this, groups, path);
    return load_legacy_weights(*this, groups, path);
  }
  std::map<std::string, Tensor> arrays = load_npz(path);
  std::vector<std::string> names;
  for (const auto& [name, value] : arrays) names.push_back(name);
  std::vector<Weight> targets = weights();
  std::vector<std::string> paths;
  for (const Weight& weight : targets) paths.push_back(weight.path());
  std::map<std::string, std::string> found;  // by its place in the model: the name in the file
  std::vector<std::string> places = places_of(names);
  for (std::size_t i = 0; i < names.size(); ++i) found[places[i]] = names[i];
  std::string differences;
  std::vector<std::pair<Weight, const Tensor*>> plan;
  places = places_of(paths);
  for (std::size_t i = 0; i < targets.size(); ++i) {
    auto entry = found.find(places[i]);
    if (entry == found.end()) {
      differences += fmt::format("\n  {}: missing", paths[i]);
      continue;
    }
    const Tensor& value = arrays.at(entry->second);
    if (value.shape() != targets[i].shape())
      differences +=
          fmt::format("\n  {}: expected {}, found {}", paths[i], targets[i].shape(), value.shape());
    plan.emplace_back(targets[i], &value);
    found.erase(entry);
  }
  for (const auto& [place, name] : found)
    differences += fmt::format("\n  {}: not in the model", name);
  if (!differences.empty()) fail("{}: nothing was loaded:{}", path, differences);
  for (auto& [weight, value] : plan) weight.assign(*value);
}

}  // namespace keratin
