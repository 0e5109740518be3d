// The options of an optimizer, schedule, loss or metric by name, as Keras' get_config gives them:
// what a model file holds.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace keratin {

class LearningRate;
class LearningRateSchedule;

/// One option's value; monostate is Python's None.
using Option = std::variant<std::monostate, bool, std::int64_t, double, std::string,
                            std::vector<double>, std::shared_ptr<const LearningRateSchedule>>;

/// Names and values in Keras' order.
using Config = std::vector<std::pair<std::string, Option>>;

/// Where an object keeps one of its options. A list of these both writes and reads its Config.
struct Field {
  std::string name;
  std::variant<bool*, int*, std::int64_t*, double*, std::optional<double>*, std::optional<int>*,
               std::string*, std::vector<double>*, std::vector<int>*, LearningRate*>
      value;
};

/// The present values.
Config config_of(const std::vector<Field>& fields);

/// Writes what `config` gives; options that `fields` lacks are ignored when Keras' own defaults
/// (None, false) stand there. `who` begins the error message when a value has the wrong type or an
/// option is unknown.
void configure(const std::string& who, const std::vector<Field>& fields, const Config& config);

}  // namespace keratin
