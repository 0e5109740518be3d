// JSON as text, in which Keras writes configs. nlohmann-json parses and writes; nothing of it is
// seen here.
#pragma once

#include <string>
#include <string_view>

#include <keratin/core/config.h>

namespace keratin {

/// The value that the text holds. Whole numbers of 64 bits stay whole numbers; objects keep their
/// order. Throws std::runtime_error, which `who` begins, for what is no JSON, and for a key that an
/// object has twice.
Option parse_json(std::string_view text, const std::string& who);

/// One line, as Python's json.dumps writes it. Throws std::invalid_argument for NaN and infinity.
std::string format_json(const Option& value);

}  // namespace keratin
