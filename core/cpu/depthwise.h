// Convolutions of each channel for itself: kernel (size, 1, channels), y (batch, m, channels).
#pragma once

#include <keratin/core/cpu/convolution.h>

namespace keratin::cpu {

/// The bias (channels) may be null.
template <class T>
void depthwise(const Convolution& c, T* y, const T* x, const T* kernel, const T* bias);
template <class T>
void depthwise_input_gradient(const Convolution& c, T* gx, const T* gy, const T* kernel);
template <class T>
void depthwise_kernel_gradient(const Convolution& c, T* gk, const T* x, const T* gy);

}  // namespace keratin::cpu
