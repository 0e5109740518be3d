// Hash functions of strings, by which layers choose a bin: those of TensorFlow, bit for bit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <keratin/autograd/ops.h>

namespace keratin {

/// FarmHash's Fingerprint64 (Google, 2014), which never changes.
std::uint64_t fingerprint64(std::string_view text);

/// SipHash-2-4 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012) with a key of two
/// numbers.
std::uint64_t siphash(std::string_view text, std::uint64_t key0, std::uint64_t key1);

/// What is hashed of a token.
inline std::string text_of(std::int64_t number) { return std::to_string(number); }
inline const std::string& text_of(const std::string& text) { return text; }

/// A number in 0..bins-1: by SipHash with the salt as its key, or without a salt by Fingerprint64.
std::int64_t hash_bin(std::string_view text, std::int64_t bins, const PerAxis& salt);

/// A salt: none, two numbers, or one that is used twice. Keras writes two.
struct Field salt_field(PerAxis& salt);

}  // namespace keratin
