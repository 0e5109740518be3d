#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include <keratin/core/config.h>
#include <keratin/core/internal/message.h>
#include <keratin/layers/internal/hashes.h>
#include <keratin/layers/internal/per_axis.h>

namespace keratin {
namespace {

using Word = std::uint64_t;

/// The bytes from `at` on as a number, the first one lowest.
template <class T = Word>
Word word(std::string_view text, std::size_t at) {
  T value;
  std::memcpy(&value, text.data() + at, sizeof value);
  if constexpr (std::endian::native == std::endian::big) {
    Word reversed = 0;
    for (std::size_t i = 0; i < sizeof value; ++i, value >>= 8)
      reversed = reversed << 8 | (value & 255);
    return reversed;
  }
  return value;
}

// --- Fingerprint64. One formula for each range of lengths; the constants are those of FarmHash,
// odd numbers with bits without a pattern.

constexpr Word k0 = 0xc3a5c85c97cb3127, k1 = 0xb492b66fbe98f273, k2 = 0x9ae16a3b2f90404f;

Word fold(Word x) { return x ^ (x >> 47); }

/// Two words into one.
Word mix(Word u, Word v, Word multiplier) {
  const Word a = fold((u ^ v) * multiplier);
  return fold((v ^ a) * multiplier) * multiplier;
}

Word of_0_to_16(std::string_view s) {
  const std::size_t n = s.size();
  const Word multiplier = k2 + 2 * n;
  if (n >= 8) {
    const Word a = word(s, 0) + k2, b = word(s, n - 8);
    return mix(std::rotr(b, 37) * multiplier + a, (std::rotr(a, 25) + b) * multiplier, multiplier);
  }
  if (n >= 4)
    return mix(n + (word<std::uint32_t>(s, 0) << 3), word<std::uint32_t>(s, n - 4), multiplier);
  if (n == 0) return k2;
  auto byte = [&](std::size_t i) { return static_cast<Word>(static_cast<unsigned char>(s[i])); };
  return fold((byte(0) + (byte(n / 2) << 8)) * k2 ^ (n + (byte(n - 1) << 2)) * k0) * k2;
}

Word of_17_to_32(std::string_view s) {
  const std::size_t n = s.size();
  const Word multiplier = k2 + 2 * n, a = word(s, 0) * k1, b = word(s, 8),
             c = word(s, n - 8) * multiplier, d = word(s, n - 16) * k2;
  return mix(std::rotr(a + b, 43) + std::rotr(c, 30) + d, a + std::rotr(b + k2, 18) + c,
             multiplier);
}

Word of_33_to_64(std::string_view s) {
  const std::size_t n = s.size();
  const Word multiplier = k2 + 2 * n, a = word(s, 0) * k2, b = word(s, 8),
             c = word(s, n - 8) * multiplier, d = word(s, n - 16) * k2;
  const Word y = std::rotr(a + b, 43) + std::rotr(c, 30) + d,
             z = mix(y, a + std::rotr(b + k2, 18) + c, multiplier);
  const Word e = word(s, 16) * multiplier, f = word(s, 24), g = (y + word(s, n - 32)) * multiplier,
             h = (z + word(s, n - 24)) * multiplier;
  return mix(std::rotr(e + f, 43) + std::rotr(g, 30) + h, e + std::rotr(f + a, 18) + g, multiplier);
}

using Pair = std::pair<Word, Word>;

/// 32 bytes from `at` on and two seeds into two words.
Pair absorb(std::string_view s, std::size_t at, Word a, Word b) {
  const Word first = word(s, at), last = word(s, at + 24);
  a += first;
  b = std::rotr(b + a + last, 21);
  const Word middle = a + word(s, at + 8) + word(s, at + 16);
  return {middle + last, b + std::rotr(middle, 44) + a};
}

/// 56 bytes of state, into which 64 bytes at a time are stirred; the last 64 with other factors.
struct Long {
  Word x, y, z;
  Pair v{}, w{};

  void stir(std::string_view s, std::size_t at, Word multiplier, Word factor) {
    x = std::rotr(x + y + v.first + word(s, at + 8), 37) * multiplier;
    y = std::rotr(y + v.second + word(s, at + 48), 42) * multiplier;
    x ^= w.second * factor;
    y += v.first * factor + word(s, at + 40);
    z = std::rotr(z + w.first, 33) * multiplier;
    v = absorb(s, at, v.second * multiplier, x + w.first);
    w = absorb(s, at + 32, z + w.second, y + word(s, at + 16));
    std::swap(z, x);
  }
};

Word of_more(std::string_view s) {
  constexpr Word seed = 81;
  Long state{seed * k2 + word(s, 0), seed * k1 + 113, 0};
  state.z = fold(state.y * k2 + 113) * k2;
  const std::size_t last = s.size() - 1, end = last / 64 * 64;
  for (std::size_t at = 0; at < end; at += 64) state.stir(s, at, k1, 1);
  const Word multiplier = k1 + ((state.z & 255) << 1);
  state.w.first += last % 64;
  state.v.first += state.w.first;
  state.w.first += state.v.first;
  state.stir(s, s.size() - 64, multiplier, 9);
  return mix(mix(state.v.first, state.w.first, multiplier) + fold(state.y) * k0 + state.z,
             mix(state.v.second, state.w.second, multiplier) + state.x, multiplier);
}

}  // namespace

std::uint64_t fingerprint64(std::string_view text) {
  if (text.size() <= 16) return of_0_to_16(text);
  if (text.size() <= 32) return of_17_to_32(text);
  return text.size() <= 64 ? of_33_to_64(text) : of_more(text);
}

// --- SipHash-2-4

std::uint64_t siphash(std::string_view text, std::uint64_t key0, std::uint64_t key1) {
  std::array<Word, 4> v{key0 ^ 0x736f6d6570736575, key1 ^ 0x646f72616e646f6d,
                        key0 ^ 0x6c7967656e657261, key1 ^ 0x7465646279746573};
  auto rounds = [&v](int count) {
    for (int i = 0; i < count; ++i) {
      v[0] += v[1];
      v[2] += v[3];
      v[1] = std::rotl(v[1], 13) ^ v[0];
      v[3] = std::rotl(v[3], 16) ^ v[2];
      v[0] = std::rotl(v[0], 32);
      v[2] += v[1];
      v[0] += v[3];
      v[1] = std::rotl(v[1], 17) ^ v[2];
      v[3] = std::rotl(v[3], 21) ^ v[0];
      v[2] = std::rotl(v[2], 32);
    }
  };
  auto compress = [&](Word m) {
    v[3] ^= m;
    rounds(2);
    v[0] ^= m;
  };
  std::size_t at = 0;
  for (; at + 8 <= text.size(); at += 8) compress(word(text, at));
  Word rest = static_cast<Word>(text.size()) << 56;  // the bytes that are left, and the length
  for (std::size_t i = at; i < text.size(); ++i)
    rest |= static_cast<Word>(static_cast<unsigned char>(text[i])) << 8 * (i - at);
  compress(rest);
  v[2] ^= 255;
  rounds(4);
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}

// --- bins

std::int64_t hash_bin(std::string_view text, std::int64_t bins, const PerAxis& salt) {
  const Word hash =
      salt.empty() ? fingerprint64(text)
                   : siphash(text, static_cast<Word>(salt.front()), static_cast<Word>(salt.back()));
  return static_cast<std::int64_t>(hash % static_cast<Word>(bins));
}

Field salt_field(PerAxis& salt) {
  auto read = [&salt]() -> Option {
    if (salt.empty()) return {};
    return std::vector<Option>{salt.front(), salt.back()};
  };
  return {"salt",
          read,
          [&salt](const Option& value) { return from_option(value, salt); },
          {"of one number or two", [&salt](const Option&) { return salt.size() <= 2; }}};
}

}  // namespace keratin
