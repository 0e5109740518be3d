// What is computed channel by channel: the products of a depthwise convolution, the largest
// elements of a pooling. Compiled once for each instruction set; raw pointers and sizes only.
#pragma once

#include <cstdint>

#include <keratin/core/cpu/reductions.h>

namespace keratin::cpu {

/// Places of n numbers each, counted from the start of an array.
using Places = const std::int64_t*;

struct ChannelKernels {
  /// y (n) = the sum over t of what lies in a times what lies in b, each at its place t, plus start
  /// (n), which may be null.
  void (*sum)(void* y, const void* start, const void* a, Places a_at, const void* b, Places b_at,
              std::int64_t terms, std::int64_t n);
  /// Adds what lies in a at its place t, times b (n), to y at its place t, for each t.
  void (*add)(void* y, Places y_at, const void* a, Places a_at, const void* b, std::int64_t terms,
              std::int64_t n);
  /// y (n) = the first largest of what lies in x at its places, NaN being larger than all numbers.
  /// index (n), which may be null: where it lies in x, plus start. There is at least one term.
  void (*largest)(void* y, std::int32_t* index, const void* x, Places x_at, std::int64_t start,
                  std::int64_t terms, std::int64_t n);
};

/// x y + z
template <class Number>
Number add_product(const Number& x, const Number& y, const Number& z) {
  if constexpr (requires { multiply_add(x, y, z); })
    return multiply_add(x, y, z);
  else
    return x * y + z;
}

template <class Lane>
void sum_channel_products(void* y, const void* start, const void* a, Places a_at, const void* b,
                          Places b_at, std::int64_t terms, std::int64_t n) {
  using Stored = typename Lane::Stored;
  for (std::int64_t j = 0; j < n; j += Lane::width) {
    const std::int64_t m = n - j < Lane::width ? n - j : Lane::width;
    const Stored* left = static_cast<const Stored*>(a) + j;
    const Stored* right = static_cast<const Stored*>(b) + j;
    typename Lane::Number sum(0.0);
    if (start != nullptr) sum = load_some<Lane>(static_cast<const Stored*>(start) + j, m, 0);
    for (std::int64_t t = 0; t < terms; ++t)
      sum = add_product(load_some<Lane>(left + a_at[t], m, 0),
                        load_some<Lane>(right + b_at[t], m, 0), sum);
    Lane::store(static_cast<Stored*>(y) + j, 1, sum, m);
  }
}

template <class Lane>
void add_channel_products(void* y, Places y_at, const void* a, Places a_at, const void* b,
                          std::int64_t terms, std::int64_t n) {
  using Stored = typename Lane::Stored;
  for (std::int64_t j = 0; j < n; j += Lane::width) {
    const std::int64_t m = n - j < Lane::width ? n - j : Lane::width;
    const Stored* left = static_cast<const Stored*>(a) + j;
    Stored* to = static_cast<Stored*>(y) + j;
    const auto right = load_some<Lane>(static_cast<const Stored*>(b) + j, m, 0);
    for (std::int64_t t = 0; t < terms; ++t)
      Lane::store(to + y_at[t], 1,
                  add_product(load_some<Lane>(left + a_at[t], m, 0), right,
                              load_some<Lane>(to + y_at[t], m, 0)),
                  m);
  }
}

template <class Lane>
void largest_of_channels(void* y, std::int32_t* index, const void* x, Places x_at,
                         std::int64_t start, std::int64_t terms, std::int64_t n) {
  using namespace fn;
  using Stored = typename Lane::Stored;
  using Number = typename Lane::Number;
  for (std::int64_t j = 0; j < n; j += Lane::width) {
    const std::int64_t m = n - j < Lane::width ? n - j : Lane::width;
    const Stored* from = static_cast<const Stored*>(x) + j;
    Number top = load_some<Lane>(from + x_at[0], m, 0), term(0.0);
    for (std::int64_t t = 1; t < terms; ++t) {
      const Number value = load_some<Lane>(from + x_at[t], m, 0);
      auto chosen = [&](const Number& fresh, const Number& kept) {
        return where(value <= top, kept, where(top == top, fresh, kept));
      };
      if (index != nullptr) term = chosen(Number(static_cast<double>(t)), term);
      top = chosen(value, top);
    }
    Lane::store(static_cast<Stored*>(y) + j, 1, top, m);
    if (index == nullptr) continue;
    Stored numbers[Lane::width];
    Lane::store(numbers, 1, term, Lane::width);
    for (std::int64_t i = 0; i < m; ++i)
      index[j + i] =
          static_cast<std::int32_t>(start + x_at[static_cast<std::int64_t>(numbers[i])] + j + i);
  }
}

}  // namespace keratin::cpu
