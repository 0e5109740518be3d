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

}  // namespace

Loop plan_loop(const Shape& shape, std::initializer_list<std::span<const Tensor>> groups) {
  Loop full;
  int rank = shape.rank();
  for (const auto& group : groups) {
    for (const Tensor& tensor : group) {
      int k = full.operands++;
      for (int axis = 0; axis < rank; ++axis) full.stride[k][axis] = 0;
      full.data[k] = tensor.defined() ? raw<char>(tensor) : nullptr;
      full.bytes[k] = 0;
      if (!tensor.defined()) continue;
      full.bytes[k] = static_cast<int>(size_of(tensor.dtype()));
      int missing = rank - tensor.rank();
      for (int axis = 0; axis < tensor.rank(); ++axis)
        if (tensor.shape()[axis] != 1) full.stride[k][missing + axis] = tensor.strides()[axis];
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
  Loop loop;
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
