// A fiber: code with a stack of its own, which can be left in the midst of a call and entered
// again.
#pragma once

#include <cstddef>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace emulator {

#if defined(__x86_64__)
using Context = void*;  // the stack pointer; the registers lie on the stack
#else
using Context = ucontext_t;
#endif

/// Runs body(argument) again and again. A fiber lives as long as the process, and all its visits
/// from one run of the body are made by one thread.
class Fiber {
 public:
  /// The stack begins `offset` bytes (a multiple of 64) below the end of its pages: where all began
  /// at the end, they would compete for a few lines of the cache.
  Fiber(void (*body)(void*), void* argument, std::size_t offset);
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Goes on in the fiber, until it leaves or a run of the body has ended.
  void enter();
  /// Goes on where enter() was called. For the fiber's own code.
  void leave();

 private:
  static void loop();
  void arrive(void* fake_stack);

  void (*body_)(void*);
  void* argument_;
  std::byte* stack_;
  Context inside_, outside_;
  // What the sanitizers know: AddressSanitizer two stacks, ThreadSanitizer a thread.
  void* fake_stack_ = nullptr;
  [[maybe_unused]] const void* outer_stack_ = nullptr;
  [[maybe_unused]] std::size_t outer_bytes_ = 0;
  [[maybe_unused]] void* thread_ = nullptr;
};

}  // namespace emulator
