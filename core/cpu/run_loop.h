// A planned loop on the processor, cut into pieces for its threads.
#pragma once

#include <keratin/core/cpu/loops.h>

namespace keratin::cpu {

/// Runs the loop, on several threads where the work is worth them. `cost` is that of the functor
/// for one element, in numbers read or written. Outputs must not overlap.
void run_loop(const Loop& loop, LoopFunction function, const void* functor, int cost = 0);

}  // namespace keratin::cpu
