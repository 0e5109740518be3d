#include <algorithm>
#include <vector>

#include <keratin/core/cpu/convolution.h>
#include <keratin/core/cpu/gemm.h>
#include <keratin/core/internal/parallel.h>

namespace keratin::cpu {
namespace {

// Rows of patches at a time: some 256 kB of numbers, which stay in the cache beside the kernel.
std::int64_t block_rows(std::int64_t depth) {
  return std::clamp<std::int64_t>((std::int64_t{1} << 16) / std::max<std::int64_t>(depth, 1), 16,
                                  1024);
}

std::int64_t worth(const Convolution& c) {
  return c.batch * c.outputs() * c.depth() * c.filters / c.groups / products_per_thread;
}

/// Calls f(k, position) for the runs of elements that a window sees: `position` is the place in a
/// sample of x of a run's first element, or -1 where the run is missing; k is its number among the
/// window's elements, and a run is `length` elements long.
template <class F>
void for_runs(const Convolution& c, std::int64_t output, const F& f) {
  const auto& [first, second, third] = c.windows.axis;
  const std::int64_t i2 = output % c.m[2], i1 = output / c.m[2] % c.m[1],
                     i0 = output / c.m[2] / c.m[1];
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
                 std::copy_n(sample + position * width, length * width, patches + k * width);
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

}  // namespace

template <class T>
void convolve(const Convolution& c, T* y, const T* x, const T* kernel) {
  FlushDenormals guard;
  const Factors<T> of{c};
  const std::int64_t all = c.batch * c.outputs(), height = block_rows(c.groups * of.depth);
  parallel_for((all + height - 1) / height, worth(c), [&](std::int64_t first, std::int64_t last) {
    std::vector<T> patches(static_cast<std::size_t>(height * c.groups * of.depth));
    for (std::int64_t row = first * height; row < std::min(last * height, all); row += height) {
      const std::int64_t rows = std::min(height, all - row);
      gather(c, patches.data(), x, row, rows);
      for (std::int64_t g = 0; g < c.groups; ++g)
        gemm<T>(rows, of.width, of.depth, of.outputs(y, row, g),
                of.template patches<const T>(patches.data(), g), of.kernel(kernel, g), nullptr,
                false);
    }
  });
}

template <class T>
void convolve_input_gradient(const Convolution& c, T* gx, const T* gy, const T* kernel) {
  FlushDenormals guard;
  const Factors<T> of{c};
  const std::int64_t height = block_rows(c.groups * of.depth), inputs = c.inputs() * c.channels;
  parallel_for(c.batch, worth(c), [&](std::int64_t first, std::int64_t last) {
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

// Each part sums up its share of the rows, and the parts are added in order; how many there are
// follows from the sizes alone.
template <class T>
void convolve_kernel_gradient(const Convolution& c, T* gk, const T* x, const T* gy) {
  FlushDenormals guard;
  const Factors<T> of{c};
  const std::int64_t all = c.batch * c.outputs(), height = block_rows(c.groups * of.depth);
  const std::int64_t blocks = (all + height - 1) / height, numbers = of.depth * c.filters;
  const std::int64_t parts = std::max<std::int64_t>(
      1, std::min({blocks, std::int64_t{8},
                   (std::int64_t{1} << 22) / std::max(numbers, std::int64_t{1})}));
  std::vector<T> sums(static_cast<std::size_t>(parts * numbers));
  parallel_for(parts, worth(c), [&](std::int64_t first, std::int64_t last) {
    std::vector<T> patches(static_cast<std::size_t>(height * c.groups * of.depth));
    for (std::int64_t part = first; part < last; ++part)
      for (std::int64_t i = blocks * part / parts; i < blocks * (part + 1) / parts; ++i) {
        const std::int64_t row = i * height, rows = std::min(height, all - row);
        gather(c, patches.data(), x, row, rows);
        for (std::int64_t g = 0; g < c.groups; ++g)
          gemm<T>(of.depth, of.width, rows, of.kernel(sums.data() + part * numbers, g),
                  transposed(of.template patches<const T>(patches.data(), g)),
                  of.outputs(gy, row, g), nullptr, true);
      }
  });
  std::copy_n(sums.data(), numbers, gk);
  for (std::int64_t part = 1; part < parts; ++part)
    for (std::int64_t i = 0; i < numbers; ++i)
      gk[i] += sums[static_cast<std::size_t>(part * numbers + i)];
}

template <class T>
void max_positions(const Convolution& c, std::int32_t* index, const T* x) {
  parallel_for(c.batch * c.outputs(), c.batch * c.outputs() * c.windows.size() * c.channels / 2000,
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t row = begin; row < end; ++row) {
                   const std::int64_t sample = row / c.outputs() * c.inputs();
                   std::int32_t* best = index + row * c.channels;
                   bool any = false;
                   for_runs(c, row % c.outputs(),
                            [&](std::int64_t, std::int64_t position, std::int64_t length) {
                              if (position < 0) return;
                              for (std::int64_t j = 0; j < length; ++j) {
                                const std::int64_t at = (sample + position + j) * c.channels;
                                for (std::int64_t i = 0; i < c.channels; ++i) {
                                  const auto here = static_cast<std::int32_t>(at + i);
                                  const T value = x[at + i], top = any ? x[best[i]] : value;
                                  if (!any || value > top || (value != value && top == top))
                                    best[i] = here;
                                }
                                any = true;
                              }
                            });
                 }
               });
}

template void convolve(const Convolution&, float*, const float*, const float*);
template void convolve(const Convolution&, double*, const double*, const double*);
template void convolve_input_gradient(const Convolution&, float*, const float*, const float*);
template void convolve_input_gradient(const Convolution&, double*, const double*, const double*);
template void convolve_kernel_gradient(const Convolution&, float*, const float*, const float*);
template void convolve_kernel_gradient(const Convolution&, double*, const double*, const double*);
template void max_positions(const Convolution&, std::int32_t*, const float*);
template void max_positions(const Convolution&, std::int32_t*, const double*);
}  // namespace keratin::cpu
