// The one place that decides how work is spread over threads, and the floating-point mode it is
// done in. Work is cut by size alone, and the result of a part does not depend on the thread that
// computes it.
#pragma once

#include <cstdint>
#include <functional>

#include <keratin/core/parallel.h>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace keratin {

/// The processor's floating-point mode of the calling thread.
class FloatingPointMode {
 public:
  static FloatingPointMode current() {
    FloatingPointMode mode;
#if defined(__SSE2__)
    mode.bits_ = _mm_getcsr() & ~0x3fu;  // without the flags of what has happened
#elif defined(__aarch64__)
    asm volatile("mrs %0, fpcr" : "=r"(mode.bits_));
#endif
    return mode;
  }
  FloatingPointMode flushing_denormals() const {
    FloatingPointMode mode;
#if defined(__SSE2__)
    mode.bits_ = bits_ | 0x8040;  // FTZ | DAZ
#elif defined(__aarch64__)
    mode.bits_ = bits_ | (1ull << 24);
#endif
    return mode;
  }
  void set() const {
#if defined(__SSE2__)
    _mm_setcsr(static_cast<unsigned>(bits_));
#elif defined(__aarch64__)
    asm volatile("msr fpcr, %0" ::"r"(bits_));
#endif
  }
  bool operator==(const FloatingPointMode&) const = default;

 private:
  std::uint64_t bits_ = 0;
};

/// A mode while it lives, then the mode that was before.
class WithMode {
 public:
  explicit WithMode(FloatingPointMode mode) : before_(FloatingPointMode::current()), mode_(mode) {
    if (mode_ != before_) mode_.set();
  }
  ~WithMode() {
    if (mode_ != before_) before_.set();
  }
  WithMode(const WithMode&) = delete;
  WithMode& operator=(const WithMode&) = delete;

 private:
  FloatingPointMode before_, mode_;
};

/// Flushes denormal numbers to zero while it lives. An LSTM meets denormals in its gates, and each
/// costs a hundred times a normal operation.
class FlushDenormals : WithMode {
 public:
  FlushDenormals() : WithMode(FloatingPointMode::current().flushing_denormals()) {}
};

/// The work that is worth a thread, two or three microseconds of one: so many numbers read or
/// written, or multiplications of a matrix product.
inline constexpr std::int64_t accesses_per_thread = 8'000;
inline constexpr std::int64_t products_per_thread = 80'000;

/// How many threads take part in work that can be cut into n parts and is worth `threads` of them.
/// All parallel loops ask here. Inside a part of another loop the answer is 1.
std::int64_t threads_for(std::int64_t n, std::int64_t threads);

/// Runs f with a team of threads that wait for the parts of the loops inside it, so that these
/// loops need not gather a team of their own.
void with_team(const std::function<void()>& f);

/// parallel_for without the template, for work that several threads share.
void share_out(std::int64_t n, std::int64_t threads,
               void (*part)(const void* body, std::int64_t begin, std::int64_t end),
               const void* body);

/// Calls body(begin, end) on parts that cover 0..n-1, in parallel where the work is worth several
/// threads. The body must give the same result however the range is cut, and must not throw. Every
/// thread runs it in the caller's floating-point mode.
template <class Body>
void parallel_for(std::int64_t n, std::int64_t threads, const Body& body) {
  threads = threads_for(n, threads);
  if (threads < 2) {
    if (n > 0) body(0, n);
    return;
  }
  share_out(
      n, threads,
      [](const void* it, std::int64_t begin, std::int64_t end) {
        (*static_cast<const Body*>(it))(begin, end);
      },
      &body);
}

}  // namespace keratin
