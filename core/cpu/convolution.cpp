#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include <keratin/core/cpu/convolution.h>
#include <keratin/core/cpu/depthwise.h>
#include <keratin/core/cpu/gemm.h>
#include <keratin/core/cpu/window_runs.h>

namespace keratin::cpu {
namespace {

// Rows of patches at a time: some 256 kB of numbers, which stay in the cache beside the kernel.
std::int64_t block_rows(std::int64_t depth) {
  return std::clamp<std::int64_t>((std::int64_t{1} << 16) / std::max<std::int64_t>(depth, 1), 16,
                                  1024);
}

// A short run is copied by a loop: for a few numbers, a call of memmove takes longer.
template <class T>
void copy_run(const T* from, std::int64_t n, T* to) {
  if (n > 8) {
    std::copy_n(from, n, to);
    return;
  }
  for (std::int64_t i = 0; i < n; ++i) to[i] = from[i];
}

// patches (rows, groups, size, channels / groups) of the outputs from `begin` on, counted over the
// whole batch.
template <class T>
void gather(const Convolution& c, T* patches, const T* x, std::int64_t begin, std::int64_t rows) {
  const std::int64_t width = c.channels / c.groups, depth = c.depth();
  for (std::int64_t r = 0; r < rows; ++r, patches += c.groups * depth) {
    const T* sample = x + (begin + r) / c.outputs() * c.inputs() * c.channels;
    for_runs(c, (begin + r) % c.outputs(),
             [&](std::int64_t k, std::int64_t position, std::int64_t length) {
               if (position < 0) {
                 for (std::int64_t g = 0; g < c.groups; ++g)
                   std::fill_n(patches + g * depth + k * width, length * width, T(0));
               } else if (c.groups == 1) {
                 copy_run(sample + position * width, length * width, patches + k * width);
               } else {
                 for (std::int64_t g = 0; g < c.groups; ++g)
                   for (std::int64_t j = 0; j < length; ++j)
                     std::copy_n(sample + (position + j) * c.channels + g * width, width,
                                 patches + g * depth + (k + j) * width);
               }
             });
  }
}

// The other way: adds the rows of patches to where they come from.
template <class T>
void scatter(const Convolution& c, T* x, const T* patches, std::int64_t begin, std::int64_t rows) {
  const std::int64_t width = c.channels / c.groups, depth = c.depth();
  auto add = [](T* to, const T* from, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) to[i] += from[i];
  };
  for (std::int64_t r = 0; r < rows; ++r, patches += c.groups * depth) {
    T* sample = x + (begin + r) / c.outputs() * c.inputs() * c.channels;
    for_runs(c, (begin + r) % c.outputs(),
             [&](std::int64_t k, std::int64_t position, std::int64_t length) {
               if (position < 0) return;
               if (c.groups == 1)
                 return add(sample + position * width, patches + k * width, length * width);
               for (std::int64_t g = 0; g < c.groups; ++g)
                 for (std::int64_t j = 0; j < length; ++j)
                   add(sample + (position + j) * c.channels + g * width,
                       patches + g * depth + (k + j) * width, width);
             });
  }
}

// The product of a block of patches with the kernel, or with the gradient, group by group.
template <class T>
struct Factors {
  const Convolution& c;
  std::int64_t depth = c.depth(), width = c.filters / c.groups;

  template <class P>
  Matrix<P> patches(P* block, std::int64_t group) const {
    return {block + group * depth, c.groups * depth, 1};
  }
  template <class P>
  Matrix<P> outputs(P* y, std::int64_t row, std::int64_t group) const {
    return {y + row * c.filters + group * width, c.filters, 1};
  }
  template <class P>
  Matrix<P> kernel(P* k, std::int64_t group) const {
    return {k + group * width, c.filters, 1};
  }
};

// Where a value is larger than top, or is the first NaN, it takes that place, and `at` plus its
// number the index. Both comparisons are computed, so that the loop has no branch.
template <class T>
void keep_larger(std::int32_t n, const T* values, std::int32_t at, T* top, std::int32_t* index) {
  for (std::int32_t i = 0; i < n; ++i) {
    const T value = values[i], old = top[i];
    const bool better = !(value <= old) & (old == old);
    top[i] = better ? value : old;
    index[i] = better ? at + i : index[i];
  }
}

}  // namespace

std::int64_t Convolution::worth() const {
  return batch * outputs() * depth() * filters / products_per_thread;
}

template <class T>
void convolve(const Convolution& c, T* y, const T* x, const T* kernel, const T* bias) {
  FlushDenormals guard;
  if (c.is_depthwise()) return depthwise(c, y, x, kernel, bias);
  const Factors<T> of{c};
  const std::int64_t all = c.batch * c.outputs(), height = block_rows(c.groups * of.depth);
  parallel_for((all + height - 1) / height, c.worth(), [&](std::int64_t first, std::int64_t last) {
    std::vector<T> patches(static_cast<std::size_t>(height * c.groups * of.depth));
    for (std::int64_t row = first * height; row < std::min(last * height, all); row += height) {
      const std::int64_t rows = std::min(height, all - row);
      gather(c, patches.data(), x, row, rows);
      for (std::int64_t g = 0; g < c.groups; ++g)
        gemm<T>(rows, of.width, of.depth, of.outputs(y, row, g),
                of.template patches<const T>(patches.data(), g), of.kernel(kernel, g),
                bias == nullptr ? nullptr : bias + g * of.width, false);
    }
  });
}

template <class T>
void convolve_input_gradient(const Convolution& c, T* gx, const T* gy, const T* kernel) {
  FlushDenormals guard;
  if (c.is_depthwise()) return depthwise_input_gradient(c, gx, gy, kernel);
  const Factors<T> of{c};
  const std::int64_t height = block_rows(c.groups * of.depth), inputs = c.inputs() * c.channels;
  parallel_for(c.batch, c.worth(), [&](std::int64_t first, std::int64_t last) {
    std::vector<T> patches(static_cast<std::size_t>(height * c.groups * of.depth));
    for (std::int64_t sample = first; sample < last; ++sample) {
      std::fill_n(gx + sample * inputs, inputs, T(0));
      const std::int64_t end = (sample + 1) * c.outputs();
      for (std::int64_t row = sample * c.outputs(); row < end; row += height) {
        const std::int64_t rows = std::min(height, end - row);
        for (std::int64_t g = 0; g < c.groups; ++g)
          gemm<T>(rows, of.depth, of.width, of.patches(patches.data(), g), of.outputs(gy, row, g),
                  transposed(of.kernel(kernel, g)), nullptr, false);
        scatter(c, gx, patches.data(), row, rows);
      }
    }
  });
}

template <class T>
void convolve_kernel_gradient(const Convolution& c, T* gk, const T* x, const T* gy) {
  FlushDenormals guard;
  if (c.is_depthwise()) return depthwise_kernel_gradient(c, gk, x, gy);
  const Factors<T> of{c};
  const std::int64_t height = block_rows(c.groups * of.depth);
  auto add = [&](std::int64_t begin, std::int64_t end, T* sum) {
    std::vector<T> patches(static_cast<std::size_t>(height * c.groups * of.depth));
    for (std::int64_t row = begin; row < end; row += height) {
      const std::int64_t rows = std::min(height, end - row);
      gather(c, patches.data(), x, row, rows);
      for (std::int64_t g = 0; g < c.groups; ++g)
        gemm<T>(of.depth, of.width, rows, of.kernel(sum, g),
                transposed(of.template patches<const T>(patches.data(), g)), of.outputs(gy, row, g),
                nullptr, true);
    }
  };
  sum_over_rows(c.batch * c.outputs(), height, of.depth * c.filters, c.worth(), gk, add);
}

template <class T>
void max_pool(const Convolution& c, T* y, std::int32_t* index, const T* x) {
  const auto channels = static_cast<std::int32_t>(c.channels);
  auto one_output = [&](std::int64_t row) {
    T* top = y + row * channels;
    std::int32_t* places = index + row * channels;
    const std::int64_t sample = row / c.outputs() * c.inputs();
    bool first = true;
    for_runs(c, row % c.outputs(), [&](std::int64_t, std::int64_t position, std::int64_t length) {
      for (std::int64_t j = 0; position >= 0 && j < length; ++j) {
        const auto at = static_cast<std::int32_t>((sample + position + j) * channels);
        if (std::exchange(first, false)) {
          std::copy_n(x + at, channels, top);
          std::iota(places, places + channels, at);
        } else {
          keep_larger(channels, x + at, at, top, places);
        }
      }
    });
  };
  parallel_for(c.batch * c.outputs(), c.batch * c.outputs() * c.windows.size() * c.channels / 2000,
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t row = begin; row < end; ++row) one_output(row);
               });
}

template void convolve(const Convolution&, float*, const float*, const float*, const float*);
template void convolve(const Convolution&, double*, const double*, const double*, const double*);
template void convolve_input_gradient(const Convolution&, float*, const float*, const float*);
template void convolve_input_gradient(const Convolution&, double*, const double*, const double*);
template void convolve_kernel_gradient(const Convolution&, float*, const float*, const float*);
template void convolve_kernel_gradient(const Convolution&, double*, const double*, const double*);
template void max_pool(const Convolution&, float*, std::int32_t*, const float*);
template void max_pool(const Convolution&, double*, std::int32_t*, const double*);
}  // namespace keratin::cpu
