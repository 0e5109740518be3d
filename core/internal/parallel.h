// The one place that decides how work is spread over threads, and the floating-point mode it is
// done in. Work is cut by size alone; a piece's result never depends on who computes it.
#pragma once

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

/// The work that is worth a thread, some ten microseconds of one: so many numbers read or written,
/// or multiplications of a matrix product.
inline constexpr std::int64_t accesses_per_thread = 40'000;
inline constexpr std::int64_t products_per_thread = 333'000;

/// parallel_for without the template. A team serves one caller at a time; who finds it taken, or is
/// a piece of its work, works alone.
void spread(std::int64_t n, std::int64_t threads,
            void (*piece)(const void* body, std::int64_t begin, std::int64_t end),
            const void* body);

/// Calls body(begin, end) on pieces that cover 0..n-1, in parallel when there is work for more than
/// one thread: it is worth `threads` of them. The body must give the same result however it is cut,
/// and must not throw.
template <class Body>
void parallel_for(std::int64_t n, std::int64_t threads, const Body& body) {
  spread(
      n, threads,
      [](const void* it, std::int64_t begin, std::int64_t end) {
        (*static_cast<const Body*>(it))(begin, end);
      },
      &body);
}

}  // namespace keratin
