// The objects that real Keras computed golden cases with, by their configs
// (tests/golden/configs.json, made by tools/golden/configs.py).
#pragma once

#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include <keratin/core/config.h>
#include <keratin/io/file.h>
#include <keratin/io/json.h>

namespace keratin {

struct GoldenConfig {
  std::string kind;  // "layer", "loss", ...
  std::string class_name;
  Config config;
  std::vector<std::string> cases;  // in the .npz file of the kind
};

/// All of a kind.
inline std::vector<GoldenConfig> golden_configs(const std::string& kind) {
  const std::string file = KERATIN_SOURCE_DIR "/tests/golden/configs.json";
  static const Option all = parse_json(read_file(file), file);
  std::vector<GoldenConfig> found;
  for (const Option& option : std::get<std::vector<Option>>(all)) {
    const auto& row = std::get<std::vector<Option>>(option);
    if (std::get<std::string>(row[0]) != kind) continue;
    found.push_back({kind, std::get<std::string>(row[1]), std::get<Config>(row[2]), {}});
    for (const Option& name : std::get<std::vector<Option>>(row[3]))
      found.back().cases.push_back(std::get<std::string>(name));
  }
  return found;
}

/// The object of each case.
inline std::map<std::string, GoldenConfig> golden_cases(const std::string& kind) {
  std::map<std::string, GoldenConfig> by_case;
  for (const GoldenConfig& row : golden_configs(kind))
    for (const std::string& name : row.cases)
      if (!by_case.emplace(name, row).second)
        throw std::logic_error("two objects for the golden case " + name);
  return by_case;
}

}  // namespace keratin
