#include <algorithm>
#include <cmath>

#include <keratin/core/config.h>
#include <keratin/core/internal/message.h>

namespace keratin {
namespace {

std::optional<double> number_in(const Option& option) {
  if (auto* whole = std::get_if<std::int64_t>(&option)) return static_cast<double>(*whole);
  if (auto* number = std::get_if<double>(&option)) return *number;
  return {};
}

template <class T>
bool read_list(const Option& option, std::vector<T>& values) {
  values.clear();
  if (option.is_none()) return true;
  if (T one{}; from_option(option, one)) return values = {one}, true;
  auto* list = std::get_if<std::vector<Option>>(&option);
  if (list == nullptr) return false;
  return std::ranges::all_of(
      *list, [&](const Option& part) { return from_option(part, values.emplace_back()); });
}

template <class T>
Option write_list(const std::vector<T>& values) {
  std::vector<Option> list;
  for (const T& value : values) list.push_back(to_option(value));
  return list;
}

bool is_left_out(const Option& option) {
  auto* flag = std::get_if<bool>(&option);
  return option.is_none() || (flag != nullptr && !*flag);
}

bool same(const Option& a, const Option& b) {
  if (auto x = number_in(a), y = number_in(b); x && y) return *x == *y;
  return text_of(a) == text_of(b);
}

}  // namespace

std::string text_of(const Option& option) {
  if (auto* flag = std::get_if<bool>(&option)) return *flag ? "true" : "false";
  if (auto* whole = std::get_if<std::int64_t>(&option)) return std::to_string(*whole);
  if (auto* number = std::get_if<double>(&option)) return fmt::format("{}", *number);
  if (auto* text = std::get_if<std::string>(&option)) return '"' + *text + '"';
  if (auto* list = std::get_if<std::vector<Option>>(&option)) {
    std::vector<std::string> parts;
    for (const Option& part : *list) parts.push_back(text_of(part));
    return fmt::format("[{}]", fmt::join(parts, ", "));
  }
  if (auto object = object_in(option)) return object->first;
  return option.is_none() ? "none" : "a dictionary";
}

Option::Option() = default;
Option::Option(bool value) : variant(value) {}
Option::Option(int value) : variant(std::int64_t{value}) {}
Option::Option(std::int64_t value) : variant(value) {}
Option::Option(double value) : variant(value) {}
Option::Option(const char* text) : variant(std::string(text)) {}
Option::Option(std::string text) : variant(std::move(text)) {}
Option::Option(std::vector<Option> list) : variant(std::move(list)) {}
Option::Option(Config object) : variant(std::move(object)) {}
Option::Option(const Option&) = default;
Option::Option(Option&&) noexcept = default;
Option& Option::operator=(const Option&) = default;
Option& Option::operator=(Option&&) noexcept = default;
Option::~Option() = default;

const Option* find_option(const Config& config, const std::string& name) {
  for (const auto& [option, value] : config)
    if (option == name) return &value;
  return nullptr;
}

Option object_option(const std::string& module, const std::string& class_name, Config config) {
  const auto end = class_name.find('>');
  const bool own = end != std::string::npos;
  // What Keras does not export goes by its own name.
  const bool named = own || module.starts_with("keras.src");
  return Config{{"module", own ? Option() : Option(module)},
                {"class_name", own ? class_name.substr(end + 1) : class_name},
                {"config", std::move(config)},
                {"registered_name", named ? Option(class_name) : Option()}};
}

Option function_option(const std::string& name) {
  return Config{{"module", "builtins"},
                {"class_name", "function"},
                {"config", name},
                {"registered_name", "function"}};
}

std::optional<std::string> function_in(const Option& option) {
  auto* object = std::get_if<Config>(&option);
  const Option *class_name = object == nullptr ? nullptr : find_option(*object, "class_name"),
               *name = object == nullptr ? nullptr : find_option(*object, "config");
  std::string kind, text;
  if (class_name == nullptr || name == nullptr || !from_option(*class_name, kind) ||
      kind != "function" || !from_option(*name, text))
    return {};
  return text;
}

std::optional<std::pair<std::string, Config>> object_in(const Option& option) {
  auto* object = std::get_if<Config>(&option);
  const Option *name = object == nullptr ? nullptr : find_option(*object, "class_name"),
               *config = object == nullptr ? nullptr : find_option(*object, "config");
  if (name == nullptr || config == nullptr || !std::holds_alternative<std::string>(*name) ||
      !std::holds_alternative<Config>(*config))
    return {};
  const Option* registered = find_option(*object, "registered_name");
  std::string full;
  if (registered == nullptr || !from_option(*registered, full) || full.find('>') == full.npos)
    full = std::get<std::string>(*name);
  return std::pair{full, std::get<Config>(*config)};
}

Option to_option(const std::vector<double>& value) { return write_list(value); }
Option to_option(const std::vector<int>& value) {
  return value.empty() ? Option() : write_list(value);
}
Option to_option(const Shape& value) {
  std::vector<Option> list;
  for (std::int64_t extent : value) list.push_back(extent == None ? Option() : Option(extent));
  return list;
}

bool from_option(const Option& option, bool& value) {
  auto* same = std::get_if<bool>(&option);
  return same != nullptr && (value = *same, true);
}
bool from_option(const Option& option, std::int64_t& value) {
  auto* whole = std::get_if<std::int64_t>(&option);
  return whole != nullptr && (value = *whole, true);
}
bool from_option(const Option& option, std::uint64_t& value) {
  auto* whole = std::get_if<std::int64_t>(&option);
  return whole != nullptr && *whole >= 0 && (value = static_cast<std::uint64_t>(*whole), true);
}
bool from_option(const Option& option, int& value) {
  auto* whole = std::get_if<std::int64_t>(&option);
  return whole != nullptr && *whole >= INT32_MIN && *whole <= INT32_MAX &&
         (value = static_cast<int>(*whole), true);
}
bool from_option(const Option& option, double& value) {
  auto number = number_in(option);
  return number && (value = *number, true);
}
bool from_option(const Option& option, std::string& value) {
  auto* text = std::get_if<std::string>(&option);
  return text != nullptr && (value = *text, true);
}
bool from_option(const Option& option, std::vector<double>& value) {
  return read_list(option, value);
}
bool from_option(const Option& option, std::vector<int>& value) { return read_list(option, value); }
bool from_option(const Option& option, Shape& value) {
  auto* list = std::get_if<std::vector<Option>>(&option);
  if (list == nullptr || list->size() > 8) return false;
  value = {};
  for (const Option& part : *list) {
    std::int64_t extent = None;
    if (!part.is_none() && !from_option(part, extent)) return false;
    value.push_back(extent);
  }
  return true;
}

bool from_option(const Option& option, DType& value) {
  std::string name;
  const auto object = object_in(option);
  const Option* inner = object ? find_option(object->second, "name") : nullptr;
  if (!from_option(inner == nullptr ? option : *inner, name)) return false;
  for (DType dtype : {float32, float64, int32, boolean})
    if (name == name_of(dtype)) return value = dtype, true;
  return false;
}

// --- rules

Check at_least(double least) {
  return {fmt::format("of at least {}", least), [=](const Option& option) {
            auto number = number_in(option);
            return !number || *number >= least;
          }};
}
Check between(double low, double high) {
  return {fmt::format("between {} and {}", low, high), [=](const Option& option) {
            auto number = number_in(option);
            return !number || (*number >= low && *number <= high);
          }};
}
Check one_of(std::vector<std::string> words) {
  std::string rule = words.back();
  if (words.size() > 1)
    rule = fmt::format("{} or {}", fmt::join(words.begin(), words.end() - 1, ", "), words.back());
  return {rule, [words = std::move(words)](const Option& option) {
            auto* text = std::get_if<std::string>(&option);
            return text == nullptr || std::ranges::find(words, *text) != words.end();
          }};
}

// --- fields

Field Field::fixed(std::string name, Option value) {
  Field field = without_effect(std::move(name), value);
  field.set = [value](const Option& given) { return same(given, value); };
  field.is_fixed = true;
  return field;
}
Field Field::without_effect(std::string name, Option value) {
  Field field;
  field.name = std::move(name);
  field.get = [value] { return value; };
  field.set = [](const Option&) { return true; };
  return field;
}

Config config_of(const std::vector<Field>& fields) {
  Config config;
  for (const Field& field : fields) config.emplace_back(field.name, field.get());
  return config;
}

void check_fields(const std::string& who, const std::vector<Field>& fields) {
  for (const Field& field : fields) {
    if (!field.check.holds) continue;
    const Option value = field.get();
    if (!field.check.holds(value))
      fail("{}: expected {} {}, got {}", who, field.name, field.check.rule, text_of(value));
  }
}

void configure(const std::string& who, const std::vector<Field>& fields, const Config& config) {
  for (const auto& [name, option] : config) {
    auto field = std::ranges::find(fields, name, &Field::name);
    if (field != fields.end()) {
      if (field->set(option)) continue;
      if (field->is_fixed)
        fail("{}: {}: only {} is known, got {}", who, name, text_of(field->get()), text_of(option));
      fail("{}: the value of option \"{}\" has the wrong type", who, name);
    }
    if (name != "dtype" && !is_left_out(option)) fail("{}: unknown option \"{}\"", who, name);
  }
  check_fields(who, fields);
}

}  // namespace keratin
