// The emulated CUDA device, on which the tests run the kernels: it must compute what a GPU would,
// and notice what a program does wrong.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <csetjmp>
#include <csignal>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <keratin/core/cuda/block.h>
#include <keratin/core/cuda/loop.h>
#include <keratin/core/cuda/runtime.h>

#include "../error_of.h"
#include "emulator/emulation.h"

TEST_SUITE_BEGIN("cuda");

using namespace keratin;
using namespace keratin::cuda;
using emulation::Order;

namespace {

// --- kernels

__global__ void scale(float* y, const float* x, float factor, int n) {
  int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) y[i] = factor * x[i];
}

// y[i] = the sums of i, i + 1, i + 2, ... over the threads of a block, one right after the other
__global__ void sum_often(int* y, int count) {
  const int thread = static_cast<int>(threadIdx.x);
  for (int i = 0; i < count; ++i)
    y[thread * count + i] = across(whole_block(), thread + i, [](int a, int b) { return a + b; });
}

// y[b] = the sum of row b of x (blocks, n)
template <class T>
__global__ void __launch_bounds__(256) sum_rows(T* y, const T* x, int n) {
  __shared__ T part[256];
  unsigned t = threadIdx.x;
  part[t] = 0;
  for (int i = static_cast<int>(t); i < n; i += static_cast<int>(blockDim.x))
    part[t] += x[static_cast<int>(blockIdx.x) * n + i];
#ifndef KERATIN_FORGET_A_BARRIER  // which ThreadSanitizer must notice
  __syncthreads();
#endif
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    if (t < half) part[t] += part[t + half];
    __syncthreads();
  }
  if (t == 0) y[blockIdx.x] = part[0];
}

// Each warp sums its 32 numbers and keeps what was summed so far; the last warp ends early.
__global__ void scan_warps(float* sums, float* so_far, const float* x) {
  unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (threadIdx.x / 32 == blockDim.x / 32 - 1) return;
  float sum = x[i], running = x[i];
  for (int bits = 16; bits > 0; bits /= 2) sum += __shfl_xor_sync(~0u, sum, bits);
  for (unsigned by = 1; by < 32; by *= 2) {
    float other = __shfl_up_sync(~0u, running, by);
    if (threadIdx.x % 32 >= by) running += other;
  }
  sums[i] = sum;
  so_far[i] = running;
}

__global__ void shuffle(int* y) {
  int lane = static_cast<int>(threadIdx.x);
  y[lane] = __shfl_down_sync(~0u, lane, 3);
  y[32 + lane] = __shfl_sync(~0u, lane, 5);
  __syncwarp();
}

__global__ void index_of_threads(unsigned* y) {
  unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  unsigned threads = blockDim.x * blockDim.y * blockDim.z;
  y[block * threads + thread] = 1000 * block + thread;
}

__global__ void count(int* sum, int* least, int* first, float* halves) {
  atomicAdd(sum, static_cast<int>(threadIdx.x));
  atomicMin(least, static_cast<int>(threadIdx.x));
  atomicCAS(first, -1, 7);
  atomicAdd(halves, 0.5f);
}

__global__ void diverge(bool on_the_same_line) {
  if (threadIdx.x % 2 == 0) {
    __syncthreads();
  } else if (!on_the_same_line) {
    __syncthreads();
  } else {
    __syncwarp();
  }
}
__global__ void read_an_absent_lane(int* y) { y[0] = __shfl_down_sync(~0u, 1, 1); }
__global__ void throw_in_thread(unsigned thread) {
  if (threadIdx.x == thread) throw std::runtime_error("thrown in a thread");
  __syncthreads();
}

// --- the host's side

Stream stream() {
  static Stream of_device_0 = make_stream(0);
  return of_device_0;
}

template <class T>
T* new_array(std::size_t n, int device = 0) {
  return static_cast<T*>(allocate(n * sizeof(T), device));
}
template <class T>
T* to_device(const std::vector<T>& x, Stream s = stream(), int device = 0) {
  T* memory = new_array<T>(x.size(), device);
  cuda::copy(memory, x.data(), x.size() * sizeof(T), s);
  return memory;
}
template <class T>
std::vector<T> to_host(const T* memory, std::size_t n, Stream s = stream()) {
  std::vector<T> x(n);
  cuda::copy(x.data(), memory, n * sizeof(T), s);
  synchronize(s);
  return x;
}

template <class T>
std::vector<T> numbers(std::size_t n, unsigned seed = 7) {
  std::mt19937 random(seed);
  std::normal_distribution<T> normal;
  std::vector<T> x(n);
  for (T& value : x) value = normal(random);
  return x;
}

const std::vector<Order> orders = {Order::forward, Order::backward, Order::shuffled};

// Sets a variable while it lives.
template <class T>
class Set {
 public:
  Set(T& variable, T value) : variable_(variable), saved_(std::exchange(variable, value)) {}
  ~Set() { variable_ = saved_; }

 private:
  T& variable_;
  T saved_;
};

thread_local sigjmp_buf before_fault;

// Whether f() touches memory that it must not touch.
bool faults(const std::function<void()>& f) {
  struct sigaction action {
  }, before;
  action.sa_handler = [](int) { siglongjmp(before_fault, 1); };
  action.sa_flags = SA_NODEFER;
  sigaction(SIGSEGV, &action, &before);
  volatile bool faulted = true;
  if (sigsetjmp(before_fault, 1) == 0) {
    f();
    faulted = false;
  }
  sigaction(SIGSEGV, &before, nullptr);
  return faulted;
}

}  // namespace

TEST_CASE("sums with barriers have the same bits in every order of threads" *
          doctest::test_suite("threads")) {
  const int rows = 20, n = 1000;
  auto x = numbers<float>(rows * n);
  float *dx = to_device(x), *dy = new_array<float>(rows);
  std::vector<float> first;
  for (Order order : orders) {
    Set set(emulation::order, order);
    launch(sum_rows<float>, rows, 256, stream(), dy, dx, n);
    auto y = to_host(dy, rows);
    if (first.empty()) first = y;
    CHECK(y == first);
    for (int row = 0; row < rows; ++row) {
      double sum = 0;
      for (int i = 0; i < n; ++i) sum += x[static_cast<std::size_t>(row * n + i)];
      CHECK(y[static_cast<std::size_t>(row)] == doctest::Approx(sum).epsilon(1e-4));
    }
  }
  release(dx, 0);
  release(dy, 0);
}

TEST_CASE("places are divided in 64 bits where 32 do not do") {
  for (std::int64_t x : {std::int64_t{0}, std::int64_t{4'294'967'295}, std::int64_t{4'294'967'296},
                         std::int64_t{9'000'000'000'000}})
    for (std::int64_t by : {std::int64_t{1}, std::int64_t{7}, std::int64_t{5'000'000'000}}) {
      const Division division = divide(x, by);
      CHECK(division.quotient == x / by);
      CHECK(division.remainder == x % by);
    }
}

TEST_CASE("what a block combines stays until all its threads have it" *
          doctest::test_suite("threads")) {
  const int threads = 64, count = 3;
  int* sums = new_array<int>(threads * count);
  for (Order order : orders) {
    Set set(emulation::order, order);
    launch(sum_often, 1, threads, stream(), sums, count);
    const std::vector<int> y = to_host(sums, threads * count);
    for (int i = 0; i < threads * count; ++i)
      CHECK(y[static_cast<std::size_t>(i)] == threads * (threads - 1) / 2 + threads * (i % count));
  }
  release(sums, 0);
}

TEST_CASE("warps sum and scan by shuffles, while another warp has ended" *
          doctest::test_suite("threads")) {
  const std::size_t blocks = 30, threads = 96, n = blocks * threads;
  std::vector<float> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<float>(i % 17);
  float *dx = to_device(x), *sums = new_array<float>(n), *so_far = new_array<float>(n);
  for (Order order : orders) {
    Set set(emulation::order, order);
    launch(scan_warps, blocks, threads, stream(), sums, so_far, dx);
    auto s = to_host(sums, n), r = to_host(so_far, n);
    for (std::size_t i = 0; i < n; ++i) {
      if (i % threads >= 64) {
        REQUIRE(std::isnan(s[i]));  // what nobody wrote is not a number
        continue;
      }
      float running = 0, sum = 0;
      for (std::size_t j = i / 32 * 32; j < i / 32 * 32 + 32; ++j) {
        sum += x[j];
        if (j <= i) running += x[j];
      }
      REQUIRE(s[i] == sum);
      REQUIRE(r[i] == running);
    }
  }
}

TEST_CASE("a shuffle beyond the warp gives a lane its own value") {
  int* y = new_array<int>(64);
  launch(shuffle, 1, 32, stream(), y);
  auto host = to_host(y, 64);
  for (int lane = 0; lane < 32; ++lane) {
    CHECK(host[static_cast<std::size_t>(lane)] == (lane < 29 ? lane + 3 : lane));
    CHECK(host[static_cast<std::size_t>(32 + lane)] == 5);
  }
}

TEST_CASE("every thread of every block runs once and knows its place") {
  for (Order order : orders) {
    Set set(emulation::order, order);
    const dim3 grid(5, 3, 2), block(4, 3, 7);
    unsigned* y = new_array<unsigned>(30 * 84);
    launch(index_of_threads, grid, block, stream(), y);
    auto host = to_host(y, 30 * 84);
    for (unsigned i = 0; i < host.size(); ++i) REQUIRE(host[i] == i / 84 * 1000 + i % 84);
  }
}

TEST_CASE("atomic operations of many blocks miss nothing" * doctest::test_suite("threads")) {
  int *sum = to_device<int>({0}), *least = to_device<int>({99}), *first = to_device<int>({-1});
  float* halves = to_device<float>({0});
  launch(count, 40, 100, stream(), sum, least, first, halves);
  CHECK(to_host(sum, 1)[0] == 40 * 4950);
  CHECK(to_host(least, 1)[0] == 0);
  CHECK(to_host(first, 1)[0] == 7);
  CHECK(to_host(halves, 1)[0] == 2000);
}

TEST_CASE("barriers that not all threads reach are an error at the wait") {
  for (Order order : orders) {
    Set set(emulation::order, order);
    launch(diverge, 50, 64, stream(), false);
    CHECK(error_of([] { synchronize(stream()); })
              .starts_with("emulated kernel: threads of a block wait at different barriers, "
                           "test_emulator.cpp:"));
    launch(diverge, 1, 64, stream(), true);
    CHECK(error_of([] { synchronize(stream()); })
              .starts_with("emulated kernel: lanes of a warp wait at different places, "
                           "test_emulator.cpp:"));
    int* y = new_array<int>(1);
    launch(read_an_absent_lane, 1, 1, stream(), y);
    CHECK(error_of([] {
            synchronize(stream());
          }).ends_with(": a shuffle reads a lane that takes no part in it"));
    // The device goes on after an error.
    CHECK(to_host(to_device<int>({5}), 1)[0] == 5);
  }
}

TEST_CASE("what a thread throws is thrown at the wait, and later work is not done") {
  for (unsigned thread : {0u, 17u, 63u}) {
    float* x = to_device<float>({1});
    synchronize(stream());
    launch(throw_in_thread, 60, 64, stream(), thread);
    launch(scale, 1, 1, stream(), x, x, 2, 1);
    CHECK(error_of([] { synchronize(stream()); }) == "thrown in a thread");
    CHECK(to_host(x, 1)[0] == 1);
  }
}

TEST_CASE("grids and blocks that no GPU takes are errors at the launch") {
  auto error = [](dim3 grid, dim3 block) {
    return error_of([&] { launch(diverge, grid, block, stream(), true); });
  };
  CHECK(error(1, 1025) ==
        "emulated kernel: a block of 1025 x 1 x 1 threads; it may have 1 to 1024");
  CHECK(error(1, 0).starts_with("emulated kernel: a block of 0 x 1 x 1"));
  CHECK(error(1, dim3(1, 1, 65)).starts_with("emulated kernel: a block of 1 x 1 x 65"));
  CHECK(error(0, 32).starts_with("emulated kernel: a grid of 0 x 1 x 1 blocks"));
  CHECK(error(dim3(1, 65536), 32).starts_with("emulated kernel: a grid of 1 x 65536 x 1"));
}

TEST_CASE("work is done when somebody waits, or at once if a test asks for it") {
  float *x = to_device<float>({1, 2, 3}), *y = new_array<float>(3);
  synchronize(stream());
  std::vector<float> back(3, -1);
  auto before = emulation::counts();
  launch(scale, 1, 32, stream(), y, x, 2, 3);
  cuda::copy(back.data(), y, 12, stream());
  CHECK(back[2] == -1);
  synchronize(stream());
  CHECK(back[2] == 6);
  auto after = emulation::counts();
  CHECK(after.kernels - before.kernels == 1);
  CHECK(after.copies - before.copies == 1);
  CHECK(after.waits - before.waits == 1);

  Set set(emulation::eager, true);
  launch(scale, 1, 32, stream(), y, x, 3, 3);
  cuda::copy(back.data(), y, 12, stream());
  CHECK(back[2] == 9);
  CHECK_THROWS(launch(diverge, 1, 64, stream(), false));
  synchronize(stream());
}

TEST_CASE("a stream that nobody waits for does its work in the end") {
  float* x = to_device<float>({1});
  std::vector<float> back(1, -1);
  cuda::copy(back.data(), x, 4, stream());
  for (int i = 0; i < 1100; ++i) launch(scale, 1, 1, stream(), x, x, 1, 1);
  CHECK(back[0] == 1);
  synchronize(stream());
}

TEST_CASE("host memory is read at the call, but pinned memory when the copy is done") {
  float* x = new_array<float>(2);
  std::vector<float> pageable = {1};
  auto* pinned = static_cast<float*>(allocate_host(4));
  *pinned = 1;
  cuda::copy(x, pageable.data(), 4, stream());
  cuda::copy(x + 1, pinned, 4, stream());
  pageable[0] = *pinned = 2;
  CHECK(to_host(x, 2) == std::vector<float>{1, 2});
  cuda::copy(pinned, x, 4, stream());
  CHECK(*pinned == 2);
  synchronize(stream());
  CHECK(*pinned == 1);
  release_host(pinned);
}

TEST_CASE("the host cannot touch device memory") {
  float* x = to_device<float>({1, 2});
  CHECK(to_host(x, 2)[1] == 2);
  CHECK(faults([&] { (void)*static_cast<volatile float*>(x); }));
  CHECK(faults([&] { *static_cast<volatile float*>(x) = 1; }));
  bool in_another_thread = false;
  std::thread([&] {
    in_another_thread = faults([&] { (void)*static_cast<volatile float*>(x); });
  }).join();
  CHECK(in_another_thread);
  CHECK_FALSE(faults([&] { CHECK(to_host(x, 2)[0] == 1); }));
}

TEST_CASE("copies must lie in one block of memory that is in use") {
  std::vector<float> host(8);
  auto error = [&](void* to, const void* from) {
    return error_of([&] { cuda::copy(to, from, 32, stream()); });
  };
  float *x = new_array<float>(8), *y = new_array<float>(8);
  CHECK(error(y, x) == "no error");
  CHECK(error(host.data(), x + 1) ==
        "emulated CUDA: device memory that is not, or not all, allocated");
  synchronize(stream());
  release(x, 0);
  CHECK(error(host.data(), x).starts_with("emulated CUDA: device memory that is not"));
  CHECK(error(host.data(), host.data()) == "emulated CUDA: a copy from host to host");
  CHECK_THROWS(release(x, 0));
  CHECK_THROWS(release_host(host.data()));
  release(y, 0);
}

TEST_CASE("events tell how far a stream is") {
  Event event = make_event(), other = make_event();
  CHECK(is_done(event));  // never recorded
  float *x = to_device<float>({1}), *y = new_array<float>(1);
  std::vector<float> early(1, -1), late(1, -1);
  cuda::copy(early.data(), x, 4, stream());
  record(event, stream());
  cuda::copy(late.data(), x, 4, stream());
  record(other, stream());
  CHECK_FALSE(is_done(event));
  wait(event);
  CHECK(is_done(event));
  CHECK(early[0] == 1);
  CHECK(late[0] == -1);
  while (!is_done(other)) {  // asking is enough
  }
  CHECK(late[0] == 1);

  // A stream does not wait for another one.
  Stream second = make_stream(0);
  launch(scale, 1, 1, stream(), y, x, 5, 1);
  CHECK(std::isnan(to_host(y, 1, second)[0]));
  release(event);
  release(other);
}

TEST_CASE("a graph reads memory as it is when it runs, and as often as it runs") {
  float *x = to_device<float>({1, 2}), *y = new_array<float>(2);
  auto* pinned = static_cast<float*>(allocate_host(8));
  synchronize(stream());
  auto before = emulation::counts();
  begin_capture(stream());
  launch(scale, 1, 2, stream(), y, x, 10, 2);
  launch(scale, 1, 2, stream(), x, x, 3, 2);
  cuda::copy(pinned, y, 8, stream());
  Graph graph = end_capture(stream());
  CHECK(to_host(x, 2)[1] == 2);  // nothing was done yet

  run(graph, stream());
  CHECK(to_host(y, 2) == std::vector<float>{10, 20});
  run(graph, stream());
  run(graph, stream());
  release(graph);
  synchronize(stream());
  CHECK(pinned[1] == 180);
  CHECK(to_host(x, 2) == std::vector<float>{27, 54});
  auto after = emulation::counts();
  CHECK(after.graphs - before.graphs == 3);
  CHECK(after.kernels == before.kernels);
  release_host(pinned);
}

TEST_CASE("waiting during a capture is an error, which ends the capture") {
  std::vector<float> host(1);
  float* x = to_device<float>({1});
  Event event = make_event();
  auto error = [&](const std::function<void()>& f) {
    begin_capture(stream());
    std::string message = error_of(f);
    CHECK(error_of([] { end_capture(stream()); }) ==
          "emulated CUDA: the capture failed: it met what cannot be part of a graph");
    return message;
  };
  CHECK(error([] { synchronize(stream()); }) ==
        "emulated CUDA: a wait while the stream is captured");
  CHECK(error([&] { cuda::copy(host.data(), x, 4, stream()); }) ==
        "emulated CUDA: a copy of host memory not from allocate_host while the stream is captured");
  CHECK(error([&] { record(event, stream()); }).ends_with("while the stream is captured"));
  CHECK_THROWS(end_capture(stream()));
  CHECK(to_host(x, 1)[0] == 1);
  release(event);
}

TEST_CASE_TEMPLATE("gemm is the product of matrices that are stored by columns", T, float, double) {
  // c (m, n) by rows = a b is, by columns, c^T = b^T a^T; each matrix has columns to spare.
  const int m = 3, n = 5, k = 4, batch = 2, spare = 2;
  for (bool ta : {false, true})
    for (bool tb : {false, true})
      for (bool accumulate : {false, true}) {
        CAPTURE(ta);
        CAPTURE(tb);
        CAPTURE(accumulate);
        const int a_rows = ta ? k : m, b_rows = tb ? n : k;
        const int lda = (ta ? m : k) + spare, ldb = (tb ? k : n) + spare, ldc = n + spare;
        const int sa = a_rows * lda + 1, sb = b_rows * ldb + 1, sc = m * ldc + 1;
        auto a = numbers<T>(static_cast<std::size_t>(batch * sa), 1);
        auto b = numbers<T>(static_cast<std::size_t>(batch * sb), 2);
        auto c = numbers<T>(static_cast<std::size_t>(batch * sc), 3);
        T* dc = to_device(c);
        Gemm g{.dtype = dtype_for<T>, .transpose_a = tb, .transpose_b = ta};
        g.accumulate = accumulate;
        g.m = n, g.n = m, g.k = k, g.batch = batch;
        g.a = to_device(b), g.b = to_device(a), g.c = dc;
        g.lda = ldb, g.ldb = lda, g.ldc = ldc;
        g.stride_a = sb, g.stride_b = sa, g.stride_c = sc;
        gemm(g, stream());
        for (int p = 0; p < batch; ++p)
          for (int i = 0; i < m; ++i)
            for (int j = 0; j < n; ++j) {
              T sum = 0;
              for (int q = 0; q < k; ++q)
                sum += a[static_cast<std::size_t>(p * sa + (ta ? q * lda + i : i * lda + q))] *
                       b[static_cast<std::size_t>(p * sb + (tb ? j * ldb + q : q * ldb + j))];
              T& y = c[static_cast<std::size_t>(p * sc + i * ldc + j)];
              y = accumulate ? y + sum : sum;
            }
        auto result = to_host(dc, c.size());
        for (std::size_t i = 0; i < c.size(); ++i)
          REQUIRE(result[i] == doctest::Approx(c[i]).epsilon(1e-6));  // what is spare stays
      }
}

TEST_CASE("gemm without a sum gives zeros, and does not read what it overwrites") {
  float *c = new_array<float>(6), *x = to_device(numbers<float>(6));
  Gemm g;
  g.m = 2, g.n = 3, g.a = x, g.b = x, g.c = c;
  g.lda = 2, g.ldb = 1, g.ldc = 2;
  gemm(g, stream());
  CHECK(to_host(c, 6) == std::vector<float>(6, 0));
}

TEST_CASE("gemm refuses what cuBLAS refuses") {
  float* x = to_device(numbers<float>(24));
  Gemm good;
  good.m = 2, good.n = 3, good.k = 4, good.lda = 2, good.ldb = 4, good.ldc = 2;
  good.a = good.b = x, good.c = new_array<float>(6);
  auto error = [&](auto change) {
    Gemm g = good;
    change(g);
    return error_of([&] { gemm(g, stream()); });
  };
  CHECK(error([](Gemm&) {}) == "no error");
  CHECK(error([](Gemm& g) { g.lda = 1; }) ==
        "emulated CUDA: gemm: a has 2 rows and a leading dimension of 1");
  CHECK(error([](Gemm& g) { g.transpose_b = true; }) == "no error");
  CHECK(error([](Gemm& g) { g.transpose_a = true; }) ==
        "emulated CUDA: gemm: a has 4 rows and a leading dimension of 2");
  CHECK(error([](Gemm& g) { g.ldc = 0; }) ==
        "emulated CUDA: gemm: c has 2 rows and a leading dimension of 0");
  CHECK(error([](Gemm& g) { g.batch = 2; }) ==
        "emulated CUDA: gemm: c has 6 elements and a stride of 0");
  CHECK(error([](Gemm& g) {
          g.batch = 2, g.stride_c = 6;
        }).starts_with("emulated CUDA: device memory that is not, or not all, allocated"));
  CHECK(error([](Gemm& g) { g.dtype = int32; }) == "emulated CUDA: gemm: float32 or float64");
  std::vector<float> host(24);
  CHECK(error([&](Gemm& g) { g.a = host.data(); }) ==
        "emulated CUDA: gemm: a is not in device memory");
  synchronize(stream());
}

TEST_CASE("two devices have memory of their own") {
  std::string why;
  CHECK(device_count(why) == 2);
  CHECK_THROWS(memory_size(2));
  Stream second = make_stream(1);
  float *x = to_device<float>({1}), *y = to_device<float>({2}, second, 1);
  CHECK(to_host(y, 1, second)[0] == 2);
  CHECK(error_of([&] { cuda::copy(y, x, 4, second); }) ==
        "emulated CUDA: memory of device 0 in a stream of device 1");
  CHECK_THROWS(release(y, 0));
  begin_capture(second);
  Graph graph = end_capture(second);
  CHECK_THROWS(run(graph, stream()));
  release(graph);
}

TEST_CASE("memory has a limit, and what was released is used again") {
  const std::size_t used = emulation::memory_in_use(0);
  Set set(emulation::memory_limit, used + 1'000'000);
  void *a = allocate(600'000, 0), *b = allocate(600'000, 0), *c = allocate(400'000, 0);
  CHECK(a != nullptr);
  CHECK(b == nullptr);
  CHECK(c != nullptr);
  CHECK(reinterpret_cast<std::uintptr_t>(c) % 256 == 0);
  CHECK(allocate(1, 0) == nullptr);
  release(a, 0);
  CHECK(allocate(500'000, 0) == a);
  release(a, 0);
  release(c, 0);
  CHECK(emulation::memory_in_use(0) == used);
  void *none = allocate(0, 0), *other = allocate(0, 0);
  CHECK(none != other);
  release(none, 0);
  release(other, 0);
  release(static_cast<void*>(nullptr), 0);
}

TEST_CASE("memory is released after the work that uses it") {
  float* x = to_device<float>({4});
  std::vector<float> back(1, -1);
  cuda::copy(back.data(), x, 4, stream());
  release(x, 0);
  CHECK(back[0] == 4);
}

TEST_CASE("several threads can use one stream" * doctest::test_suite("threads")) {
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&right, t] {
      for (int i = 0; i < 20; ++i) {
        float value = static_cast<float>(100 * t + i);
        float *x = to_device<float>({value}), *y = new_array<float>(1);
        launch(scale, 3, 1, stream(), y, x, 2, 1);
        if (to_host(y, 1)[0] == 2 * value) ++right;
        release(x, 0);
        release(y, 0);
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(right == 80);
}

TEST_SUITE_END();
