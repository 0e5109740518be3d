// What the kernels for windows share: a walk over the outputs of a batch, the places of the
// elements that a window sees, and sums over the windows of a batch.
#pragma once

#include <algorithm>
#include <vector>

#include <keratin/core/cpu/convolution.h>
#include <keratin/core/internal/parallel.h>

namespace keratin::cpu {

/// Counts through the outputs of a batch. Only the first one costs divisions.
struct Output {
  std::int64_t sample = 0, i[3] = {0, 0, 0};

  /// Begins at the output with this number, counted over the whole batch.
  Output(const Convolution& c, std::int64_t number) {
    for (int axis = 2; axis >= 0; --axis) {
      i[axis] = number % c.m[axis];
      number /= c.m[axis];
    }
    sample = number;
  }

  void advance(const Convolution& c) {
    for (int axis = 2; axis >= 0; --axis) {
      if (++i[axis] < c.m[axis]) return;
      i[axis] = 0;
    }
    ++sample;
  }
};

/// Where the elements of one window lie in x and in a kernel (size, channels), without those that
/// are missing. All windows but those at an edge see elements at the same distances.
class Window {
 public:
  /// Begins at the window of this output, counted over the whole batch.
  Window(const Convolution& c, std::int64_t output) : c_(c), output_(c, output) {
    list(0, 0, 0, /*whole=*/true, whole_);
    look();
  }

  /// Goes to the next window.
  void advance() {
    output_.advance(c_);
    look();
  }

  /// A place in x; those of the elements count from it.
  std::int64_t start() const { return start_; }
  const std::int64_t* x() const { return seen_->x.data(); }
  const std::int64_t* kernel() const { return seen_->kernel.data(); }
  std::int64_t size() const { return static_cast<std::int64_t>(seen_->x.size()); }

 private:
  struct Elements {
    std::vector<std::int64_t> x, kernel;
  };

  void look() {
    const std::int64_t sample = output_.sample * c_.inputs() * c_.channels;
    const std::int64_t p0 = axis(0).place(output_.i[0], 0), p1 = axis(1).place(output_.i[1], 0),
                       p2 = axis(2).place(output_.i[2], 0);
    if (fits(0, p0) && fits(1, p1) && fits(2, p2)) {
      start_ = sample + ((p0 * c_.n[1] + p1) * c_.n[2] + p2) * c_.channels;
      seen_ = &whole_;
      return;
    }
    start_ = sample;
    cut_.x.clear();
    cut_.kernel.clear();
    list(p0, p1, p2, /*whole=*/false, cut_);
    seen_ = &cut_;
  }

  const Windows::Axis& axis(int i) const { return c_.windows.axis[i]; }
  bool fits(int i, std::int64_t begin) const {
    return begin >= 0 && begin + axis(i).reach() <= c_.n[i];
  }
  bool missing(int i, std::int64_t place) const { return place < 0 || place >= c_.n[i]; }

  void list(std::int64_t p0, std::int64_t p1, std::int64_t p2, bool whole, Elements& places) const {
    std::int64_t kernel = 0;
    for (std::int64_t k0 = 0; k0 < axis(0).size; ++k0)
      for (std::int64_t k1 = 0; k1 < axis(1).size; ++k1)
        for (std::int64_t k2 = 0; k2 < axis(2).size; ++k2, kernel += c_.channels) {
          const std::int64_t at0 = p0 + k0 * axis(0).dilation, at1 = p1 + k1 * axis(1).dilation,
                             at2 = p2 + k2 * axis(2).dilation;
          if (!whole && (missing(0, at0) || missing(1, at1) || missing(2, at2))) continue;
          places.x.push_back(((at0 * c_.n[1] + at1) * c_.n[2] + at2) * c_.channels);
          places.kernel.push_back(kernel);
        }
  }

  const Convolution& c_;
  Output output_;
  Elements whole_, cut_;
  const Elements* seen_ = &whole_;
  std::int64_t start_ = 0;
};

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
