// Cuts a loop for the threads: the outermost axis, or a single row, in pieces.

#include <algorithm>

#include <keratin/core/cpu/run_loop.h>
#include <keratin/core/internal/parallel.h>

namespace keratin::cpu {

void run_loop(const Loop& loop, LoopFunction function, const void* functor, int cost) {
  std::int64_t total = 1;
  for (int axis = 0; axis < loop.rank; ++axis) total *= loop.size[axis];
  if (total == 0) return;
  std::int64_t outer = loop.size[0];
  // A single long row is cut at multiples of 64 elements, to leave whole batches and cache lines.
  std::int64_t unit = loop.rank == 1 ? 64 : 1;
  std::int64_t items = (outer + unit - 1) / unit;
  parallel_for(items, total * (loop.operands + cost) / accesses_per_thread,
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
