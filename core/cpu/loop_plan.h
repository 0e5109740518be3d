// From tensors to a nest of loops: axes that all operands walk in one stride become one, so that
// the usual case is a single loop; the nest is then cut into pieces for the threads.
#pragma once

#include <span>

#include <keratin/core/cpu/loops.h>
#include <keratin/core/tensor.h>

namespace keratin::cpu {

/// A loop over `shape`; operands of smaller shape are broadcast, undefined ones have null data. One
/// that is several times as wide along the last axis stands for as many operands side by side. The
/// axes are taken in the order in which the first operand lies in memory, but that of the rows, if
/// given, comes first and by itself.
Loop plan_loop(const Shape& shape, std::initializer_list<std::span<const Tensor>> operands,
               int row_axis = -1);

/// What a loop calls, of any type: copied as bytes where it has to wait.
struct Functor {
  static constexpr std::size_t most_bytes = 64;
  const void* object;
  std::size_t bytes;
  bool keeps_denormals = false;  // conversions and comparisons, which are no arithmetic
};

/// Plans a loop and runs it, on several threads when each gets work worth its while. Outputs must
/// not overlap.
void run_loop(const Shape& shape, std::initializer_list<std::span<const Tensor>> operands,
              LoopFunction function, Functor functor);

}  // namespace keratin::cpu
