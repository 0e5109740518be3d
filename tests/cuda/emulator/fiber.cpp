#include "fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

#include "sanitizers.h"

namespace emulator {
namespace {

constexpr std::size_t guard_bytes = 4096;
constexpr std::size_t stack_bytes = (std::size_t{256} << 10) + guard_bytes;

thread_local Fiber* current = nullptr;

#if defined(__x86_64__)

// Keeps the registers that a call must keep on the old stack and takes them from the new one.
extern "C" void emulator_switch(void** from, void* to);
asm(R"(
.text
.type emulator_switch, @function
emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size emulator_switch, .-emulator_switch
)");

void switch_context(Context& from, Context& to) { emulator_switch(&from, to); }

// As if function() had been called by nobody and had switched away before its first instruction.
void make_context(Context& context, std::byte* stack, std::size_t bytes, void (*function)()) {
  auto** top = reinterpret_cast<void**>(stack + bytes);
  *--top = nullptr;
  *--top = reinterpret_cast<void*>(function);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  context = top;
}

#else

void switch_context(Context& from, Context& to) { swapcontext(&from, &to); }

void make_context(Context& context, std::byte* stack, std::size_t bytes, void (*function)()) {
  getcontext(&context);
  context.uc_stack.ss_sp = stack;
  context.uc_stack.ss_size = bytes;
  context.uc_link = nullptr;
  makecontext(&context, function, 0);
}

#endif

}  // namespace

Fiber::Fiber(void (*body)(void*), void* argument, std::size_t offset)
    : body_(body), argument_(argument) {
  void* pages = mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED) throw std::bad_alloc();
  stack_ = static_cast<std::byte*>(pages);
  mprotect(stack_, guard_bytes, PROT_NONE);
  make_context(inside_, stack_, stack_bytes - offset, loop);
#ifdef EMULATOR_TSAN
  thread_ = __tsan_create_fiber(0);
#endif
}

// The thread that ThreadSanitizer sees changes outside of the fiber's stack, so that each call
// begins and ends in one thread.
void Fiber::enter() {
  current = this;
#ifdef EMULATOR_TSAN
  void* thread = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(thread_, __tsan_switch_to_fiber_no_sync);
#endif
#ifdef EMULATOR_ASAN
  void* fake_stack = nullptr;
  __sanitizer_start_switch_fiber(&fake_stack, stack_, stack_bytes);
#endif
  switch_context(outside_, inside_);
#ifdef EMULATOR_ASAN
  __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#endif
#ifdef EMULATOR_TSAN
  __tsan_switch_to_fiber(thread, __tsan_switch_to_fiber_no_sync);
#endif
}

void Fiber::leave() {
#ifdef EMULATOR_ASAN
  __sanitizer_start_switch_fiber(&fake_stack_, outer_stack_, outer_bytes_);
#endif
  switch_context(inside_, outside_);
  arrive(fake_stack_);
}

void Fiber::arrive([[maybe_unused]] void* fake_stack) {
#ifdef EMULATOR_ASAN
  __sanitizer_finish_switch_fiber(fake_stack, &outer_stack_, &outer_bytes_);
#endif
}

void Fiber::loop() {
  Fiber& self = *current;
  self.arrive(nullptr);
  for (;;) {
    self.body_(self.argument_);
    self.leave();
  }
}

}  // namespace emulator
