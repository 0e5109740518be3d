#include <algorithm>
#include <cmath>
#include <utility>

#include <nlohmann/json.hpp>

#include <keratin/core/internal/message.h>
#include <keratin/io/json.h>

namespace keratin {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t deepest = 500;  // lists and dictionaries in each other

// Builds the value while its text is read: objects of nlohmann-json that keep their order would
// take a time that grows with the square of their size.
class Builder : public nlohmann::json_sax<Json> {
 public:
  explicit Builder(const std::string& who) : who_(who) {}
  Option value() && { return std::move(root_); }

  bool null() override { return add({}); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(std::int64_t value) override { return add(value); }
  bool number_unsigned(std::uint64_t value) override {
    if (std::in_range<std::int64_t>(value)) return add(static_cast<std::int64_t>(value));
    return add(static_cast<double>(value));
  }
  bool number_float(double value, const std::string&) override { return add(value); }
  bool string(std::string& value) override { return add(std::move(value)); }
  bool binary(Json::binary_t&) override { return false; }  // no part of JSON

  bool start_array(std::size_t) override { return begin(std::vector<Option>()); }
  bool end_array() override { return end(); }
  bool start_object(std::size_t) override { return begin(Config()); }
  bool key(std::string& name) override {
    open_.back().key = std::move(name);
    return true;
  }
  bool end_object() override {
    std::vector<std::string_view> names;
    for (const auto& entry : std::get<Config>(open_.back().value)) names.push_back(entry.first);
    std::ranges::sort(names);
    if (const auto twice = std::ranges::adjacent_find(names); twice != names.end())
      fail_io("{}: the key \"{}\" twice in a dictionary", who_, *twice);
    return end();
  }

  bool parse_error(std::size_t, const std::string&,
                   const nlohmann::detail::exception& error) override {
    fail_io("{}: {}", who_, error.what());
  }

 private:
  // A list or a dictionary whose end has not come, and the key of its next value.
  struct Open {
    Option value;
    std::string key = {};
  };

  bool begin(Option value) {
    if (open_.size() == deepest)
      fail_io("{}: lists and dictionaries in each other, more than {} deep", who_, deepest);
    open_.push_back({std::move(value)});
    return true;
  }
  bool end() {
    Option value = std::move(open_.back().value);
    open_.pop_back();
    return add(std::move(value));
  }
  bool add(Option value) {
    if (open_.empty())
      root_ = std::move(value);
    else if (auto* list = std::get_if<std::vector<Option>>(&open_.back().value))
      list->push_back(std::move(value));
    else
      std::get<Config>(open_.back().value)
          .emplace_back(std::move(open_.back().key), std::move(value));
    return true;
  }

  const std::string& who_;
  Option root_;
  std::vector<Open> open_;
};

Json written(const Option& option) {
  if (auto* flag = std::get_if<bool>(&option)) return *flag;
  if (auto* whole = std::get_if<std::int64_t>(&option)) return *whole;
  if (auto* text = std::get_if<std::string>(&option)) return *text;
  if (auto* number = std::get_if<double>(&option)) {
    if (!std::isfinite(*number)) fail("json: {} cannot be written", *number);
    return *number;
  }
  if (auto* list = std::get_if<std::vector<Option>>(&option)) {
    Json json = Json::array();
    for (const Option& part : *list) json.push_back(written(part));
    return json;
  }
  if (auto* config = std::get_if<Config>(&option)) {
    Json json = Json::object();
    for (const auto& [name, value] : *config) json[name] = written(value);
    return json;
  }
  return nullptr;
}

}  // namespace

Option parse_json(std::string_view text, const std::string& who) {
  Builder builder(who);
  Json::sax_parse(text, &builder);
  return std::move(builder).value();
}

std::string format_json(const Option& value) {
  try {
    return written(value).dump();
  } catch (const nlohmann::json::exception& error) {
    fail("json: {}", error.what());
  }
}

}  // namespace keratin
