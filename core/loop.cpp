// Plans of loops, as core/internal/loop.h describes them.

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <utility>

#include <keratin/core/internal/loop.h>
#include <keratin/core/internal/tensor_data.h>

namespace keratin {
namespace {

// Whether axis `inner` continues axis `outer` for every operand.
bool can_join(const Loop& loop, int outer, int inner) {
  for (int k = 0; k < loop.operands; ++k)
    if (loop.stride[k][outer] != loop.stride[k][inner] * loop.size[inner]) return false;
  return true;
}

// The number of a further operand. A caller that gives more than a loop can hold is at fault.
int next_operand(Loop& loop) {
  if (loop.operands == Loop::max_operands)
    throw std::logic_error("plan_loop: more operands than a loop can have");
  return loop.operands++;
}

// Lets axes `a` and `b` change places.
void swap_axes(Loop& loop, int a, int b) {
  std::swap(loop.size[a], loop.size[b]);
  for (int k = 0; k < loop.operands; ++k) std::swap(loop.stride[k][a], loop.stride[k][b]);
}

// Adds the operand, or operands, that a tensor stands for: as many as it is wider than the loop.
// `axes` are those of the loop's shape that have more than one element.
void add_operands(Loop& loop, const Shape& shape, std::span<const int> axes, const Tensor& tensor) {
  const int k = next_operand(loop);
  if (!tensor.defined()) {
    loop.data[k] = nullptr;
    loop.bytes[k] = 0;
    for (std::size_t i = 0; i < axes.size(); ++i) loop.stride[k][i] = 0;
    return;
  }
  const TensorData& data = TensorData::of(tensor);
  const std::int64_t *sizes = data.shape.begin(), *strides = data.strides.begin();
  loop.data[k] = raw<char>(tensor);
  loop.bytes[k] = static_cast<int>(size_of(data.dtype));
  const int missing = shape.rank() - data.shape.rank();
  for (std::size_t i = 0; i < axes.size(); ++i) {
    int axis = axes[i] - missing;
    loop.stride[k][i] = axis >= 0 && sizes[axis] != 1 ? strides[axis] : 0;
  }
  if (missing > 0 || shape.empty()) return;
  const int last = shape.rank() - 1;
  const std::int64_t width = shape.begin()[last];
  if (sizes[last] <= width || width == 0) return;
  const std::int64_t step = width * strides[last] * loop.bytes[k];
  for (std::int64_t wider = sizes[last] / width - 1; wider > 0; --wider) {
    const int next = next_operand(loop);
    loop.data[next] = loop.data[next - 1] + step;
    loop.bytes[next] = loop.bytes[k];
    std::memcpy(loop.stride[next], loop.stride[k], sizeof(loop.stride[k]));
  }
}

// The usual case, a single row: every operand is dense and of the loop's shape.
bool plan_dense(Loop& loop, const Shape& shape,
                std::initializer_list<std::span<const Tensor>> groups) {
  for (const auto& group : groups)
    for (const Tensor& tensor : group) {
      const int k = next_operand(loop);
      loop.data[k] = nullptr;
      loop.bytes[k] = 0;
      loop.stride[k][0] = 1;
      if (tensor.defined()) {
        const TensorData& data = TensorData::of(tensor);
        if (!data.contiguous || data.shape != shape) return false;
        loop.data[k] = raw<char>(tensor);
        loop.bytes[k] = static_cast<int>(size_of(data.dtype));
      }
    }
  loop.rank = 1;
  loop.size[0] = shape.numel();
  return true;
}

}  // namespace

Loop plan_loop(const Shape& shape, std::initializer_list<std::span<const Tensor>> groups) {
  Loop loop;
  if (plan_dense(loop, shape, groups)) return loop;
  loop.operands = 0;
  int axes[Loop::max_rank], count = 0;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (shape.begin()[axis] == 1) continue;
    loop.size[count] = shape.begin()[axis];
    axes[count++] = axis;
  }
  for (const auto& group : groups)
    for (const Tensor& tensor : group)
      add_operands(loop, shape, {axes, static_cast<std::size_t>(count)}, tensor);
  // The axes in the order in which the first operand lies in memory.
  int first = 0;
  while (first < loop.operands - 1 && loop.data[first] == nullptr) ++first;
  for (int i = 1; i < count; ++i)
    for (int j = i; j > 0; --j) {
      if (std::abs(loop.stride[first][j - 1]) >= std::abs(loop.stride[first][j])) break;
      swap_axes(loop, j - 1, j);
    }
  // Each is joined to its predecessor where that is possible.
  loop.rank = std::min(count, 1);
  for (int axis = 1; axis < count; ++axis) {
    int last = loop.rank - 1;
    bool joined = can_join(loop, last, axis);
    int place = joined ? last : loop.rank++;
    loop.size[place] = loop.size[axis] * (joined ? loop.size[last] : 1);
    if (place == axis) continue;
    for (int k = 0; k < loop.operands; ++k) loop.stride[k][place] = loop.stride[k][axis];
  }
  if (loop.rank == 0) {
    loop.rank = 1;
    loop.size[0] = 1;
    for (int k = 0; k < loop.operands; ++k) loop.stride[k][0] = 1;
  }
  return loop;
}

Middle middle_of(const Shape& shape, int axis) {
  Middle m;
  for (int i = 0; i < shape.rank(); ++i)
    (i < axis ? m.outer : i == axis ? m.n : m.inner) *= shape[i];
  return m;
}

}  // namespace keratin
