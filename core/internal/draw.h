// A draw of random numbers, each a function of the seed and its place alone: Philox 4x32-10 (Salmon
// et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011). core/random.cpp decides what is
// drawn. Device code may call all functions here, which is why they are constexpr; those that call
// <cmath> are templates, since only a template may be constexpr all the same.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <type_traits>

namespace keratin {

using PhiloxBlock = std::array<std::uint32_t, 4>;

/// What a block is for, in its third word: one counter gives unrelated numbers for each purpose.
enum class PhiloxPurpose : std::uint32_t { numbers, low_bits, thread_key };

/// Ten rounds; the multipliers and Weyl constants are those of the paper's table 2.
constexpr PhiloxBlock philox(std::uint64_t counter, std::uint64_t key,
                             PhiloxPurpose purpose = PhiloxPurpose::numbers) {
  PhiloxBlock x{static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32),
                static_cast<std::uint32_t>(purpose), 0};
  auto k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    std::uint64_t p0 = std::uint64_t{0xD2511F53} * x[0];
    std::uint64_t p1 = std::uint64_t{0xCD9E8D57} * x[2];
    x = {static_cast<std::uint32_t>(p1 >> 32) ^ x[1] ^ k0, static_cast<std::uint32_t>(p1),
         static_cast<std::uint32_t>(p0 >> 32) ^ x[3] ^ k1, static_cast<std::uint32_t>(p0)};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return x;
}

/// Where a generator stands while a kernel that was noted once runs again: its seed, and by how
/// many blocks it has gone on since.
struct GeneratorPlace {
  std::uint64_t seed = 0, ahead = 0;
};

/// Which numbers: trivially copyable, so that a kernel takes it as a parameter.
struct Draw {
  enum class Kind { uniform, normal, truncated_normal, integers };

  Kind kind = Kind::uniform;
  bool wide = false;                      // uniform: from 53 random bits instead of 24
  std::uint64_t first = 0, seed = 0;      // the first block's counter, and the key
  double low = 0, high = 1;               // uniform; integers low..high-1
  double last = 1;                        // uniform: no number is larger, whatever the rounding
  double mean = 0, stddev = 1;            // normal and truncated_normal
  const void* generator = nullptr;        // the Random that draws
  const GeneratorPlace* place = nullptr;  // in the device's memory, of a kernel that runs again

  /// With the numbers that are to be drawn now.
  constexpr Draw placed() const {
    Draw now = *this;
    if (place != nullptr) {
      now.seed = place->seed;
      now.first += place->ahead;
    }
    return now;
  }
};

/// In (0, 1): 32 bits, at the middle of each step.
constexpr double open_unit(std::uint32_t bits) { return (bits + 0.5) * 0x1p-32; }

/// Box and Muller's pair of normal numbers.
template <class T = double>
constexpr std::array<T, 2> normal_pair(std::uint32_t a, std::uint32_t b) {
  T radius = std::sqrt(-2 * std::log(open_unit(a)));
  T angle = 2 * std::numbers::pi * open_unit(b);
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

/// Number n of the draw, whose kind the caller states as a constant.
template <Draw::Kind kind>
constexpr double number_of(const Draw& draw, std::uint64_t n) {
  if constexpr (kind == Draw::Kind::truncated_normal) {
    // Every element has a key of its own, so that it can draw again without moving the others.
    for (std::uint64_t attempt = 0;; ++attempt) {
      PhiloxBlock bits = philox(draw.first + n + (attempt << 48), draw.seed);
      for (int pair = 0; pair < 4; pair += 2)
        for (double x : normal_pair(bits[pair], bits[pair + 1]))
          if (std::abs(x) <= 2) return draw.mean + draw.stddev * x;
    }
  } else {
    PhiloxBlock bits = philox(draw.first + n / 4, draw.seed);
    if constexpr (kind == Draw::Kind::normal)
      return draw.mean + draw.stddev * normal_pair(bits[n & 2], bits[(n & 2) + 1])[n & 1];
    std::uint64_t drawn = bits[n % 4];
    if constexpr (kind == Draw::Kind::integers) {
      auto range = static_cast<std::int64_t>(draw.high - draw.low);
      return draw.low + static_cast<double>(static_cast<std::int64_t>(
                            drawn * static_cast<std::uint64_t>(range) >> 32));
    }
    double part = static_cast<double>(drawn >> 8) * 0x1p-24;
    if (draw.wide) {
      std::uint64_t rest = philox(draw.first + n / 4, draw.seed, PhiloxPurpose::low_bits)[n % 4];
      part = static_cast<double>(drawn << 21 | rest >> 11) * 0x1p-53;
    }
    return std::min(draw.low + (draw.high - draw.low) * part, draw.last);
  }
}

/// Calls f with the kind as a constant: std::integral_constant<Draw::Kind, kind>.
template <class F>
void with_kind(Draw::Kind kind, const F& f) {
  using enum Draw::Kind;
  switch (kind) {
    case uniform:
      return f(std::integral_constant<Draw::Kind, uniform>{});
    case normal:
      return f(std::integral_constant<Draw::Kind, normal>{});
    case truncated_normal:
      return f(std::integral_constant<Draw::Kind, truncated_normal>{});
    case integers:
      return f(std::integral_constant<Draw::Kind, integers>{});
  }
}

}  // namespace keratin
