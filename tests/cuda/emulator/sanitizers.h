// What the emulator tells AddressSanitizer and ThreadSanitizer; nothing in other builds.
#pragma once

#include <cstddef>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EMULATOR_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define EMULATOR_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define EMULATOR_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define EMULATOR_TSAN 1
#endif

#ifdef EMULATOR_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef EMULATOR_TSAN
#include <sanitizer/tsan_interface.h>
extern "C" {
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#endif

namespace emulator::sanitizer {

/// Memory that no one may use, until it is opened.
inline void poison([[maybe_unused]] const void* memory, [[maybe_unused]] std::size_t bytes) {
#ifdef EMULATOR_ASAN
  ASAN_POISON_MEMORY_REGION(memory, bytes);
#endif
}
inline void unpoison([[maybe_unused]] const void* memory, [[maybe_unused]] std::size_t bytes) {
#ifdef EMULATOR_ASAN
  ASAN_UNPOISON_MEMORY_REGION(memory, bytes);
#endif
}

#ifdef EMULATOR_TSAN
inline constexpr bool of_threads = true;
#else
inline constexpr bool of_threads = false;
#endif

/// What happened before release(tag) is visible after acquire(tag).
inline void release([[maybe_unused]] void* tag) {
#ifdef EMULATOR_TSAN
  __tsan_release(tag);
#endif
}
inline void acquire([[maybe_unused]] void* tag) {
#ifdef EMULATOR_TSAN
  __tsan_acquire(tag);
#endif
}

/// While it lives, ThreadSanitizer does not look at what the current thread or fiber reads and
/// writes: the emulator's own records, of which no emulated thread knows.
class Unseen {
 public:
#ifdef EMULATOR_TSAN
  Unseen() {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  ~Unseen() {
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
#else
  Unseen() {}
  ~Unseen() {}
#endif
  Unseen(const Unseen&) = delete;
  Unseen& operator=(const Unseen&) = delete;
};

}  // namespace emulator::sanitizer
