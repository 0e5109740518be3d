// Convolutions as products of matrices, a block of rows at a time: each row of the first factor is
// what a window sees, gathered from x. Missing elements are 0. Raw pointers and sizes only.
#pragma once

#include <cstdint>

#include <keratin/core/windows.h>

namespace keratin::cpu {

/// x (batch, n, channels), y (batch, m, filters), kernel (size, channels / groups, filters), where
/// n, m and size stand for three axes each. A group of filters sees a group of channels.
struct Convolution {
  Windows windows;
  std::int64_t batch = 1, n[3] = {1, 1, 1}, m[3] = {1, 1, 1};
  std::int64_t channels = 1, filters = 1, groups = 1;

  std::int64_t outputs() const { return m[0] * m[1] * m[2]; }  ///< of one sample
  std::int64_t inputs() const { return n[0] * n[1] * n[2]; }
  /// What a filter sees of one window.
  std::int64_t depth() const { return windows.size() * (channels / groups); }
  bool is_depthwise() const { return groups == channels && filters == channels && channels > 1; }
  /// How many threads the work is worth.
  std::int64_t worth() const;
};

/// y = x * kernel + bias (filters), which may be null; relu: 0 where that is less.
template <class T>
void convolve(const Convolution& c, T* y, const T* x, const T* kernel, const T* bias, bool relu);
/// gx: the gradient of x for that of y.
template <class T>
void convolve_input_gradient(const Convolution& c, T* gx, const T* gy, const T* kernel);
template <class T>
void convolve_kernel_gradient(const Convolution& c, T* gk, const T* x, const T* gy);

/// y (batch, m, channels): the first largest element of each window, NaN being larger than all
/// numbers; index, which may be null: its position in x.
template <class T>
void max_pool(const Convolution& c, T* y, std::int32_t* index, const T* x);

}  // namespace keratin::cpu
