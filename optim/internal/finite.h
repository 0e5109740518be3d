// Whether numbers are finite.
#pragma once

#include <vector>

#include <keratin/core/tensor.h>

namespace keratin {

/// finite = finite, and so are all numbers of the tensors; a boolean of rank 0 on their device.
/// Undefined tensors and integers have no other numbers.
void check_finite(const Tensor& finite, const std::vector<Tensor>& tensors);

/// Whether all elements are finite numbers.
bool is_finite(const Tensor& t);

}  // namespace keratin
