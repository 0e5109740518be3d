#include <keratin/core/cuda/pointwise.h>

namespace keratin::cuda {

constinit const PointwiseTable float64_pointwise = make_pointwise_table<double>();

}  // namespace keratin::cuda
