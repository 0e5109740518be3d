// Finds the kernel of a pointwise op for a type of elements.

#include <keratin/core/cuda/pointwise.h>

namespace keratin::cuda {
namespace {

const PointwiseTable& table_for(DType dtype) {
  switch (dtype) {
    case float32:
      return float32_pointwise;
    case float64:
      return float64_pointwise;
    case int32:
      return int32_pointwise;
    default:
      throw std::logic_error("cuda: pointwise ops do not run on booleans");
  }
}

void run(PointwiseFunction function, const void* functor, const DeviceLoop& loop, Stream stream) {
  if (function == nullptr) throw std::logic_error("cuda: the op has no kernel for this dtype");
  function(functor, loop, stream);
}

}  // namespace

void pointwise(Pointwise op, const void* functor, DType dtype, const DeviceLoop& loop,
               Stream stream) {
  run(table_for(dtype).forward[static_cast<int>(op)], functor, loop, stream);
}

void pointwise_gradient(Pointwise op, const void* functor, DType dtype, const DeviceLoop& loop,
                        Stream stream) {
  run(table_for(dtype).gradient[static_cast<int>(op)], functor, loop, stream);
}

void step(Pointwise op, const void* functor, DType dtype, const Groups& groups, Elements allowed,
          Stream stream) {
  const StepFunction function = table_for(dtype).step[static_cast<int>(op)];
  if (function == nullptr) throw std::logic_error("cuda: the op is no step of an optimizer");
  function(functor, groups, allowed, stream);
}

}  // namespace keratin::cuda
