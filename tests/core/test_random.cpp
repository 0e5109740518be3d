// Random numbers: the generator against the vectors its authors published, the distributions
// against their moments, and the promise that only the seed and the place in the stream matter.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

#include <keratin/core/parallel.h>
#include <keratin/core/random.h>

TEST_SUITE_BEGIN("core");

using namespace keratin;

namespace {

using Words = std::array<std::uint32_t, 4>;

// Philox 4x32-10 as the paper writes it, for any counter and key.
Words philox(Words counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    std::uint64_t left = std::uint64_t{0xD2511F53} * counter[0];
    std::uint64_t right = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<std::uint32_t>(right >> 32) ^ counter[1] ^ key[0],
               static_cast<std::uint32_t>(right),
               static_cast<std::uint32_t>(left >> 32) ^ counter[3] ^ key[1],
               static_cast<std::uint32_t>(left)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

Words block(std::uint64_t seed, std::uint64_t counter, std::uint32_t purpose = 0) {
  auto low = [](std::uint64_t x) { return static_cast<std::uint32_t>(x); };
  auto high = [](std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); };
  return philox({low(counter), high(counter), purpose, 0}, {low(seed), high(seed)});
}

// A generator's next four words, whole: integers over all of int32 hide nothing.
Words next_words(Random& random) {
  auto drawn = random.integers({4}, -2147483648LL, 2147483648LL).to_vector<std::int32_t>();
  Words words;
  for (int i = 0; i < 4; ++i)
    words[i] = static_cast<std::uint32_t>(std::int64_t{drawn[i]} + 2147483648LL);
  return words;
}

Random at(std::uint64_t seed, std::uint64_t counter) {
  Random random(seed);
  random.set_state({seed, counter});
  return random;
}

struct Threads {
  explicit Threads(int n) { set_num_threads(n); }
  ~Threads() { set_num_threads(0); }
};

double mean_of(const std::vector<double>& x) {
  return std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
}

double deviation_of(const std::vector<double>& x) {
  double m = mean_of(x), sum = 0;
  for (double value : x) sum += (value - m) * (value - m);
  return std::sqrt(sum / static_cast<double>(x.size()));
}

}  // namespace

// The vectors are philox4x32-10 of Random123's kat_vectors file.
TEST_CASE("the reference in this file gives the published vectors") {
  constexpr std::uint32_t ones = 0xffffffff;
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox({ones, ones, ones, ones}, {ones, ones}) ==
        Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("the generator is Philox with the seed as key and the block as counter") {
  Random zero(0);
  CHECK(next_words(zero) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(next_words(zero) == block(0, 1));
  for (std::uint64_t seed : {std::uint64_t{1}, std::uint64_t{0x299f31d0a4093822}, UINT64_MAX})
    for (std::uint64_t counter :
         {std::uint64_t{0}, std::uint64_t{0xffffffff}, std::uint64_t{0x85a308d3243f6a88}}) {
      Random random = at(seed, counter);
      CHECK(next_words(random) == block(seed, counter));
      CHECK(next_words(random) == block(seed, counter + 1));
    }
}

TEST_CASE("uniform numbers are the top 24 bits of successive words") {
  Words a = block(42, 0), b = block(42, 1);
  auto drawn = Random(42).uniform({2, 3}).to_vector<double>();
  const std::uint32_t words[] = {a[0], a[1], a[2], a[3], b[0], b[1]};
  for (int i = 0; i < 6; ++i) CHECK(drawn[i] == (words[i] >> 8) * 0x1p-24);
}

TEST_CASE("float64 uniform numbers have 53 bits, of which the first 24 are those of float32") {
  Random wide(42), narrow(42);
  auto drawn = wide.uniform({6}, 0, 1, float64).to_vector<double>();
  auto rounded = narrow.uniform({6}).to_vector<double>();
  CHECK(wide.state() == narrow.state());
  for (std::size_t i = 0; i < 6; ++i) {
    std::uint64_t high = block(42, i / 4)[i % 4], low = block(42, i / 4, 1)[i % 4];
    CHECK(drawn[i] == static_cast<double>((high << 32 | low) >> 11) * 0x1p-53);
    CHECK(std::floor(drawn[i] * 0x1p24) * 0x1p-24 == rounded[i]);
  }
  // The bits beyond the 24th are as random as the others: each is set in about half of the numbers.
  auto many = Random(5).uniform({20000}, 0, 1, float64).to_vector<double>();
  for (int bit = 25; bit <= 53; ++bit) {
    auto set = std::count_if(many.begin(), many.end(), [&](double x) {
      return std::fmod(std::floor(std::ldexp(x, bit)), 2) == 1;
    });
    CHECK(set == doctest::Approx(10000).epsilon(0.04));
  }
  CHECK(*std::max_element(many.begin(), many.end()) < 1);
}

TEST_CASE("next_seed is the first two words of a block") {
  Random random(0);
  CHECK(random.next_seed() == 0x6627e8d5e169c58d);
  CHECK(random.state().counter == 1);
  CHECK(random.next_seed() != 0x6627e8d5e169c58d);
}

TEST_CASE("the number of threads changes no random number") {
  auto draw = [] {
    Random random(7);
    std::vector<std::vector<double>> all;
    all.push_back(random.uniform({100003}).to_vector<double>());
    all.push_back(random.normal({100003}).to_vector<double>());
    all.push_back(random.truncated_normal({100003}).to_vector<double>());
    all.push_back(random.integers({100003}, -5, 1000).to_vector<double>());
    return all;
  };
  Threads one(1);
  auto expected = draw();
  for (int n : {2, 3, 4, 8}) {
    Threads several(n);
    CHECK(draw() == expected);
  }
}

TEST_CASE("numbers depend on the place in the stream, not on how they are asked for") {
  auto whole = Random(3).uniform({24}).to_vector<double>();
  Random random(3);
  std::vector<double> parts;
  for (const Shape& shape : {Shape{4}, Shape{2, 4}, Shape{3, 2, 2}})
    for (double x : random.uniform(shape).to_vector<double>()) parts.push_back(x);
  CHECK(parts == whole);
}

TEST_CASE("a generator set to a saved state goes on from there") {
  Random random(99);
  random.normal({5});
  random.permutation(7);
  Random::State state = random.state();
  auto next = random.truncated_normal({6}).to_vector<double>();
  auto order = random.permutation(9);
  Random other(1);
  other.set_state(state);
  CHECK(other.state() == state);
  CHECK(other.truncated_normal({6}).to_vector<double>() == next);
  CHECK(other.permutation(9) == order);
  CHECK(other.state() == random.state());
}

TEST_CASE("drawing nothing leaves the state alone") {
  Random random(1);
  Random::State state = random.state();
  CHECK(random.uniform({0, 3}).shape() == Shape{0, 3});
  CHECK(random.normal({0}).numel() == 0);
  CHECK(random.permutation(0).empty());
  CHECK(random.state() == state);
}

TEST_CASE("seeds give different streams") {
  CHECK(Random(1).uniform({8}).to_vector<double>() != Random(2).uniform({8}).to_vector<double>());
  CHECK(Random(1).uniform({8}).to_vector<double>() !=
        Random(std::uint64_t{1} << 32).uniform({8}).to_vector<double>());
}

TEST_CASE("uniform numbers lie between the bounds and have their moments") {
  auto x = Random(5).uniform({200000}, -1, 3).to_vector<double>();
  CHECK(*std::min_element(x.begin(), x.end()) >= -1);
  CHECK(*std::max_element(x.begin(), x.end()) < 3);
  CHECK(mean_of(x) == doctest::Approx(1).epsilon(0.01));
  CHECK(deviation_of(x) == doctest::Approx(4 / std::sqrt(12.0)).epsilon(0.01));
}

TEST_CASE("uniform numbers never round up to the upper bound") {
  // Neighbours in float32 are 2 apart here: half of all numbers would round up.
  auto x = Random(5).uniform({1000}, 16777216, 16777218).to_vector<double>();
  CHECK(*std::max_element(x.begin(), x.end()) == 16777216);
  auto y = Random(5).uniform({1000}, -3, -1.0 / 3).to_vector<float>();
  CHECK(*std::max_element(y.begin(), y.end()) < static_cast<float>(-1.0 / 3));
  CHECK(Random(1).uniform({2}, 4, 4).to_vector<double>() == std::vector<double>{4, 4});
}

TEST_CASE("normal numbers have the moments asked for") {
  auto x = Random(6).normal({200000}, 2, 3, float64).to_vector<double>();
  CHECK(mean_of(x) == doctest::Approx(2).epsilon(0.02));
  CHECK(deviation_of(x) == doctest::Approx(3).epsilon(0.01));
  double third = 0, fourth = 0;
  for (double value : x) {
    double z = (value - 2) / 3;
    third += z * z * z;
    fourth += z * z * z * z;
  }
  CHECK(std::abs(third / 200000) < 0.03);
  CHECK(fourth / 200000 == doctest::Approx(3).epsilon(0.03));
  CHECK(Random(6).normal({3}, 5, 0).to_vector<double>() == std::vector<double>{5, 5, 5});
}

TEST_CASE("truncated normal numbers stay within two standard deviations") {
  auto x = Random(7).truncated_normal({200000}, -1, 0.5).to_vector<double>();
  CHECK(*std::min_element(x.begin(), x.end()) >= -2);
  CHECK(*std::max_element(x.begin(), x.end()) <= 0);
  CHECK(*std::max_element(x.begin(), x.end()) > -0.01);
  CHECK(mean_of(x) == doctest::Approx(-1).epsilon(0.01));
  CHECK(deviation_of(x) == doctest::Approx(0.5 * 0.879626).epsilon(0.01));  // theory: 0.8796
}

TEST_CASE("integers reach every value of their range and no other") {
  Tensor drawn = Random(8).integers({60000}, -2, 4);
  CHECK(drawn.dtype() == int32);
  std::array<int, 6> count{};
  for (std::int32_t value : drawn.to_vector<std::int32_t>()) {
    REQUIRE(value >= -2);
    REQUIRE(value < 4);
    ++count[static_cast<std::size_t>(value + 2)];
  }
  for (int n : count) CHECK(n == doctest::Approx(10000).epsilon(0.05));
  CHECK(Random(1).integers({3}, 9, 10).to_vector<double>() == std::vector<double>{9, 9, 9});
}

TEST_CASE("a permutation holds each number once, and each order is as likely") {
  auto order = Random(9).permutation(1001);
  CHECK(order != Random(10).permutation(1001));
  std::sort(order.begin(), order.end());
  for (std::int64_t i = 0; i < 1001; ++i) REQUIRE(order[static_cast<std::size_t>(i)] == i);
  CHECK(Random(9).permutation(1) == std::vector<std::int64_t>{0});
  // The same on every machine and in every version: trained models depend on it.
  CHECK(Random(5).permutation(12) ==
        std::vector<std::int64_t>{3, 8, 2, 1, 4, 9, 6, 7, 5, 10, 0, 11});
  Random random(11);
  std::array<int, 27> count{};
  for (int i = 0; i < 12000; ++i) {
    auto p = random.permutation(3);
    ++count[static_cast<std::size_t>(p[0] * 9 + p[1] * 3 + p[2])];
  }
  for (int n : count) CHECK((n == 0 || n == doctest::Approx(2000).epsilon(0.1)));
  CHECK(std::count(count.begin(), count.end(), 0) == 21);
}

TEST_CASE("impossible distributions are refused") {
  Random random(1);
  const double nan = std::nan("");
  CHECK_THROWS_AS(random.uniform({2}, 1, 0), std::invalid_argument);
  CHECK_THROWS_AS(random.uniform({2}, nan, 1), std::invalid_argument);
  CHECK_THROWS_AS(random.uniform({2}, 0, INFINITY), std::invalid_argument);
  CHECK_THROWS_AS(random.uniform({2}, -1e308, 1e308), std::invalid_argument);
  CHECK_THROWS_AS(random.normal({2}, 0, -1), std::invalid_argument);
  CHECK_THROWS_AS(random.truncated_normal({2}, 0, nan), std::invalid_argument);
  CHECK_THROWS_AS(random.integers({2}, 3, 3), std::invalid_argument);
  CHECK_THROWS_AS(random.integers({2}, 0, std::int64_t{1} << 40), std::invalid_argument);
  CHECK_THROWS_AS(random.permutation(-1), std::invalid_argument);
  CHECK_THROWS_AS(random.uniform({-1}), std::invalid_argument);
  CHECK(random.state() == Random(1).state());
}

TEST_CASE("every thread's default generator has a stream of its own") {
  auto of_threads = [] {
    set_random_seed(123);
    std::vector<std::vector<double>> drawn;
    auto draw = [&] { drawn.push_back(default_random().uniform({5}).to_vector<double>()); };
    for (int i = 0; i < 3; ++i) std::thread(draw).join();
    draw();
    return drawn;
  };
  auto drawn = of_threads();
  CHECK(drawn[3] == Random(123).uniform({5}).to_vector<double>());  // the main thread's
  for (std::size_t i = 0; i < 4; ++i)
    for (std::size_t j = 0; j < i; ++j) CHECK(drawn[i] != drawn[j]);
  CHECK(of_threads() == drawn);
  set_random_seed(124);
  std::vector<double> other;
  std::thread([&] { other = default_random().uniform({5}).to_vector<double>(); }).join();
  CHECK(other != drawn[0]);
  set_random_seed(0);
}

TEST_CASE("a thread's stream goes on from its state, which is all there is to save") {
  set_random_seed(7);
  std::vector<double> expected, again;
  std::thread([&] {
    default_random().uniform({3});
    Random::State state = default_random().state();
    expected = default_random().uniform({5}).to_vector<double>();
    default_random().set_state(state);
    again = default_random().uniform({5}).to_vector<double>();
  }).join();
  CHECK(again == expected);
  set_random_seed(0);
}

TEST_CASE("set_random_seed starts every thread's default generator anew") {
  set_random_seed(123);
  auto first = default_random().uniform({5}).to_vector<double>();
  auto second = default_random().uniform({5}).to_vector<double>();
  CHECK(first != second);
  CHECK(first == Random(123).uniform({5}).to_vector<double>());
  std::thread([] {
    auto before = default_random().uniform({5}).to_vector<double>();
    set_random_seed(123);
    CHECK(default_random().uniform({5}).to_vector<double>() == before);
  }).join();
  set_random_seed(123);
  CHECK(default_random().uniform({5}).to_vector<double>() == first);
  set_random_seed(0);
}

TEST_SUITE_END();
