// Error messages: who, which rule, what came. The library formats with fmt; users never see it.
#pragma once

#include <fmt/core.h>
#include <fmt/format.h>
#include <cstdio>
#include <stdexcept>

#include <keratin/core/dtype.h>
#include <keratin/core/shape.h>

template <>
struct fmt::formatter<keratin::Shape> : fmt::formatter<std::string> {
  auto format(const keratin::Shape& shape, format_context& context) const {
    return fmt::formatter<std::string>::format(shape.str(), context);
  }
};

template <>
struct fmt::formatter<keratin::DType> : fmt::formatter<fmt::string_view> {
  auto format(keratin::DType dtype, format_context& context) const {
    auto name = keratin::name_of(dtype);
    return fmt::formatter<fmt::string_view>::format({name.data(), name.size()}, context);
  }
};

namespace keratin {

/// Throws std::invalid_argument with the formatted message: a caller's mistake.
template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw std::invalid_argument(fmt::format(format, std::forward<Args>(args)...));
}

/// Throws std::runtime_error: a fault of a file or of the system.
template <class... Args>
[[noreturn]] void fail_io(fmt::format_string<Args...> format, Args&&... args) {
  throw std::runtime_error(fmt::format(format, std::forward<Args>(args)...));
}

void print_warning(const std::string& text);
/// Prints "Warning: ..." on standard error: nothing is wrong yet, but hardly meant.
template <class... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
  print_warning(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace keratin
