// The terms of a crossentropy as one op.
#pragma once

#include <keratin/autograd/ops.h>

namespace keratin {

/// -y log(p / sum), where p / sum is kept within 1e-7 and 1 - 1e-7. The operands broadcast.
Tensor cross_entropy(const Tensor& y, const Tensor& p, const Tensor& sum);

}  // namespace keratin
