// Random numbers from a counter: Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy
// as 1, 2, 3", SC 2011). Number n depends on the seed and n alone, so any number of threads gives
// the same numbers, and the state is two integers.
#pragma once

#include <cstdint>
#include <vector>

#include <keratin/core/snapshot.h>
#include <keratin/core/tensor.h>

namespace keratin {

struct Draw;  // core/internal/draw.h

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_{seed, 0} {}

  /// low <= x < high, from 24 random bits; from 53 in float64, whose first 24 are those of float32,
  /// so that a seed gives the same numbers in both, up to rounding.
  Tensor uniform(const Shape& shape, double low = 0, double high = 1, DType dtype = float32,
                 Device device = default_device());
  /// By Box and Muller from pairs of 32-bit numbers, whatever the dtype: at most 6.8 deviations
  /// off.
  Tensor normal(const Shape& shape, double mean = 0, double stddev = 1, DType dtype = float32,
                Device device = default_device());
  /// Normal, with values beyond two standard deviations drawn again.
  Tensor truncated_normal(const Shape& shape, double mean = 0, double stddev = 1,
                          DType dtype = float32, Device device = default_device());
  /// int32 values low..high-1.
  Tensor integers(const Shape& shape, std::int64_t low, std::int64_t high,
                  Device device = default_device());
  /// 0..n-1 in random order.
  std::vector<std::int64_t> permutation(std::int64_t n);
  /// A seed for another generator.
  std::uint64_t next_seed();

  /// All there is to save: a generator set to a state goes on from there.
  struct State {
    std::uint64_t seed;
    std::uint64_t counter;  // blocks of four 32-bit numbers drawn so far
    bool operator==(const State&) const = default;
  };
  State state() const { return state_; }
  void set_state(const State& state) { state_ = state; }
  void snapshot(Snapshot& s) {
    s.field("seed", state_.seed);
    s.field("counter", state_.counter);
  }

 private:
  std::uint64_t reserve(std::int64_t numbers);  // first block of a run of 32-bit numbers
  Tensor generate(const Shape& shape, DType dtype, Device device, Draw draw);
  State state_;
};

/// Seeds what draws without a seed of its own: initializers, shuffling, dropout.
void set_random_seed(std::uint64_t seed);

/// The calling thread's generator, seeded by set_random_seed (0 at first). The main thread's is
/// Random(seed). Every other thread has a stream of its own, made from the seed and the order in
/// which such threads first drew since it was set. Where several threads race for that order, give
/// each a Random of its own to have numbers that can be repeated.
Random& default_random();

}  // namespace keratin
