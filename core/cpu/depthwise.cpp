#include <algorithm>
#include <type_traits>
#include <vector>

#include <keratin/core/cpu/depthwise.h>
#include <keratin/core/cpu/dispatch.h>
#include <keratin/core/cpu/window_runs.h>

namespace keratin::cpu {
namespace {

/// Where the elements of one window lie in x and in the kernel; those that are missing are left
/// out.
struct Seen {
  std::vector<std::int64_t> x, kernel;

  void look(const Convolution& c, std::int64_t row) {
    x.clear();
    kernel.clear();
    const std::int64_t sample = row / c.outputs() * c.inputs();
    for_runs(c, row % c.outputs(), [&](std::int64_t k, std::int64_t position, std::int64_t length) {
      if (position < 0) return;
      for (std::int64_t j = 0; j < length; ++j) {
        x.push_back((sample + position + j) * c.channels);
        kernel.push_back((k + j) * c.channels);
      }
    });
  }
  std::int64_t size() const { return static_cast<std::int64_t>(x.size()); }
};

template <class T>
const ChannelProducts& products_of() {
  return table_for(std::is_same_v<T, double> ? float64 : float32).channel_products;
}

}  // namespace

template <class T>
void depthwise(const Convolution& c, T* y, const T* x, const T* kernel, const T* bias) {
  parallel_for(c.batch * c.outputs(), c.worth(), [&](std::int64_t begin, std::int64_t end) {
    Seen seen;
    for (std::int64_t row = begin; row < end; ++row) {
      seen.look(c, row);
      products_of<T>().sum(y + row * c.channels, bias, x, seen.x.data(), kernel, seen.kernel.data(),
                           seen.size(), c.channels);
    }
  });
}

template <class T>
void depthwise_input_gradient(const Convolution& c, T* gx, const T* gy, const T* kernel) {
  parallel_for(c.batch, c.worth(), [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t numbers = c.inputs() * c.channels;
    std::fill(gx + begin * numbers, gx + end * numbers, T(0));
    Seen seen;
    for (std::int64_t row = begin * c.outputs(); row < end * c.outputs(); ++row) {
      seen.look(c, row);
      products_of<T>().add(gx, seen.x.data(), kernel, seen.kernel.data(), gy + row * c.channels,
                           seen.size(), c.channels);
    }
  });
}

template <class T>
void depthwise_kernel_gradient(const Convolution& c, T* gk, const T* x, const T* gy) {
  auto add = [&](std::int64_t begin, std::int64_t end, T* sum) {
    Seen seen;
    for (std::int64_t row = begin; row < end; ++row) {
      seen.look(c, row);
      products_of<T>().add(sum, seen.kernel.data(), x, seen.x.data(), gy + row * c.channels,
                           seen.size(), c.channels);
    }
  };
  sum_over_rows(c.batch * c.outputs(), 256, c.windows.size() * c.channels, c.worth(), gk, add);
}

template void depthwise(const Convolution&, float*, const float*, const float*, const float*);
template void depthwise(const Convolution&, double*, const double*, const double*, const double*);
template void depthwise_input_gradient(const Convolution&, float*, const float*, const float*);
template void depthwise_input_gradient(const Convolution&, double*, const double*, const double*);
template void depthwise_kernel_gradient(const Convolution&, float*, const float*, const float*);
template void depthwise_kernel_gradient(const Convolution&, double*, const double*, const double*);
}  // namespace keratin::cpu
