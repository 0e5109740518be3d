#include <algorithm>

#include <keratin/core/cpu/depthwise.h>
#include <keratin/core/cpu/dispatch.h>
#include <keratin/core/cpu/window.h>

namespace keratin::cpu {

template <class T>
void depthwise(const Convolution& c, T* y, const T* x, const T* kernel, const T* bias) {
  parallel_for(c.batch * c.outputs(), c.worth(), [&](std::int64_t begin, std::int64_t end) {
    Window seen(c, begin);
    for (std::int64_t row = begin; row < end; ++row, seen.advance())
      kernels_for<T>().channels.sum(y + row * c.channels, bias, x + seen.start(), seen.x(), kernel,
                                    seen.kernel(), seen.size(), c.channels);
  });
}

template <class T>
void depthwise_input_gradient(const Convolution& c, T* gx, const T* gy, const T* kernel) {
  parallel_for(c.batch, c.worth(), [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t numbers = c.inputs() * c.channels;
    std::fill(gx + begin * numbers, gx + end * numbers, T(0));
    Window seen(c, begin * c.outputs());
    for (std::int64_t row = begin * c.outputs(); row < end * c.outputs(); ++row, seen.advance())
      kernels_for<T>().channels.add(gx + seen.start(), seen.x(), kernel, seen.kernel(),
                                    gy + row * c.channels, seen.size(), c.channels);
  });
}

template <class T>
void depthwise_kernel_gradient(const Convolution& c, T* gk, const T* x, const T* gy) {
  auto add = [&](std::int64_t begin, std::int64_t end, T* sum) {
    Window seen(c, begin);
    for (std::int64_t row = begin; row < end; ++row, seen.advance())
      kernels_for<T>().channels.add(sum, seen.kernel(), x + seen.start(), seen.x(),
                                    gy + row * c.channels, seen.size(), c.channels);
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
