// Whether AddressSanitizer or ThreadSanitizer is part of the build. Memory then bypasses the pools'
// sizes and lists: the sanitizers must see each lifetime and each end of an array.
#pragma once

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)  // g++
#define KERATIN_SANITIZED 1
#elif defined(__has_feature)  // clang++
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define KERATIN_SANITIZED 1
#endif
#endif

namespace keratin {

#ifdef KERATIN_SANITIZED
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif

}  // namespace keratin
