#include <array>
#include <atomic>
#include <cmath>
#include <mutex>
#include <numbers>
#include <numeric>
#include <thread>

#include <keratin/core/internal/message.h>
#include <keratin/core/internal/parallel.h>
#include <keratin/core/internal/tensor_data.h>
#include <keratin/core/kernels.h>
#include <keratin/core/random.h>

namespace keratin {
namespace {

using Block = std::array<std::uint32_t, 4>;

// What a block is for, in its third word: one counter gives unrelated numbers for each purpose.
enum class Purpose : std::uint32_t { numbers, low_bits, thread_key };

// Philox 4x32, ten rounds; the multipliers and Weyl constants are those of the paper's table 2.
Block philox(std::uint64_t counter, std::uint64_t key, Purpose purpose = Purpose::numbers) {
  Block x{static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32),
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

// In (0, 1): 32 bits, at the middle of each step.
double unit(std::uint32_t bits) { return (bits + 0.5) * 0x1p-32; }

// Box and Muller's pair of normal numbers.
std::array<double, 2> normal_pair(std::uint32_t a, std::uint32_t b) {
  double radius = std::sqrt(-2 * std::log(unit(a)));
  double angle = 2 * std::numbers::pi * unit(b);
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

// Element i of a new tensor is number(i): computed in float64, then converted.
template <class Number>
Tensor generate(const Shape& shape, DType dtype, const Number& number) {
  auto filled = [&]<class T>(T) {
    Tensor values = empty(shape, dtype_for<T>, Device());
    T* out = raw<T>(values);
    parallel_for(values.numel(), values.numel() / 1000, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) out[i] = static_cast<T>(number(i));
    });
    return values;
  };
  return dtype == float32 ? filled(float{}) : cast(filled(double{}), dtype);
}

void check_stddev(const char* who, double stddev) {
  if (!(stddev >= 0)) fail("{}: expected a stddev of at least 0, got {}", who, stddev);
}

}  // namespace

std::uint64_t Random::reserve(std::int64_t numbers) {
  std::uint64_t first = state_.counter;
  state_.counter += static_cast<std::uint64_t>(numbers + 3) / 4;
  return first;
}

Tensor Random::uniform(const Shape& shape, double low, double high, DType dtype, Device) {
  if (!(low <= high) || !std::isfinite(high - low))
    fail("uniform: expected finite bounds, low <= high, got {} and {}", low, high);
  std::uint64_t first = reserve(shape.numel()), seed = state_.seed;
  // As many bits as the dtype holds; where it must round all the same, never up to `high`.
  const bool wide = dtype == float64;
  double last = wide ? std::nextafter(high, low)
                     : std::nextafter(static_cast<float>(high), static_cast<float>(low));
  return generate(shape, dtype, [=](std::int64_t i) {
    auto n = static_cast<std::uint64_t>(i);
    std::uint64_t bits = philox(first + n / 4, seed)[n % 4];
    double part = static_cast<double>(bits >> 8) * 0x1p-24;
    if (wide) {
      std::uint64_t rest = philox(first + n / 4, seed, Purpose::low_bits)[n % 4];
      part = static_cast<double>(bits << 21 | rest >> 11) * 0x1p-53;
    }
    return std::min(low + (high - low) * part, last);
  });
}

Tensor Random::normal(const Shape& shape, double mean, double stddev, DType dtype, Device) {
  check_stddev("normal", stddev);
  std::uint64_t first = reserve(shape.numel()), seed = state_.seed;
  return generate(shape, dtype, [=](std::int64_t i) {
    auto n = static_cast<std::uint64_t>(i);
    Block bits = philox(first + n / 4, seed);
    return mean + stddev * normal_pair(bits[n & 2], bits[(n & 2) + 1])[n & 1];
  });
}

Tensor Random::truncated_normal(const Shape& shape, double mean, double stddev, DType dtype, Device) {
  check_stddev("truncated_normal", stddev);
  // Every element has a key of its own, so that it can draw again without moving the others.
  std::uint64_t first = reserve(shape.numel() * 4), seed = state_.seed;
  return generate(shape, dtype, [=](std::int64_t i) {
    for (std::uint64_t attempt = 0;; ++attempt) {
      Block bits = philox(first + static_cast<std::uint64_t>(i) + (attempt << 48), seed);
      for (int pair = 0; pair < 4; pair += 2)
        for (double x : normal_pair(bits[pair], bits[pair + 1]))
          if (std::abs(x) <= 2) return mean + stddev * x;
    }
  });
}

Tensor Random::integers(const Shape& shape, std::int64_t low, std::int64_t high, Device) {
  if (low >= high || low < -2147483648LL || high > 2147483648LL)
    fail("integers: expected low < high within int32, got {} and {}", low, high);
  std::uint64_t first = reserve(shape.numel()), seed = state_.seed;
  auto range = static_cast<std::uint64_t>(high - low);
  return generate(shape, int32, [=](std::int64_t i) {
    auto n = static_cast<std::uint64_t>(i);
    std::uint64_t scaled = philox(first + n / 4, seed)[n % 4] * range >> 32;
    return static_cast<double>(low + static_cast<std::int64_t>(scaled));
  });
}

std::vector<std::int64_t> Random::permutation(std::int64_t n) {
  if (n < 0) fail("permutation: expected a count of at least 0, got {}", n);
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  std::uint64_t first = reserve(2 * n);
  for (std::int64_t i = n - 1; i > 0; --i) {  // Fisher and Yates
    Block bits = philox(first + static_cast<std::uint64_t>(i) / 2, state_.seed);
    std::uint64_t draw = std::uint64_t{bits[i % 2 * 2]} << 32 | bits[i % 2 * 2 + 1];
    std::swap(order[i], order[draw % static_cast<std::uint64_t>(i + 1)]);
  }
  return order;
}

std::uint64_t Random::next_seed() {
  Block bits = philox(reserve(4), state_.seed);
  return std::uint64_t{bits[0]} << 32 | bits[1];
}

namespace {

std::mutex seeding;  // guards the two numbers below; the epoch changes under it
std::uint64_t global_seed = 0;
std::uint64_t threads_seeded = 0;  // of this epoch, without the main thread
std::atomic<std::uint64_t> global_epoch{1};

// No thread yet while static objects are made, which the main thread does.
const std::thread::id main_thread = std::this_thread::get_id();

bool in_main_thread() {
  return main_thread == std::thread::id() || main_thread == std::this_thread::get_id();
}

}  // namespace

void set_random_seed(std::uint64_t seed) {
  std::lock_guard lock(seeding);
  global_seed = seed;
  threads_seeded = 0;
  ++global_epoch;
}

Random& default_random() {
  struct Stream {
    Random random{0};
    std::uint64_t epoch = 0;
  };
  static thread_local Stream stream;
  if (global_epoch.load() != stream.epoch) {
    std::lock_guard lock(seeding);
    stream.epoch = global_epoch.load();
    std::uint64_t key = global_seed;
    if (!in_main_thread()) {
      Block bits = philox(++threads_seeded, global_seed, Purpose::thread_key);
      key = std::uint64_t{bits[0]} << 32 | bits[1];
    }
    stream.random = Random(key);
  }
  return stream.random;
}

}  // namespace keratin
