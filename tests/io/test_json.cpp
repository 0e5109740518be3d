// JSON as text: what is read is what was written, and files of strangers take no more time and say
// no other thing than they seem to.

#include <doctest/doctest.h>

#include <cstdint>
#include <string>

#include <keratin/io/json.h>

#include "error_of.h"

TEST_SUITE_BEGIN("io");

using namespace keratin;

TEST_CASE("a whole number beyond 64 bits is read as float64, and never as another one") {
  CHECK(parse_json("9223372036854775807", "t") == Option(INT64_MAX));
  CHECK(parse_json("9223372036854775808", "t") == Option(9223372036854775808.0));
  CHECK(parse_json("18446744073709551615", "t") == Option(18446744073709551616.0));
  CHECK(parse_json("-9223372036854775808", "t") == Option(INT64_MIN));
}

TEST_CASE("a key that a dictionary has twice is refused") {
  CHECK(error_of([] { parse_json(R"({"units":1,"name":"a","units":2})", "file"); }) ==
        "file: the key \"units\" twice in a dictionary");
  CHECK(format_json(parse_json(R"([{"a":1},{"a":{"a":2}}])", "t")) == R"([{"a":1},{"a":{"a":2}}])");
}

TEST_CASE("a dictionary of many keys is read in a time that grows with its size alone") {
  std::string text = "{";
  constexpr int keys = 200'000;  // at one pass over the keys for each key, minutes
  for (int i = 0; i < keys; ++i) text += (i > 0 ? ",\"" : "\"") + std::to_string(i) + "\":0";
  CHECK(std::get<Config>(parse_json(text + "}", "t")).size() == keys);
}

TEST_CASE("lists and dictionaries may lie in each other 500 deep") {
  auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  CHECK(format_json(parse_json(nested(500), "t")) == nested(500));
  CHECK(error_of([&] { parse_json(nested(501), "t"); }) ==
        "t: lists and dictionaries in each other, more than 500 deep");
}

TEST_CASE("what is no JSON is an error that names the place") {
  for (const char* text : {"", "{", "[1,]", "nul", "{\"a\"}", "1 2", "\"\xff\"", "1e999", "NaN"}) {
    CAPTURE(text);
    CHECK(error_of([&] { parse_json(text, "file.json"); }).starts_with("file.json: "));
  }
}
