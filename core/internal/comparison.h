// What the comparisons of core/kernels.h compute, on every device.
#pragma once

#include <functional>

#include <keratin/core/kernels.h>

namespace keratin {

/// Calls f with a function object that compares two numbers.
template <class F>
constexpr void with_comparison(Comparison op, const F& f) {
  switch (op) {
    case Comparison::equal:
      return f(std::equal_to<>{});
    case Comparison::not_equal:
      return f(std::not_equal_to<>{});
    case Comparison::less:
      return f(std::less<>{});
    case Comparison::less_equal:
      return f(std::less_equal<>{});
    case Comparison::greater:
      return f(std::greater<>{});
    case Comparison::greater_equal:
      return f(std::greater_equal<>{});
    case Comparison::logical_and:
      return f([](auto a, auto b) { return a != 0 && b != 0; });
    case Comparison::logical_or:
      return f([](auto a, auto b) { return a != 0 || b != 0; });
    case Comparison::logical_xor:
      return f([](auto a, auto b) { return (a != 0) != (b != 0); });
  }
}

}  // namespace keratin
