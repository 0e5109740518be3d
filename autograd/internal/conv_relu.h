// A convolution and relu as one op.
#pragma once

#include <keratin/autograd/ops.h>

namespace keratin {

/// relu(conv(x, kernel, bias, options)), in one pass over the result. The bias may be undefined.
Tensor conv_relu(const Tensor& x, const Tensor& kernel, const Tensor& bias,
                 const ConvOptions& options);

}  // namespace keratin
