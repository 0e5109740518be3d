#include <keratin/core/internal/message.h>
#include <keratin/optim/config.h>
#include <keratin/optim/schedule.h>

namespace keratin {
namespace {

template <class T>
constexpr bool is_optional = false;
template <class T>
constexpr bool is_optional<std::optional<T>> = true;

Option read(const auto& value) {
  using T = std::remove_cvref_t<decltype(value)>;
  if constexpr (is_optional<T>) {
    return value ? read(*value) : Option();
  } else if constexpr (std::is_same_v<T, LearningRate>) {
    return value.is_schedule() ? Option(value.schedule()) : Option(value.at(0));
  } else if constexpr (std::is_same_v<T, int>) {
    return static_cast<std::int64_t>(value);
  } else if constexpr (std::is_same_v<T, std::vector<int>>) {
    return value.empty() ? Option() : Option(std::vector<double>(value.begin(), value.end()));
  } else {
    return value;
  }
}

/// Whether the option has a type that fits.
bool write(auto& value, const Option& option) {
  using T = std::remove_cvref_t<decltype(value)>;
  auto* whole = std::get_if<std::int64_t>(&option);
  if constexpr (is_optional<T>) {
    value.reset();
    return std::holds_alternative<std::monostate>(option) || write(value.emplace(), option);
  } else if constexpr (std::is_same_v<T, LearningRate>) {
    using Schedule = std::shared_ptr<const LearningRateSchedule>;
    if (auto* schedule = std::get_if<Schedule>(&option)) return value = *schedule, true;
    double number = 0;
    return write(number, option) && (value = number, true);
  } else if constexpr (std::is_same_v<T, double>) {
    if (whole != nullptr) return value = static_cast<double>(*whole), true;
    auto* number = std::get_if<double>(&option);
    return number != nullptr && (value = *number, true);
  } else if constexpr (std::is_same_v<T, int>) {
    return whole != nullptr && *whole >= INT32_MIN && *whole <= INT32_MAX &&
           (value = static_cast<int>(*whole), true);
  } else if constexpr (std::is_same_v<T, std::vector<double>>) {
    // None is an empty list, one number a list of one.
    if (std::holds_alternative<std::monostate>(option)) return value.clear(), true;
    if (double number = 0; write(number, option)) return value = {number}, true;
    auto* list = std::get_if<T>(&option);
    return list != nullptr && (value = *list, true);
  } else if constexpr (std::is_same_v<T, std::vector<int>>) {
    std::vector<double> list;
    return write(list, option) && (value = T(list.begin(), list.end()), true);
  } else {
    auto* same = std::get_if<T>(&option);
    return same != nullptr && (value = *same, true);
  }
}

bool is_left_out(const Option& option) {
  auto* flag = std::get_if<bool>(&option);
  return std::holds_alternative<std::monostate>(option) || (flag != nullptr && !*flag);
}

}  // namespace

Config config_of(const std::vector<Field>& fields) {
  Config config;
  for (const Field& field : fields)
    config.emplace_back(field.name,
                        std::visit([](auto* value) { return read(*value); }, field.value));
  return config;
}

void configure(const std::string& who, const std::vector<Field>& fields, const Config& config) {
  for (const auto& [name, option] : config) {
    bool known = false;
    for (const Field& field : fields) {
      if (field.name != name) continue;
      known = true;
      const Option& given = option;
      if (!std::visit([&](auto* value) { return write(*value, given); }, field.value))
        fail("{}: the value of option \"{}\" has the wrong type", who, name);
    }
    if (!known && name != "dtype" && !is_left_out(option))
      fail("{}: unknown option \"{}\"", who, name);
  }
}

}  // namespace keratin
