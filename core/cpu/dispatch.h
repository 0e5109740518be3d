// The compiled kernels for tensors of a dtype.
#pragma once

#include <keratin/core/cpu/kernel_table.h>
#include <keratin/core/dtype.h>

namespace keratin::cpu {

/// Booleans are computed with as int32.
const KernelTable& table_for(DType dtype);

}  // namespace keratin::cpu
