// The processor as a device.
#pragma once

#include <keratin/core/kernels.h>

namespace keratin::cpu {

const Kernels& kernels();

}  // namespace keratin::cpu
