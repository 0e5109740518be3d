#include <keratin/core/cuda/pointwise.h>

namespace keratin::cuda {

constinit const PointwiseTable int32_pointwise = make_pointwise_table<std::int32_t>();

}  // namespace keratin::cuda
