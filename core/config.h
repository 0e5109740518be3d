// The options of an object by name, as Keras's get_config gives them: what a model file holds.
//
// A class states its options once, as a list of Fields: name, member, and what must be true of it.
// The list writes a Config, reads one, and checks what a user gave.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <keratin/core/dtype.h>
#include <keratin/core/shape.h>

namespace keratin {

struct Option;

/// Names and values in Keras's order.
using Config = std::vector<std::pair<std::string, Option>>;

/// One option's value; monostate is Python's None. A Config stands for an object or a dictionary.
struct Option : std::variant<std::monostate, bool, std::int64_t, double, std::string,
                             std::vector<Option>, Config> {
  Option();
  Option(bool value);
  Option(int value);
  Option(std::int64_t value);
  Option(double value);
  Option(const char* text);
  Option(std::string text);
  Option(std::vector<Option> list);
  Option(Config object);
  Option(const Option&);
  Option(Option&&) noexcept;
  Option& operator=(const Option&);
  Option& operator=(Option&&) noexcept;
  ~Option();
  bool is_none() const { return std::holds_alternative<std::monostate>(*this); }
};

/// As a message shows it.
std::string text_of(const Option& option);

/// The option of that name, or null.
const Option* find_option(const Config& config, const std::string& name);
const Option* find_option(Config&&, const std::string&) = delete;  // it would not outlive the call

/// What makes an Any that holds a T: `make`, or else T's constructor without arguments, or nothing.
template <class Any, class T>
std::function<Any()> maker_of(const std::function<T()>& make) {
  if (make) return [make] { return Any(make()); };
  if constexpr (std::default_initializable<T>) return [] { return Any(T()); };
  return nullptr;
}

/// An object as Keras writes it, {"module", "class_name", "config", "registered_name"}. A class of
/// one's own is "package>Name".
Option object_option(const std::string& module, const std::string& class_name, Config config);
/// The class and config of such an object, or nothing.
std::optional<std::pair<std::string, Config>> object_in(const Option& option);
/// A function that was registered as "package>name".
Option function_option(const std::string& name);
/// The name of such a function, or nothing.
std::optional<std::string> function_in(const Option& option);

// --- options and C++ values. A type joins by two functions of these names in its namespace; the
// second says whether the option fits the type.

inline Option to_option(bool value) { return value; }
inline Option to_option(int value) { return value; }
inline Option to_option(std::int64_t value) { return value; }
inline Option to_option(double value) { return value; }
inline Option to_option(const std::string& value) { return value; }
Option to_option(const std::vector<double>& value);
Option to_option(const std::vector<int>& value);
Option to_option(const Shape& value);
bool from_option(const Option& option, bool& value);
bool from_option(const Option& option, int& value);
bool from_option(const Option& option, std::int64_t& value);
bool from_option(const Option& option, std::uint64_t& value);
bool from_option(const Option& option, double& value);
bool from_option(const Option& option, std::string& value);
bool from_option(const Option& option, std::vector<double>& value);  ///< None: empty
bool from_option(const Option& option, std::vector<int>& value);
bool from_option(const Option& option, Shape& value);
bool from_option(const Option& option, DType& value);  ///< a name, or Keras's policy of that name
inline Option to_option(std::uint64_t value) { return static_cast<std::int64_t>(value); }
template <class T>
Option to_option(const std::optional<T>& value) {
  return value ? to_option(*value) : Option();
}
template <class T>
bool from_option(const Option& option, std::optional<T>& value) {
  value.reset();
  return option.is_none() || from_option(option, value.emplace());
}

/// What must be true of an option; the text completes "expected units ..., got 0".
struct Check {
  std::string rule = {};
  std::function<bool(const Option&)> holds = {};
};
Check at_least(double least);
Check between(double low, double high);
Check one_of(std::vector<std::string> words);

/// Where an object keeps one of its options.
struct Field {
  template <class T>
  Field(std::string option, T* member, Check rule = {})
      : name(std::move(option)),
        get([member] { return to_option(*member); }),
        set([member](const Option& value) { return from_option(value, *member); }),
        check(std::move(rule)) {}
  /// Where a value is not simply a member.
  Field(std::string option, std::function<Option()> read, std::function<bool(const Option&)> write,
        Check rule = {})
      : name(std::move(option)),
        get(std::move(read)),
        set(std::move(write)),
        check(std::move(rule)) {}
  /// An option of Keras that has one value here; others are refused.
  static Field fixed(std::string name, Option value);
  /// An option of Keras that changes no number: any value is accepted.
  static Field without_effect(std::string name, Option value);

  std::string name;
  std::function<Option()> get;
  std::function<bool(const Option&)> set;  ///< false when the value does not fit
  Check check;
  bool is_fixed = false;

 private:
  Field() = default;
};

/// The present values.
Config config_of(const std::vector<Field>& fields);

/// Throws std::invalid_argument for a value that breaks its rule: "Dense: expected units of at
/// least 1, got 0".
void check_fields(const std::string& who, const std::vector<Field>& fields);

/// Writes what `config` gives, and checks it; options that `fields` lacks are ignored when Keras's
/// own defaults (None, false) stand there. `who` begins the error message when a value has the
/// wrong type or an option is unknown.
void configure(const std::string& who, const std::vector<Field>& fields, const Config& config);

}  // namespace keratin
