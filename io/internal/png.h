// Pictures as PNG files, without compression.
#pragma once

#include <string>

#include <keratin/core/tensor.h>

namespace keratin {

/// The bytes of a PNG file (https://www.w3.org/TR/png) of an image (height, width), grey, or
/// (height, width, channels) of 1, 3 or 4 channels. The numbers are from 0 to 1; others count as
/// the nearest of these, NaN as 0.
std::string format_png(const Tensor& image);

}  // namespace keratin
