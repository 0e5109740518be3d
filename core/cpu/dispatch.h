// The compiled kernels for tensors of a dtype.
#pragma once

#include <type_traits>

#include <keratin/core/cpu/kernel_table.h>
#include <keratin/core/dtype.h>

namespace keratin::cpu {

/// Booleans are computed with as int32.
const KernelTable& table_for(DType dtype);

/// For float or double.
template <class T>
const KernelTable& kernels_for() {
  return table_for(std::is_same_v<T, double> ? float64 : float32);
}

}  // namespace keratin::cpu
