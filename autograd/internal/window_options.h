// What the options of convolutions and poolings say about windows.
#pragma once

#include <optional>
#include <string>

#include <keratin/autograd/ops.h>
#include <keratin/core/windows.h>

namespace keratin {

/// The number for an axis, of `axes`. Throws std::invalid_argument naming `who` and `what` where
/// there are too many or too few numbers, or one is less than `least`.
std::int64_t for_axis(const char* who, const char* what, const PerAxis& values, int axes, int axis,
                      std::int64_t least);

/// Throws unless it is "valid", "same" or, where that is allowed, "causal".
void check_padding(const char* who, const std::string& padding, bool causal);

/// Windows over the last `axes` of three, without what is missing before and after.
Windows windows_of(const char* who, const PerAxis& sizes, const PerAxis& strides,
                   const PerAxis& dilation, int axes);

/// Sets what is missing before and after an axis of n, and gives the number of windows. Throws
/// where there is none.
std::int64_t pad_axis(const char* who, const std::string& padding, Windows::Axis& axis,
                      std::int64_t n);

/// For a transposed convolution: sets what is missing, and gives the extent that m windows cover.
std::int64_t transposed_extent(const std::string& padding, Windows::Axis& axis, std::int64_t m,
                               const std::optional<std::int64_t>& output_padding);

}  // namespace keratin
