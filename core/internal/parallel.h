// The one place that decides how work is spread over threads, and the floating-point mode it is
// done in. Work is cut by size alone; a piece's result never depends on who computes it.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>

#include <keratin/core/parallel.h>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace keratin {

/// Flushes denormal numbers to zero while it lives, and restores the caller's mode. An LSTM meets
/// denormals in its gates, and each costs a hundred times a normal operation.
class FlushDenormals {
 public:
#if defined(__SSE2__)
  FlushDenormals() : saved_(_mm_getcsr()) {
    if ((saved_ & flush) != flush) _mm_setcsr(saved_ | flush);
  }
  ~FlushDenormals() {
    if ((saved_ & flush) != flush) _mm_setcsr(saved_);
  }

 private:
  static constexpr unsigned flush = 0x8040;  // FTZ | DAZ
  unsigned saved_;
#elif defined(__aarch64__)
  FlushDenormals() {
    asm volatile("mrs %0, fpcr" : "=r"(saved_));
    asm volatile("msr fpcr, %0" ::"r"(saved_ | (1ull << 24)));
  }
  ~FlushDenormals() { asm volatile("msr fpcr, %0" ::"r"(saved_)); }

 private:
  std::uint64_t saved_;
#endif
 public:
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;
};

/// Watches how long a team waits for its last member. On a busy machine that can be a hundred times
/// the work itself, since a member that lost its processor keeps all others spinning; then the work
/// is done alone for a while. Results do not depend on it: only on how the work is cut.
class TeamWatch {
 public:
  /// Threads that work for `pieces` may use now.
  static int threads_for(std::int64_t pieces);

  TeamWatch();
  /// To be called by the calling thread when its own share is done, and when all are.
  void own_share_done();
  void all_done();

 private:
  std::int64_t start_, own_ = 0;  // nanoseconds
};

/// Calls body(begin, end) on pieces that cover 0..n-1, in parallel when there is work for more than
/// one thread: at least `grain` items each. The body must give the same result however it is cut,
/// and must not throw.
template <class Body>
void parallel_for(std::int64_t n, std::int64_t grain, const Body& body) {
  int threads = TeamWatch::threads_for(n / std::max<std::int64_t>(grain, 1));
  if (threads <= 1) {
    if (n > 0) body(std::int64_t{0}, n);
    return;
  }
  TeamWatch watch;
#pragma omp parallel num_threads(threads)
  {
    FlushDenormals guard;
    int team = omp_get_num_threads();
    int me = omp_get_thread_num();
    std::int64_t begin = n * me / team;
    std::int64_t end = n * (me + 1) / team;
    if (begin < end) body(begin, end);
    if (me == 0) watch.own_share_done();
  }
  watch.all_done();
}

}  // namespace keratin
