// What a call throws, as text.
#pragma once

#include <exception>
#include <functional>
#include <string>

/// The message of the exception that f throws, or "no error".
inline std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "no error";
}
