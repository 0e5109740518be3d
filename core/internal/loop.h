// How kernels see strided memory: from tensors to a nest of loops, and to an array around one axis.
// Plain structs and no inline code, for files that are compiled for one kind of processor or
// device.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>

namespace keratin {

class Shape;
class Tensor;

/// A nest of loops over operands in step, outputs first. Null data: an output nobody wants.
struct Loop {
  static constexpr int max_operands = 17;
  static constexpr int max_rank = 8;

  int rank = 0;
  int operands = 0;
  std::int64_t size[max_rank];
  char* data[max_operands];
  int bytes[max_operands];                      // of an element
  std::int64_t stride[max_operands][max_rank];  // in elements
};

/// A loop over `shape`; operands of smaller shape are broadcast, undefined ones have null data. One
/// that is several times as wide along the last axis stands for as many operands side by side. Axes
/// that all operands walk in one stride become one, so that the usual case is a single loop.
Loop plan_loop(const Shape& shape, std::initializer_list<std::span<const Tensor>> operands);

/// The sizes of a dense array seen as (outer, n, inner) around one axis.
struct Middle {
  std::int64_t outer = 1, n = 1, inner = 1;
};

Middle middle_of(const Shape& shape, int axis);

}  // namespace keratin
