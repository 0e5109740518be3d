#include <keratin/core/cuda/pointwise.h>

namespace keratin::cuda {

constinit const PointwiseTable float32_pointwise = make_pointwise_table<float>();

}  // namespace keratin::cuda
