// From tensors to a nest of loops: axes that all operands walk in one stride become one, so that
// the usual case is a single loop; the nest is then cut into pieces for the threads.
#pragma once

#include <span>

#include <keratin/core/cpu/loops.h>
#include <keratin/core/tensor.h>

namespace keratin::cpu {

/// A loop over `shape`; operands of smaller shape are broadcast, undefined ones have null data. One
/// that is several times as wide along the last axis stands for as many operands side by side.
Loop plan_loop(const Shape& shape, std::initializer_list<std::span<const Tensor>> operands);

/// Runs the loop, on several threads where the work is worth them. `cost` is that of the functor
/// for one element, in numbers read or written. Outputs must not overlap.
void run_loop(const Loop& loop, LoopFunction function, const void* functor, int cost = 0);

}  // namespace keratin::cpu
