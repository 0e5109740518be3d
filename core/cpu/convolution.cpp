#include <algorithm>
#include <vector>

#include <keratin/core/cpu/convolution.h>
#include <keratin/core/cpu/depthwise.h>
#include <keratin/core/cpu/dispatch.h>
#include <keratin/core/cpu/gemm.h>
#include <keratin/core/cpu/window.h>

namespace keratin::cpu {
namespace {

// Rows of patches at a time: some 256 kB of numbers, which stay in the cache beside the kernel.
std::int64_t block_rows(std::int64_t depth) {
  return std::clamp<std::int64_t>((std::int64_t{1} << 16) / std::max<std::int64_t>(depth, 1), 16,
                                  1024);
}

// Calls f(k, position, length) for the runs of elements that a window sees: `position` is the place
// in a sample of x of a run's first element, or -1 where the run is missing; k is its number among
// the window's elements, and a run is `length` elements long.
template <class F>
void for_runs(const Convolution& c, const Output& output, const F& f) {
  const auto& [first, second, third] = c.windows.axis;
  const auto& [i0, i1, i2] = output.i;
  const std::int64_t begin = third.place(i2, 0);
  const bool whole = third.dilation == 1 && begin >= 0 && begin + third.size <= c.n[2];
  std::int64_t k = 0;
  for (std::int64_t k0 = 0; k0 < first.size; ++k0)
    for (std::int64_t k1 = 0; k1 < second.size; ++k1, k += third.size) {
      const std::int64_t p0 = first.place(i0, k0), p1 = second.place(i1, k1);
      if (p0 < 0 || p0 >= c.n[0] || p1 < 0 || p1 >= c.n[1]) {
        f(k, std::int64_t{-1}, third.size);
        continue;
      }
      const std::int64_t row = (p0 * c.n[1] + p1) * c.n[2];
      if (whole) {
        f(k, row + begin, third.size);
        continue;
      }
      for (std::int64_t k2 = 0; k2 < third.size; ++k2) {
        const std::int64_t p2 = third.place(i2, k2);
        f(k + k2, p2 < 0 || p2 >= c.n[2] ? -1 : row + p2, std::int64_t{1});
      }
    }
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
void gather_rows(const Convolution& c, T* patches, const T* x, std::int64_t begin,
                 std::int64_t rows) {
  const std::int64_t width = c.channels / c.groups, depth = c.depth();
  Output output(c, begin);
  for (std::int64_t r = 0; r < rows; ++r, output.advance(c), patches += c.groups * depth) {
    const T* sample = x + output.sample * c.inputs() * c.channels;
    for_runs(c, output, [&](std::int64_t k, std::int64_t position, std::int64_t length) {
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

// The same by columns, (size, rows), for a single channel: what windows side by side see at one
// place of the kernel lies side by side, too, unless their stride is larger than 1.
template <class T>
void gather_columns(const Convolution& c, T* patches, const T* x, std::int64_t begin,
                    std::int64_t rows) {
  const auto& [first, second, third] = c.windows.axis;
  for (std::int64_t r = 0, length = 0; r < rows; r += length) {
    const T* sample = x + (begin + r) / c.outputs() * c.inputs();
    const std::int64_t i = (begin + r) % c.outputs(), i2 = i % c.m[2], row = i / c.m[2];
    length = std::min(c.m[2] - i2, rows - r);
    T* to = patches + r;
    for (std::int64_t k0 = 0; k0 < first.size; ++k0)
      for (std::int64_t k1 = 0; k1 < second.size; ++k1) {
        const std::int64_t p0 = first.place(row / c.m[1], k0), p1 = second.place(row % c.m[1], k1);
        const bool missing = p0 < 0 || p0 >= c.n[0] || p1 < 0 || p1 >= c.n[1];
        const T* line = missing ? nullptr : sample + (p0 * c.n[1] + p1) * c.n[2];
        for (std::int64_t k2 = 0; k2 < third.size; ++k2, to += rows) {
          const std::int64_t p2 = third.place(i2, k2);
          if (!missing && third.stride == 1 && p2 >= 0 && p2 + length <= c.n[2]) {
            std::copy_n(line + p2, length, to);
            continue;
          }
          for (std::int64_t j = 0; j < length; ++j) {
            const std::int64_t at = p2 + j * third.stride;
            to[j] = missing || at < 0 || at >= c.n[2] ? T(0) : line[at];
          }
        }
      }
  }
}

template <class T>
void gather(const Convolution& c, T* patches, const T* x, std::int64_t begin, std::int64_t rows) {
  c.channels == 1 ? gather_columns(c, patches, x, begin, rows)
                  : gather_rows(c, patches, x, begin, rows);
}

// The other way: adds the rows of patches to where they come from.
template <class T>
void scatter(const Convolution& c, T* x, const T* patches, std::int64_t begin, std::int64_t rows) {
  const std::int64_t width = c.channels / c.groups, depth = c.depth();
  auto add = [](T* to, const T* from, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) to[i] += from[i];
  };
  Output output(c, begin);
  for (std::int64_t r = 0; r < rows; ++r, output.advance(c), patches += c.groups * depth) {
    T* sample = x + output.sample * c.inputs() * c.channels;
    for_runs(c, output, [&](std::int64_t k, std::int64_t position, std::int64_t length) {
      if (position < 0) return;
      if (c.groups == 1) return add(sample + position * width, patches + k * width, length * width);
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

  // As gather leaves them.
  Matrix<const T> gathered(const T* block, std::int64_t rows, std::int64_t group) const {
    if (c.channels == 1) return {block, 1, rows};
    return patches(block, group);
  }
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

// x = relu(x)
template <class T>
void rectify(T* x, std::int64_t n) {
  Loop loop;
  loop.rank = 1;
  loop.operands = 2;
  loop.size[0] = n;
  for (int k = 0; k < 2; ++k) {
    loop.data[k] = reinterpret_cast<char*>(x);
    loop.bytes[k] = sizeof(T);
    loop.stride[k][0] = 1;
  }
  const fn::Relu relu;
  kernels_for<T>().forward[static_cast<int>(Pointwise::Relu)](loop, &relu);
}

}  // namespace

std::int64_t Convolution::worth() const {
  return batch * outputs() * depth() * filters / products_per_thread;
}

template <class T>
void convolve(const Convolution& c, T* y, const T* x, const T* kernel, const T* bias, bool relu) {
  FlushDenormals guard;
  const std::int64_t all = c.batch * c.outputs();
  if (c.is_depthwise()) {
    depthwise(c, y, x, kernel, bias);
    if (!relu) return;
    return parallel_for(all, c.worth(), [&](std::int64_t begin, std::int64_t end) {
      rectify(y + begin * c.filters, (end - begin) * c.filters);
    });
  }
  const Factors<T> of{c};
  const std::int64_t height = block_rows(c.groups * of.depth);
  parallel_for((all + height - 1) / height, c.worth(), [&](std::int64_t first, std::int64_t last) {
    std::vector<T> patches(static_cast<std::size_t>(height * c.groups * of.depth));
    for (std::int64_t row = first * height; row < std::min(last * height, all); row += height) {
      const std::int64_t rows = std::min(height, all - row);
      gather(c, patches.data(), x, row, rows);
      for (std::int64_t g = 0; g < c.groups; ++g)
        gemm<T>(rows, of.width, of.depth, of.outputs(y, row, g),
                of.gathered(patches.data(), rows, g), of.kernel(kernel, g),
                bias == nullptr ? nullptr : bias + g * of.width, false);
      if (relu) rectify(y + row * c.filters, rows * c.filters);  // while it is in the cache
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
                transposed(of.gathered(patches.data(), rows, g)), of.outputs(gy, row, g), nullptr,
                true);
    }
  };
  sum_over_rows(c.batch * c.outputs(), height, of.depth * c.filters, c.worth(), gk, add);
}

template <class T>
void max_pool(const Convolution& c, T* y, std::int32_t* index, const T* x) {
  const ChannelKernels& kernels = kernels_for<T>().channels;
  parallel_for(c.batch * c.outputs(), c.batch * c.outputs() * c.windows.size() * c.channels / 8000,
               [&](std::int64_t begin, std::int64_t end) {
                 Window seen(c, begin);
                 for (std::int64_t row = begin; row < end; ++row, seen.advance())
                   kernels.largest(
                       y + row * c.channels, index == nullptr ? nullptr : index + row * c.channels,
                       x + seen.start(), seen.x(), seen.start(), seen.size(), c.channels);
               });
}

template void convolve(const Convolution&, float*, const float*, const float*, const float*, bool);
template void convolve(const Convolution&, double*, const double*, const double*, const double*,
                       bool);
template void convolve_input_gradient(const Convolution&, float*, const float*, const float*);
template void convolve_input_gradient(const Convolution&, double*, const double*, const double*);
template void convolve_kernel_gradient(const Convolution&, float*, const float*, const float*);
template void convolve_kernel_gradient(const Convolution&, double*, const double*, const double*);
template void max_pool(const Convolution&, float*, std::int32_t*, const float*);
template void max_pool(const Convolution&, double*, std::int32_t*, const double*);
}  // namespace keratin::cpu
