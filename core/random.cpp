#include <atomic>
#include <cmath>
#include <mutex>
#include <numeric>
#include <thread>

#include <keratin/core/internal/draw.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/tensor_data.h>
#include <keratin/core/kernels.h>
#include <keratin/core/random.h>

namespace keratin {
namespace {

void check_stddev(const char* who, double stddev) {
  if (!(stddev >= 0)) fail("{}: expected a stddev of at least 0, got {}", who, stddev);
}

}  // namespace

std::uint64_t Random::reserve(std::int64_t numbers) {
  std::uint64_t first = state_.counter;
  state_.counter += static_cast<std::uint64_t>(numbers + 3) / 4;
  return first;
}

// Computed in float64, then converted. A draw that fails leaves the generator where it was.
Tensor Random::generate(const Shape& shape, DType dtype, Device device, Draw draw) {
  draw.generator = this;
  draw.seed = state_.seed;
  draw.first = state_.counter;
  Tensor values = empty(shape, dtype == float32 ? float32 : float64, device);
  kernels_of(values).random(values, draw);
  reserve(shape.numel() * (draw.kind == Draw::Kind::truncated_normal ? 4 : 1));
  return cast(values, dtype);
}

Tensor Random::uniform(const Shape& shape, double low, double high, DType dtype, Device device) {
  if (!(low <= high) || !std::isfinite(high - low))
    fail("uniform: expected finite bounds, low <= high, got {} and {}", low, high);
  Draw draw{.kind = Draw::Kind::uniform, .low = low, .high = high};
  // As many bits as the dtype holds; where it must round all the same, never up to `high`.
  draw.wide = dtype == float64;
  draw.last = draw.wide ? std::nextafter(high, low)
                        : std::nextafter(static_cast<float>(high), static_cast<float>(low));
  return generate(shape, dtype, device, draw);
}

Tensor Random::normal(const Shape& shape, double mean, double stddev, DType dtype, Device device) {
  check_stddev("normal", stddev);
  return generate(shape, dtype, device,
                  {.kind = Draw::Kind::normal, .mean = mean, .stddev = stddev});
}

Tensor Random::truncated_normal(const Shape& shape, double mean, double stddev, DType dtype,
                                Device device) {
  check_stddev("truncated_normal", stddev);
  return generate(shape, dtype, device,
                  {.kind = Draw::Kind::truncated_normal, .mean = mean, .stddev = stddev});
}

Tensor Random::integers(const Shape& shape, std::int64_t low, std::int64_t high, Device device) {
  if (low >= high || low < -2147483648LL || high > 2147483648LL)
    fail("integers: expected low < high within int32, got {} and {}", low, high);
  return generate(shape, int32, device,
                  {.kind = Draw::Kind::integers,
                   .low = static_cast<double>(low),
                   .high = static_cast<double>(high)});
}

std::vector<std::int64_t> Random::permutation(std::int64_t n) {
  if (n < 0) fail("permutation: expected a count of at least 0, got {}", n);
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  std::uint64_t first = reserve(2 * n);
  for (std::int64_t i = n - 1; i > 0; --i) {  // Fisher and Yates
    PhiloxBlock bits = philox(first + static_cast<std::uint64_t>(i) / 2, state_.seed);
    std::uint64_t draw = std::uint64_t{bits[i % 2 * 2]} << 32 | bits[i % 2 * 2 + 1];
    std::swap(order[i], order[draw % static_cast<std::uint64_t>(i + 1)]);
  }
  return order;
}

std::uint64_t Random::next_seed() {
  PhiloxBlock bits = philox(reserve(4), state_.seed);
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
      PhiloxBlock bits = philox(++threads_seeded, global_seed, PhiloxPurpose::thread_key);
      key = std::uint64_t{bits[0]} << 32 | bits[1];
    }
    stream.random = Random(key);
  }
  return stream.random;
}

}  // namespace keratin
