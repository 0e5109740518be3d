// Threads and the floating-point mode: any number of threads gives the same bits, and what the
// kernels change of the processor's mode is put back.
#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <thread>
#include <vector>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/parallel.h>
#include <keratin/core/parallel.h>
#include <keratin/core/random.h>

#if defined(__SSE2__)
#include <xmmintrin.h>

#include "../on_processor.h"
#endif

TEST_SUITE_BEGIN("threads");

using namespace keratin;

namespace {

struct Threads {
  explicit Threads(int n) { set_num_threads(n); }
  ~Threads() { set_num_threads(0); }
};

// Large enough to be shared out, with sizes that are no multiple of anything.
std::vector<std::vector<double>> results() {
  Random random(1);
  Tensor x = random.normal({331, 307}), y = random.normal({307}), w = random.normal({307, 129});
  Tensor wide = random.normal({3, 100003}), stacked = random.normal({40, 31, 307});
  std::vector<Tensor> made{
      exp(x) * y,
      x.transpose() + tanh(x.transpose()),
      slice(x, {range(330, 0, -3), range(1, 307, 2)}) / 3,
      sum(x),
      sum(x, 0),
      sum(x, 1),
      max(wide, 1),
      sum(wide, 0),
      sum(wide),
      softmax(x, 0),
      softmax(x, 1),
      log_softmax(wide),
      dot(x, w),
      dot(w.transpose(), x.transpose()),
      matmul(stacked, w),
      matmul(stacked, broadcast_to(w, {40, 307, 129})),
      cumsum(wide, 1),
      take(x, random.integers({400}, 0, 331), 0),
      norm(x.astype(float64)),
  };
  GradientTape tape;
  tape.watch(x);
  tape.watch(w);
  Tensor loss = sum(softmax(dot(tanh(x), w)) * 1.5);
  for (const Tensor& g : tape.gradient(loss + mean(square(x)), {x, w})) made.push_back(g);
  std::vector<std::vector<double>> all;
  for (const Tensor& tensor : made) all.push_back(tensor.to_vector<double>());
  return all;
}

constexpr float denormal = 1e-40f;

// Every op that does arithmetic on x and shows whether denormals counted.
std::vector<std::function<Tensor(const Tensor&)>> arithmetic() {
  return {
      [](const Tensor& x) { return x * 1e30; },
      [](const Tensor& x) { return sum(x, 0) * 1e30; },
      [](const Tensor& x) { return sum(x) * 1e30; },
      [](const Tensor& x) {
        return dot(x, full({x.size(-1), 3}, 1e30));
      },
      [](const Tensor& x) {
        GradientTape tape;
        tape.watch(x);
        return tape.gradient(sum(x * 1e30), x, {}) * x;
      },
  };
}

}  // namespace

TEST_CASE("the number of threads changes no bit of any result") {
  Threads one(1);
  auto expected = results();
  for (int n : {2, 3, 4, 8}) {
    Threads several(n);
    auto found = results();
    REQUIRE(found.size() == expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      CAPTURE(n);
      CAPTURE(i);
      CHECK(found[i] == expected[i]);
    }
  }
}

TEST_CASE("the same computation gives the same bits every time") {
  auto expected = results();
  for (int run = 0; run < 5; ++run) CHECK(results() == expected);
}

TEST_CASE("set_num_threads takes 0 to 1024, and 0 means the default") {
  int preset = num_threads();
  CHECK(preset >= 1);
  CHECK(preset <= static_cast<int>(std::thread::hardware_concurrency()));
  for (int n : {1, 3, 1024}) {
    Threads chosen(n);
    CHECK(num_threads() == n);
    int elsewhere = 0;
    std::thread([&] { elsewhere = num_threads(); }).join();
    CHECK(elsewhere == n);
    CHECK_THROWS_AS(set_num_threads(-1), std::invalid_argument);
    CHECK_THROWS_AS(set_num_threads(1025), std::invalid_argument);
    CHECK(num_threads() == n);
  }
  CHECK(num_threads() == preset);
}

TEST_CASE("several threads may compute at once") {
  Threads two(2);
  Tensor x = Random(4).normal({211, 307});
  auto work = [&] { return dot(tanh(x), x.transpose()).to_vector<double>(); };
  auto expected = work();
  std::vector<std::vector<double>> found(4);
  std::vector<std::thread> threads;
  for (auto& place : found) threads.emplace_back([&] { place = work(); });
  for (std::thread& thread : threads) thread.join();
  for (auto& one : found) CHECK(one == expected);
}

TEST_CASE("threads that end leave nothing behind that the next ones meet") {
  Threads seven(7);
  std::atomic<std::int64_t> done{0};
  const auto count = [&](std::int64_t begin, std::int64_t end) {
    double work = 0;
    for (int i = 0; i < 500; ++i) work += std::sqrt(static_cast<double>(begin + i));
    done += work > 0 ? end - begin : 0;
  };
  for (int round = 0; round < 1000; ++round)
    std::thread([&] {
      for (int teams = 0; teams < 3; ++teams)
        with_team([&] {
          for (int loop = 0; loop < 20; ++loop) parallel_for(7, 7, count);
        });
    }).join();
  CHECK(done == 1000 * 3 * 20 * 7);
}

TEST_CASE("a team that has gone to sleep serves the next loop") {
  Threads two(2);
  std::atomic<int> done{0};
  with_team([&] {
    for (int loop = 0; loop < 5; ++loop) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      parallel_for(8, 100, [&](std::int64_t begin, std::int64_t end) {
        std::this_thread::sleep_for(std::chrono::milliseconds(end < 8 ? 1 : 10));
        done += static_cast<int>(end - begin);
      });
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  });
  CHECK(done == 40);
}

TEST_CASE("each item of a loop is done once, by any number of threads") {
  for (int threads : {1, 2, 3, 16}) {
    Threads chosen(threads);
    for (std::int64_t n : {0, 1, 2, 7, 64, 1000}) {
      std::vector<std::atomic<int>> done(static_cast<std::size_t>(n));
      for (int run = 0; run < 50; ++run)
        parallel_for(n, n, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t i = begin; i < end; ++i) ++done[static_cast<std::size_t>(i)];
        });
      CAPTURE(threads);
      CAPTURE(n);
      CHECK(std::all_of(done.begin(), done.end(), [](int times) { return times == 50; }));
    }
  }
}

TEST_CASE("a loop within a loop runs where it is") {
  Threads two(2);
  std::atomic<int> done{0};
  parallel_for(8, 100, [&](std::int64_t begin, std::int64_t end) {  // worth waking threads for
    for (std::int64_t i = begin; i < end; ++i)
      parallel_for(100, 100, [&](std::int64_t first, std::int64_t last) {
        CHECK(last - first == 100);
        done += static_cast<int>(last - first);
      });
  });
  CHECK(done == 800);
}

TEST_CASE("a team serves the loops inside it, and hands on what its function throws") {
  Threads two(2);
  for (int round = 0; round < 3; ++round) {
    std::atomic<int> done{0};
    with_team([&] {
      for (int loop = 0; loop < 20; ++loop)
        parallel_for(8, 100, [&](std::int64_t begin, std::int64_t end) {
          done += static_cast<int>(end - begin);
        });
      with_team([&] { ++done; });  // a team within a team runs where it is
    });
    CHECK(done == 161);
    CHECK_THROWS_WITH_AS(with_team([] { throw std::runtime_error("no"); }), "no",
                         std::runtime_error);
  }
}

TEST_CASE("a caller that finds the team taken works alone") {
  Threads two(2);
  std::atomic<int> parts{0};
  with_team([&] {
    std::thread([&] {
      parallel_for(8, 100, [&](std::int64_t begin, std::int64_t end) {
        CHECK(begin == 0);
        CHECK(end == 8);
        ++parts;
      });
    }).join();
  });
  CHECK(parts == 1);
}

TEST_CASE("a forked child computes the same without waiting for the threads of its parent" *
          on_processor()) {
  Threads two(2);
  Tensor x = Random(4).normal({211, 307});
  auto work = [&] { return dot(tanh(x), x.transpose()).to_vector<double>(); };
  auto expected = work();
  pid_t child = fork();
  if (child == 0) _exit(work() == expected ? 0 : 1);
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

TEST_CASE("kernels take denormal numbers for zero, on every thread" * on_processor()) {
  for (int n : {1, 4}) {
    Threads chosen(n);
    for (auto& op : arithmetic())
      for (const Shape& shape : {Shape{3, 5}, Shape{260, 1003}}) {
        Tensor y = op(full(shape, denormal));
        CHECK(max(abs(y)).item() == 0);
      }
  }
}

TEST_CASE("copies keep denormal numbers, on every thread") {
  Threads several(4);
  Tensor large = full({1003, 260}, denormal);
  CHECK(min(large.astype(float64)).item() == static_cast<double>(denormal));
  Tensor x = full({3, 2}, denormal);
  CHECK(x.item(0, 0) == static_cast<double>(denormal));
  CHECK(x.transpose().copy().item(1, 2) == static_cast<double>(denormal));
  CHECK(x.astype(float64).item(2, 1) == static_cast<double>(denormal));
}

#if defined(__SSE2__)

TEST_CASE("the caller's floating-point mode is as before after every op") {
  constexpr unsigned modes = 0xffc0;  // all but the sticky flags
  const unsigned original = _mm_getcsr();
  const unsigned flushing = original | 0x8040, upward = original | _MM_ROUND_UP;
  for (unsigned mode : {original & ~0x8040u, flushing, upward}) {
    for (int n : {1, 4}) {
      Threads chosen(n);
      Tensor small = full({3, 5}, denormal), large = full({260, 1003}, denormal);
      _mm_setcsr(mode);
      for (auto& op : arithmetic()) {
        op(small);
        op(large);
      }
      try {
        dot(small, large);
      } catch (const std::invalid_argument&) {
      }
      unsigned after = _mm_getcsr();
      volatile float tiny = denormal;
      bool flushed = tiny * 1.0f == 0;
      _mm_setcsr(original);
      CHECK((after & modes) == (mode & modes));
      CHECK(flushed == (mode == flushing));
    }
  }
}

#endif

TEST_SUITE_END();
