// What compile was given, as a config (keras/src/trainers/trainer.py, get_compile_config).

#include <algorithm>
#include <concepts>

#include <keratin/core/internal/message.h>
#include <keratin/training/internal/trainer.h>

namespace keratin {
namespace {

using List = std::vector<Option>;

// A string stays a string.
Option as_option(const AnyMetric& metric) {
  return metric.identifier().empty() ? to_option(metric) : Option(metric.identifier());
}
Option as_option(const std::vector<AnyMetric>& list) {
  List metrics;
  for (const AnyMetric& metric : list) metrics.push_back(as_option(metric));
  return metrics;
}
Option as_option(const Loss& loss) {
  if (!loss.defined()) return {};
  return loss.identifier().empty() ? to_option(loss) : Option(loss.identifier());
}
Option as_option(double value) { return value; }

// One value, a list, a dictionary, or None.
template <class T>
Option as_option(const PerOutput<T>& given) {
  if (given.empty()) return {};
  if (given.is_single()) return as_option(given.list()[0]);
  List list;
  for (const T& value : given.list()) list.push_back(as_option(value));
  if (given.named().empty()) return list;
  Config named;
  for (const auto& [name, value] : given.named()) named.emplace_back(name, as_option(value));
  return named;
}

Option as_option(const Metrics& given) {
  if (given.empty()) return {};
  if (given.named().empty()) return as_option(given.list());
  Config named;
  for (const auto& [name, metrics] : given.named()) named.emplace_back(name, as_option(metrics));
  return named;
}

template <class T>
T read(const std::string& name, const Option& option, T value = {}) {
  const bool no_loss = std::same_as<T, Loss> && option.is_none();  // for this output
  if (!no_loss && !from_option(option, value))
    fail("compile: {}: {} is not known", name, text_of(option));
  return value;
}

// An object or a function, and not a dictionary of them.
bool is_object(const Option& option) {
  auto* config = std::get_if<Config>(&option);
  return config != nullptr && find_option(*config, "class_name") != nullptr;
}

/// Whether all objects say their module, without which Keras 3 does not find their class. Those in
/// files of Keras 2 have none.
bool has_modules(const Option& option) {
  if (auto* list = std::get_if<List>(&option)) return std::ranges::all_of(*list, has_modules);
  auto* config = std::get_if<Config>(&option);
  if (config == nullptr) return true;
  if (is_object(option) && find_option(*config, "module") == nullptr) return false;
  return std::ranges::all_of(*config, [](const auto& entry) { return has_modules(entry.second); });
}

template <class T>
PerOutput<T> read_per_output(const std::string& name, const Option& option) {
  if (option.is_none()) return {};
  if (auto* list = std::get_if<List>(&option)) {
    std::vector<T> values;
    for (const Option& one : *list) values.push_back(read<T>(name, one));
    return values;
  }
  if (is_object(option) || !std::holds_alternative<Config>(option))
    return PerOutput<T>(read<T>(name, option));
  std::map<std::string, T> named;
  for (const auto& [output, value] : std::get<Config>(option))
    named.emplace(output, read<T>(name, value));
  return named;
}

std::vector<AnyMetric> read_list(const std::string& name, const Option& option) {
  std::vector<AnyMetric> metrics;
  if (auto* list = std::get_if<List>(&option)) {
    for (const Option& one : *list)
      for (const AnyMetric& metric : read_list(name, one)) metrics.push_back(metric);
  } else if (!option.is_none()) {
    metrics.push_back(read<AnyMetric>(name, option, "mse"));
  }
  return metrics;
}

Metrics read_metrics(const std::string& name, const Option& option,
                     const std::vector<std::string>& outputs) {
  const auto* list = std::get_if<List>(&option);
  const bool by_name = std::holds_alternative<Config>(option) && !is_object(option);
  if (!by_name && (list == nullptr || outputs.size() < 2)) return read_list(name, option);

  // The lists of several outputs.
  std::vector<std::pair<std::string, MetricList>> named;
  auto add = [&](const std::string& output, const Option& metrics) {
    MetricList of_output({});
    for (const AnyMetric& metric : read_list(name, metrics)) of_output.push_back(metric);
    named.emplace_back(output, std::move(of_output));
  };
  if (by_name) {
    for (const auto& [output, metrics] : std::get<Config>(option)) add(output, metrics);
  } else {
    if (list->size() != outputs.size())
      fail("compile: {}: expected one for each of {} outputs, got {}", name, outputs.size(),
           list->size());
    for (std::size_t i = 0; i < outputs.size(); ++i) add(outputs[i], (*list)[i]);
  }
  return Metrics(std::move(named));
}

}  // namespace

Config Model::get_compile_config() const {
  if (!compiled()) return {};
  if (Config config = compilation().config; !config.empty()) {
    for (auto& [name, value] : config)
      if (name == "optimizer") value = to_option(*compilation().optimizer);
    return config;
  }
  const CompileOptions& given = compilation().options;
  return {{"optimizer", to_option(*compilation().optimizer)},
          {"loss", as_option(given.loss)},
          {"loss_weights", as_option(given.loss_weights)},
          {"metrics", as_option(given.metrics)},
          {"weighted_metrics", as_option(given.weighted_metrics)},
          {"run_eagerly", given.run_eagerly.value_or(false)},
          {"steps_per_execution", 1},
          {"jit_compile", "auto"}};
}

void Model::compile_from_config(const Config& config) {
  CompileOptions options;
  for (const auto& [name, value] : config) {
    if (name == "optimizer")
      options.optimizer = read<AnyOptimizer>(name, value);
    else if (name == "loss")
      options.loss = read_per_output<Loss>(name, value);
    else if (name == "loss_weights")
      options.loss_weights = read_per_output<double>(name, value);
    else if (name == "metrics")
      options.metrics = read_metrics(name, value, output_names());
    else if (name == "weighted_metrics")
      options.weighted_metrics = read_metrics(name, value, output_names());
    else if (bool eagerly = false; name == "run_eagerly" && from_option(value, eagerly) && eagerly)
      options.run_eagerly = true;
  }
  compile(options);
  if (has_modules(config)) compilation().config = config;
}

}  // namespace keratin
