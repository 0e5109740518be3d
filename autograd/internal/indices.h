// Indices that have been checked, and the op that adds at them.
#pragma once

#include <cstdint>

#include <keratin/core/tensor.h>

namespace keratin {

/// Dense int32 indices in 0..extent-1 on the device of what they look up; a negative one counts
/// from the end. One that is not in lowest..extent-1 is an error, on a device when somebody waits.
Tensor checked_indices(const char* who, const Tensor& indices, std::int64_t lowest,
                       std::int64_t extent, Device device);

/// y (outer, n, inner) of zeros with x (outer, count, inner) added at checked indices.
Tensor scatter(const Tensor& x, const Tensor& indices, std::int64_t n);

}  // namespace keratin
