#include <cmath>
#include <nlohmann/json.hpp>

#include <keratin/core/internal/message.h>
#include <keratin/io/json.h>

namespace keratin {
namespace {

using Json = nlohmann::ordered_json;

Option read(const Json& json) {
  switch (json.type()) {
    case Json::value_t::boolean:
      return json.get<bool>();
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
      return json.get<std::int64_t>();
    case Json::value_t::number_float:
      return json.get<double>();
    case Json::value_t::string:
      return json.get<std::string>();
    case Json::value_t::array: {
      std::vector<Option> list;
      for (const Json& part : json) list.push_back(read(part));
      return list;
    }
    case Json::value_t::object: {
      Config config;
      for (const auto& [name, value] : json.items()) config.emplace_back(name, read(value));
      return config;
    }
    default:
      return {};
  }
}

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
  try {
    return read(Json::parse(text, [&](int depth, Json::parse_event_t, Json&) {
      if (depth > 500) fail_io("{}: lists and dictionaries in each other, more than 500 deep", who);
      return true;
    }));
  } catch (const nlohmann::json::exception& error) {
    fail_io("{}: {}", who, error.what());
  }
}

std::string format_json(const Option& value) {
  try {
    return written(value).dump();
  } catch (const nlohmann::json::exception& error) {
    fail("json: {}", error.what());
  }
}

}  // namespace keratin
