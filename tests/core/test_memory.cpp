// The pool: a steady loop asks the system for nothing, what is freed can be given back, and running
// out of memory is an error to recover from. Sanitizer builds bypass the pool's lists, so that the
// counts are checked in plain builds only.
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/pool.h>
#include <keratin/core/internal/sanitized.h>
#include <keratin/core/memory.h>
#include <keratin/core/random.h>
#include <keratin/layers/rnn.h>

#include "../on_processor.h"

TEST_SUITE_BEGIN("core");

using namespace keratin;

namespace {

std::int64_t allocations() { return memory_stats().system_allocations; }
std::int64_t reserved() { return memory_stats().bytes_reserved; }

// Blocks asked of the system by the later ones of many equal steps.
template <class Step>
std::int64_t asked_in_steady_state(const Step& step) {
  for (int i = 0; i < 5; ++i) step();
  std::int64_t before = allocations();
  for (int i = 0; i < 50; ++i) step();
  return allocations() - before;
}

// Lets the process have `bytes` more address space, while it lives.
class AddressLimit {
 public:
  explicit AddressLimit(std::uint64_t bytes) {
    std::uint64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    getrlimit(RLIMIT_AS, &saved_);
    rlimit limit = saved_;
    limit.rlim_cur = pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)) + bytes;
    setrlimit(RLIMIT_AS, &limit);
  }
  ~AddressLimit() { setrlimit(RLIMIT_AS, &saved_); }

 private:
  rlimit saved_;
};

// Both outlive main, and the pool's lists of its thread.
Tensor made_before_main = ones({3, 4});
Tensor filled_by_a_test;

}  // namespace

TEST_CASE("a loop of ops asks the system for nothing after its first steps" *
          doctest::skip(sanitized)) {
  Tensor x = Random(1).normal({17, 33}), w = Random(2).normal({33, 5});
  CHECK(asked_in_steady_state([&] {
          Tensor y = softmax(dot(x, w) + 1);
          Tensor z = concatenate({slice(y, {range(0, 17, 2)}), flip(y)}, 0);
          max(exp(z) * z.transpose({0, 1}), 1);
        }) == 0);
}

TEST_CASE("a training loop asks the system for nothing after its first steps" *
          doctest::skip(sanitized)) {
  Tensor x = Random(1).normal({17, 33}), w = Random(2).normal({33, 5}), b = zeros({5});
  CHECK(asked_in_steady_state([&] {
          GradientTape tape;
          tape.watch(w);
          tape.watch(b);
          Tensor loss = mean(square(tanh(dot(x, w) + b)));
          auto g = tape.gradient(loss, {w, b});
          w.assign(w - 0.1 * g[0]);
          b.assign(b - 0.1 * g[1]);
        }) == 0);
}

TEST_CASE("nested tapes ask the system for nothing after their first steps" *
          doctest::skip(sanitized)) {
  Tensor x = Random(1).normal({6, 7});
  CHECK(asked_in_steady_state([&] {
          GradientTape outer;
          outer.watch(x);
          Tensor g;
          {
            GradientTape inner;
            inner.watch(x);
            g = std::move(inner).gradient(sum(tanh(x) * x), x);
          }
          std::move(outer).gradient(sum(g * g), x);
        }) == 0);
}

TEST_CASE("freed memory goes back to the system when asked for" * doctest::skip(sanitized) *
          on_processor()) {
  release_cached_memory();
  std::int64_t before = reserved();
  { Tensor big = ones({1000, 1000}); }
  CHECK(reserved() >= before + 4'000'000);
  release_cached_memory();
  CHECK(reserved() == before);
}

TEST_CASE("what an initializer used for its computations goes back when the layer is built" *
          on_processor()) {
  release_cached_memory();
  std::int64_t before = reserved();
  LSTM layer(256);
  layer.ensure_built(Shape{2, 5, 32});
  std::int64_t weights = (256 + 32 + 1) * 4 * 256 * 4;
  CHECK(reserved() - before >= weights);
  CHECK(reserved() - before <= weights * 3 / 2);
}

TEST_CASE("memory in use is counted, and the caller's own is not" * on_processor()) {
  release_cached_memory();
  std::int64_t before = reserved();
  Tensor a = ones({1000, 100});
  CHECK(reserved() >= before + 400'000);
  std::int64_t with_a = reserved();
  std::vector<float> mine(100'000);
  Tensor b = Tensor::view(mine.data(), {1000, 100});
  CHECK(reserved() <= with_a + 4096);
}

TEST_CASE("a block is never smaller than what was asked for" * doctest::skip(sanitized)) {
  for (std::size_t bytes : {1, 63, 64, 65, 80, 81, 128, 129, 1000, 1024, 1025, 4097, 5121}) {
    release_cached_memory();
    std::int64_t before = memory_stats().bytes_reserved;
    void* block = pool_allocate(bytes);
    CHECK(memory_stats().bytes_reserved - before >= static_cast<std::int64_t>(bytes));
    pool_free(block, bytes);
  }
}

TEST_CASE("what a thread has freed goes back to the system when it ends" *
          doctest::skip(sanitized)) {
  release_cached_memory();
  std::int64_t before = reserved();
  std::thread([] {
    for (int i = 0; i < 3; ++i) sum(ones({300, 300}) * 2);
  }).join();
  CHECK(reserved() == before);
}

TEST_CASE("a tensor can be freed on another thread than made it" * doctest::test_suite("threads")) {
  release_cached_memory();
  std::int64_t before = reserved();
  {
    std::vector<Tensor> made;
    for (int i = 0; i < 100; ++i) made.push_back(full({50, 7}, i));
    std::thread([given = std::move(made)] { CHECK(sum(given[99]).item() == 99 * 350); }).join();
    Tensor returned;
    std::thread([&] { returned = ones({40, 40}); }).join();
    CHECK(sum(returned).item() == 1600);
  }
  release_cached_memory();
  CHECK(reserved() == before);
}

TEST_CASE("threads can pass one tensor around and drop it at any time" *
          doctest::test_suite("threads")) {
  Tensor shared = arange(1000).astype(float32);
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([shared] {
      for (int i = 0; i < 200; ++i) {
        Tensor copy = shared, view = slice(copy, {range(i, 1000)});
        if (view.item(0) != i) std::abort();
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(shared.item(999) == 999);
}

TEST_CASE("a shape beyond any memory throws OutOfMemory that names the bytes" * on_processor()) {
  std::string message;
  try {
    zeros({std::int64_t{1} << 40, 1000}, float64);
  } catch (const OutOfMemory& error) {
    message = error.what();
  }
  CHECK(message.starts_with("out of memory: 87960930"));  // 8000 * 2^40 and a header
  CHECK(message.ends_with(" bytes were asked for"));
  CHECK(sum(ones({2, 3})).item() == 6);
}

TEST_CASE("after running out of memory the program goes on" * doctest::skip(sanitized) *
          on_processor()) {
  Tensor x = ones({100, 100});
  GradientTape tape;
  tape.watch(x);
  Tensor y = x * 2;
  {
    AddressLimit limit(64 << 20);
    CHECK_THROWS_AS(zeros({1 << 28}), OutOfMemory);
    CHECK_THROWS_AS(broadcast_to(y, {20000, 100, 100}) * 1, std::bad_alloc);
    CHECK_THROWS_AS(x.assign(broadcast_to(x, {20000, 100, 100}).copy()[0]), OutOfMemory);
    CHECK(sum(x).item() == 10000);
  }
  Tensor z = y * y;
  CHECK(tape.gradient(sum(z), x).item(3, 7) == 8);
  CHECK(zeros({1 << 22}).item(5) == 0);
}

TEST_CASE("cached blocks of other sizes are given back before memory runs out" *
          doctest::skip(sanitized) * on_processor()) {
  release_cached_memory();
  AddressLimit limit(256 << 20);
  { Tensor a = ones({30 << 20}); }  // 128 MiB, then cached; the next one takes 192
  CHECK(ones({40 << 20}).numel() == 40 << 20);
}

TEST_CASE("static tensors outlive main") {
  filled_by_a_test = ones({1000, 10});
  CHECK(sum(made_before_main).item() == 12);
  static Tensor in_a_function = slice(made_before_main, {1});
  thread_local Tensor of_the_thread = made_before_main * 2;
  CHECK(in_a_function.numel() == 4);
  CHECK(of_the_thread.item(2, 3) == 2);
}

TEST_CASE("blocks of every size hold what is written to them" * on_processor()) {
  for (std::int64_t n = 1; n < 70000; n += n / 7 + 1) {
    Tensor a = full({n}, n), b = full({n}, -n);
    REQUIRE(a.item(0) == n);
    REQUIRE(a.item(-1) == n);
    REQUIRE(b.item(-1) == -n);
    REQUIRE(reinterpret_cast<std::uintptr_t>(a.data<float>()) % 64 == 0);
  }
}

TEST_SUITE_END();
