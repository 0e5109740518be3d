// How many threads the library uses. Results never depend on the number.
#pragma once

namespace keratin {

/// Threads a kernel may use: OpenMP's number at first (OMP_NUM_THREADS, or one per processor), but
/// never more than there are processors to run them on.
int num_threads();

/// Sets num_threads() for the whole program; 0 returns to the default. When it exceeds the number
/// of processors, work is cut for so many threads and done by one for each processor.
void set_num_threads(int threads);

}  // namespace keratin
