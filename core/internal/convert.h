// One element from a type to another, by the rules of astype. The same on every device.
#pragma once

#include <limits>
#include <type_traits>

namespace keratin {

template <class To, class From>
constexpr To convert(From x) {
  if constexpr (std::is_same_v<To, bool>) {
    return x != From(0);
  } else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>) {
    // Truncates as C does; what fits nowhere becomes the nearest bound, NaN becomes 0.
    if (x != x) return 0;
    if (x <= static_cast<From>(-2147483648.0)) return std::numeric_limits<To>::min();
    if (x >= static_cast<From>(2147483648.0)) return std::numeric_limits<To>::max();
    return static_cast<To>(x);
  } else {
    return static_cast<To>(x);
  }
}

}  // namespace keratin
