// Whether AddressSanitizer or ThreadSanitizer is part of the build. Then no pool rounds a size up,
// so that the sanitizers see where an array ends. The processor's pool also keeps no freed blocks,
// so that they see when its lifetime ends.
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
