#include <algorithm>

#include <keratin/core/cpu/loop_plan.h>
#include <keratin/core/internal/parallel.h>
#include <keratin/core/internal/tensor_data.h>

namespace keratin::cpu {
namespace {

// Whether axis `inner` continues axis `outer` for every operand.
bool can_join(const Loop& loop, int outer, int inner) {
  for (int k = 0; k < loop.operands; ++k)
    if (loop.stride[k][outer] != loop.stride[k][inner] * loop.size[inner]) return false;
  return true;
}

// For how many operands a tensor stands: as many as it is wider than the loop.
int operands_in(const Tensor& tensor, const Shape& shape) {
  if (shape.empty() || tensor.rank() < shape.rank()) return 1;
  std::int64_t width = shape[-1], wide = tensor.shape()[-1];
  return wide > width && width > 0 ? static_cast<int>(wide / width) : 1;
}

// The usual case, a single row: every operand is dense and of the loop's shape.
bool plan_dense(Loop& loop, const Shape& shape,
                std::initializer_list<std::span<const Tensor>> groups) {
  int k = 0;
  for (const auto& group : groups)
    for (const Tensor& tensor : group) {
      loop.data[k] = nullptr;
      loop.bytes[k] = 0;
      loop.stride[k][0] = 1;
      if (tensor.defined()) {
        if (!tensor.is_contiguous() || tensor.shape() != shape) return false;
        loop.data[k] = raw<char>(tensor);
        loop.bytes[k] = static_cast<int>(size_of(tensor.dtype()));
      }
      ++k;
    }
  loop.operands = k;
  loop.rank = 1;
  loop.size[0] = shape.numel();
  return true;
}

}  // namespace

Loop plan_loop(const Shape& shape, std::initializer_list<std::span<const Tensor>> groups) {
  Loop loop;
  if (plan_dense(loop, shape, groups)) return loop;
  Loop full;
  int rank = shape.rank();
  for (const auto& group : groups) {
    for (const Tensor& tensor : group) {
      int k = full.operands++;
      for (int axis = 0; axis < rank; ++axis) full.stride[k][axis] = 0;
      full.data[k] = nullptr;
      full.bytes[k] = 0;
      if (!tensor.defined()) continue;
      const TensorData& data = TensorData::of(tensor);
      full.data[k] = raw<char>(tensor);
      full.bytes[k] = static_cast<int>(size_of(data.dtype));
      int missing = rank - data.shape.rank();
      for (int axis = 0; axis < data.shape.rank(); ++axis)
        if (data.shape[axis] != 1) full.stride[k][missing + axis] = data.strides[axis];
      for (int more = operands_in(tensor, shape); more > 1; --more, ++k) {
        full.operands++;
        full.data[k + 1] = full.data[k] + shape[-1] * data.strides[-1] * full.bytes[k];
        full.bytes[k + 1] = full.bytes[k];
        std::copy_n(full.stride[k], rank, full.stride[k + 1]);
      }
    }
  }
  // The axes of more than one element, in the order in which the first operand lies in memory.
  int order[Loop::max_rank];
  int axes = 0, first = 0;
  while (first < full.operands - 1 && full.data[first] == nullptr) ++first;
  for (int axis = 0; axis < rank; ++axis) {
    if (shape[axis] == 1) continue;
    int place = axes++;
    for (; place > 0; --place) {
      if (std::abs(full.stride[first][order[place - 1]]) >= std::abs(full.stride[first][axis]))
        break;
      order[place] = order[place - 1];
    }
    order[place] = axis;
  }
  // Each is joined to its predecessor where that is possible.
  loop.operands = full.operands;
  for (int k = 0; k < full.operands; ++k) {
    loop.data[k] = full.data[k];
    loop.bytes[k] = full.bytes[k];
  }
  for (int i = 0; i < axes; ++i) {
    int last = loop.rank;
    loop.size[last] = shape[order[i]];
    for (int k = 0; k < loop.operands; ++k) loop.stride[k][last] = full.stride[k][order[i]];
    if (last > 0 && can_join(loop, last - 1, last)) {
      loop.size[last - 1] *= loop.size[last];
      for (int k = 0; k < loop.operands; ++k) loop.stride[k][last - 1] = loop.stride[k][last];
    } else {
      loop.rank = last + 1;
    }
  }
  if (loop.rank == 0) {
    loop.rank = 1;
    loop.size[0] = 1;
    for (int k = 0; k < loop.operands; ++k) loop.stride[k][0] = 1;
  }
  return loop;
}

void run_loop(const Loop& loop, LoopFunction function, const void* functor) {
  std::int64_t total = 1;
  for (int axis = 0; axis < loop.rank; ++axis) total *= loop.size[axis];
  if (total == 0) return;
  std::int64_t outer = loop.size[0];
  // A single long row is cut at multiples of 64 elements, to leave whole batches and cache lines.
  std::int64_t unit = loop.rank == 1 ? 64 : 1;
  std::int64_t items = (outer + unit - 1) / unit;
  parallel_for(items, total * loop.operands / accesses_per_thread,
               [&](std::int64_t begin, std::int64_t end) {
                 if (begin == 0 && end == items) return function(loop, functor);
                 Loop part = loop;
                 part.size[0] = std::min(end * unit, outer) - begin * unit;
                 for (int k = 0; k < loop.operands; ++k)
                   if (part.data[k] != nullptr)
                     part.data[k] += begin * unit * loop.stride[k][0] * loop.bytes[k];
                 function(part, functor);
               });
}

}  // namespace keratin::cpu
