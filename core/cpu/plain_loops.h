// Loops of plain C++ over operands of any types: copies and conversions, comparisons, selection.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <type_traits>

#include <keratin/core/cpu/run_loop.h>
#include <keratin/core/internal/convert.h>
#include <keratin/core/tensor.h>

namespace keratin::cpu {

// Calls f with a value of the C++ type of `dtype`; bool is stored as one byte, 0 or 1.
template <class F>
void with_type(DType dtype, const F& f) {
  switch (dtype) {
    case float32:
      return f(float{});
    case float64:
      return f(double{});
    case int32:
      return f(std::int32_t{});
    case boolean:
      return f(bool{});
  }
}

// A loop of plain C++ over operands of any types: row(pointers, strides, n).
template <class Row>
void visit_rows(const Loop& loop, const void* row) {
  int last = loop.rank - 1;
  std::int64_t stride[Loop::max_operands];
  for (int k = 0; k < loop.operands; ++k) stride[k] = loop.stride[k][last];
  for_rows(loop,
           [&](char* const* p) { (*static_cast<const Row*>(row))(p, stride, loop.size[last]); });
}

template <class Row>
void for_each_row(const Shape& shape, std::initializer_list<Tensor> tensors, const Row& row) {
  run_loop(plan_loop(shape, {{tensors.begin(), tensors.size()}}), visit_rows<Row>, &row);
}

template <class T>
void copy_row(T* to, std::int64_t to_stride, const T* from, std::int64_t from_stride,
              std::int64_t n) {
  if (to_stride == 1 && from_stride == 1)
    std::memmove(to, from, static_cast<std::size_t>(n) * sizeof(T));
  else if (to_stride == 1 && from_stride == 0)
    std::fill_n(to, n, *from);
  else
    for (std::int64_t j = 0; j < n; ++j) to[j * to_stride] = from[j * from_stride];
}

template <class To, class From>
void copy_rows(const Tensor& y, const Tensor& x) {
  for_each_row(y.shape(), {y, x}, [](char* const* p, const std::int64_t* s, std::int64_t n) {
    auto* to = reinterpret_cast<To*>(p[0]);
    auto* from = reinterpret_cast<const From*>(p[1]);
    if constexpr (std::is_same_v<To, From>)
      copy_row(to, s[0], from, s[1], n);
    else if (s[0] == 1 && s[1] == 1)
      for (std::int64_t j = 0; j < n; ++j) to[j] = convert<To>(from[j]);
    else
      for (std::int64_t j = 0; j < n; ++j) to[j * s[0]] = convert<To>(from[j * s[1]]);
  });
}

// y[j] = f(a[j], b[j]). The usual strides stand here as constants, so that the loop is vectorized.
template <class To, class T, class F>
void combine_row(To* y, const T* a, const T* b, const std::int64_t* s, std::int64_t n, F f) {
  if (s[0] == 1 && s[1] == 1 && s[2] == 1) {
    for (std::int64_t j = 0; j < n; ++j) y[j] = f(a[j], b[j]);
  } else if (s[0] == 1 && s[1] == 1 && s[2] == 0) {
    const T second = *b;
    for (std::int64_t j = 0; j < n; ++j) y[j] = f(a[j], second);
  } else {
    for (std::int64_t j = 0; j < n; ++j) y[j * s[0]] = f(a[j * s[1]], b[j * s[2]]);
  }
}

}  // namespace keratin::cpu
