// What convolutions of all kinds share: the runs of elements that a window sees, and sums over the
// windows of a batch.
#pragma once

#include <algorithm>
#include <vector>

#include <keratin/core/cpu/convolution.h>
#include <keratin/core/internal/parallel.h>

namespace keratin::cpu {

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

/// total (n) = the sum of what add(begin, end, sum) adds to `sum` (n) for all rows, cut into
/// blocks. Each part of the rows is summed up for itself, and the parts are added in order; how
/// many there are follows from the sizes alone.
template <class T, class F>
void sum_over_rows(std::int64_t rows, std::int64_t block, std::int64_t n, std::int64_t worth,
                   T* total, const F& add) {
  const std::int64_t blocks = (rows + block - 1) / block;
  const std::int64_t parts = std::max<std::int64_t>(
      1,
      std::min({blocks, std::int64_t{8}, (std::int64_t{1} << 22) / std::max(n, std::int64_t{1})}));
  std::vector<T> sums(static_cast<std::size_t>(parts * n));
  parallel_for(parts, worth, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t part = first; part < last; ++part)
      add(blocks * part / parts * block, std::min(blocks * (part + 1) / parts * block, rows),
          sums.data() + part * n);
  });
  std::copy_n(sums.data(), n, total);
  for (std::int64_t part = 1; part < parts; ++part)
    for (std::int64_t i = 0; i < n; ++i) total[i] += sums[static_cast<std::size_t>(part * n + i)];
}

}  // namespace keratin::cpu
