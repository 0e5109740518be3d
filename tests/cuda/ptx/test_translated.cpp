// Launches every kernel that nvcc made, over operands that bring out its cases; translated.cpp
// compares what each does with what the emulator's does.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include <keratin/core/cuda/kernels.h>
#include <keratin/core/cuda/number.h>
#include <keratin/core/cuda/runtime.h>
#include <keratin/core/functions.h>
#include <keratin/core/internal/draw.h>
#include <keratin/core/kernels.h>

#include "../emulator/emulation.h"
#include "translated.h"

TEST_SUITE_BEGIN("ptx");

using namespace keratin;
using namespace keratin::cuda;

namespace {

constexpr std::int64_t rows = 40, columns = 30, elements = rows * columns;

Stream stream() {
  static Stream of_device_0 = make_stream(0);
  return of_device_0;
}

/// Memory of the device, as long as this lives.
template <class T>
class Array {
 public:
  explicit Array(const std::vector<T>& x)
      : data_(static_cast<T*>(allocate(sizeof(T) * x.size(), 0))) {
    std::vector<std::byte> bytes(sizeof(T) * x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      const T element = x[i];
      std::memcpy(bytes.data() + i * sizeof(T), &element, sizeof(T));
    }
    cuda::copy(data_, bytes.data(), bytes.size(), stream());
  }
  Array(Array&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
  ~Array() { release(data_, 0); }
  operator T*() const { return data_; }
  operator Elements() const { return {dtype_for<T>, data_}; }

 private:
  T* data_;
};

/// Numbers of every sign, and those that are none; of every size where they are `wide`. Integers
/// are small.
template <class T>
std::vector<T> numbers(unsigned seed, bool wide = true, std::int64_t count = elements) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  std::vector<T> x;
  for (std::int64_t i = 0; i < count; ++i) {
    if constexpr (std::is_integral_v<T>) {
      x.push_back(static_cast<T>(std::is_same_v<T, bool> ? random() % 2 : random() % 16 - 4.0));
    } else {
      const double d = normal(random);
      const double special[] = {0,       -0.0,    INFINITY, -INFINITY, NAN,      1e-40,
                                1e5 * d, 3e9 * d, 12 * d,   90 * d,    1e-4 * d, std::round(4 * d)};
      const std::size_t kinds = wide ? std::size(special) : 6;
      x.push_back(static_cast<T>(random() % 3 == 0 ? special[random() % kinds] : d));
    }
  }
  return x;
}

/// Numbers without surprises.
template <class T>
std::vector<T> plain_numbers(unsigned seed, std::int64_t count) {
  std::mt19937 random(seed);
  std::vector<T> x;
  for (std::int64_t i = 0; i < count; ++i)
    x.push_back(static_cast<T>(std::is_integral_v<T> ? random() % 9 : random() % 1000 * 0.01 - 4));
  return x;
}

/// The first `wide` of them have numbers of every size.
template <class T>
std::vector<Array<T>> arrays(int count, int wide, unsigned seed) {
  std::vector<Array<T>> all;
  for (int k = 0; k < count; ++k)
    all.emplace_back(numbers<T>(seed + static_cast<unsigned>(k), k < wide));
  return all;
}

/// A loop over all elements of the operands in order.
template <class T>
DeviceLoop dense_loop(const std::vector<Array<T>>& operands) {
  DeviceLoop loop;
  loop.rank = 1;
  loop.operands = static_cast<int>(operands.size());
  loop.total = loop.size[0] = elements;
  for (std::size_t k = 0; k < operands.size(); ++k) {
    loop.stride[k][0] = 1;
    loop.data[k] = reinterpret_cast<char*>(static_cast<T*>(operands[k]));
  }
  return loop;
}

/// The same as rows and columns: of the inputs every second is transposed, and of several the first
/// is a number.
template <class T>
DeviceLoop uneven_loop(const std::vector<Array<T>>& operands, int outputs) {
  DeviceLoop loop = dense_loop(operands);
  loop.rank = 2;
  loop.size[0] = rows, loop.size[1] = columns;
  for (int k = 0; k < loop.operands; ++k) {
    const bool transposed = k >= outputs && (k - outputs) % 2 == 1;
    loop.stride[k][0] = transposed ? 1 : columns;
    loop.stride[k][1] = transposed ? rows : 1;
  }
  if (loop.operands - outputs > 1) {
    loop.data[outputs] = nullptr;
    loop.value[outputs] = 0.75;
  }
  return loop;
}

template <class F>
F functor() {
  if constexpr (std::is_empty_v<F>) {
    return F{};
  } else {
    std::array<double, sizeof(F) / sizeof(double)> parameters{};
    double next = 0.1;
    for (double& p : parameters) p = std::exchange(next, next + 0.3);
    return std::bit_cast<F>(parameters);
  }
}

template <class F, class T>
void run_forward(Pointwise op) {
  constexpr int outputs = fn::outputs_of<F>, inputs = fn::inputs_of<F>;
  const F f = functor<F>();
  // Of many inputs of different sizes large parts cancel, and what is left is a matter of rounding.
  const auto operands = arrays<T>(outputs + inputs, inputs <= 2 ? outputs + inputs : 0, 1);
  cuda::pointwise(op, &f, dtype_for<T>, dense_loop(operands), stream());
  cuda::pointwise(op, &f, dtype_for<T>, uneven_loop(operands, outputs), stream());
  CHECK_NOTHROW(synchronize(stream()));
}

template <class F, class T>
void run_gradient(Pointwise op) {
  constexpr int outputs = fn::outputs_of<F>, inputs = fn::inputs_of<F>;
  const F f = functor<F>();
  const int count = fn::has_output_vjp<F> ? 3 : 2 * inputs + outputs;
  const auto operands = arrays<T>(count, count - outputs, 2);
  cuda::pointwise_gradient(op, &f, dtype_for<T>, dense_loop(operands), stream());
  DeviceLoop loop = uneven_loop(operands, inputs);
  if (inputs > 1) loop.data[0] = nullptr;
  cuda::pointwise_gradient(op, &f, dtype_for<T>, loop, stream());
  CHECK_NOTHROW(synchronize(stream()));
}

template <class F, class T>
void run_step(Pointwise op) {
  constexpr int inputs = fn::inputs_of<F>;
  if constexpr (inputs <= Groups::max_arrays && fn::outputs_of<F> + 1 == inputs) {
    const F f = functor<F>();
    const auto first = arrays<T>(inputs, 0, 3), second = arrays<T>(inputs, 0, 4);
    Groups groups;
    groups.count = 2;
    groups.size[0] = elements, groups.size[1] = 77;
    for (int k = 0; k < inputs; ++k) {
      groups.data[0][k] = first[static_cast<std::size_t>(k)];
      groups.data[1][k] = second[static_cast<std::size_t>(k)];
    }
    const Array<bool> no({false});
    cuda::step(op, &f, dtype_for<T>, groups, Tensor(), stream());
    cuda::step(op, &f, dtype_for<T>, groups, no, stream());
    CHECK_NOTHROW(synchronize(stream()));
  }
}

template <class F>
void run_op(Pointwise op, const char* name, bool is_step) {
  CAPTURE(name);
  run_forward<F, float>(op);
  run_forward<F, double>(op);
  if constexpr (requires { F::keeps_integers; }) run_forward<F, std::int32_t>(op);
  if (is_step) {
    run_step<F, float>(op);
    run_step<F, double>(op);
  }
}
template <class F>
void run_gradients(Pointwise op, const char* name) {
  CAPTURE(name);
  run_gradient<F, float>(op);
  run_gradient<F, double>(op);
}

template <class F>
void for_types(const F& f) {
  f(bool{}), f(std::int32_t{}), f(float{}), f(double{});
}

constexpr Middle sizes[] = {{3, 100, 5}, {1, 700, 1}, {40, 3, 1}, {2, 33, 40}, {1, 1, 1}};

template <class T>
Array<T> array_of(const Middle& size, unsigned seed) {
  return Array<T>(plain_numbers<T>(seed, size.outer * size.n * size.inner));
}

template <class T>
void run_along_an_axis(const Middle& size) {
  const std::int64_t count = size.outer * size.n * size.inner;
  const Array<T> y = array_of<T>(size, 1), gy = array_of<T>(size, 2);
  const Array<std::int32_t> places = array_of<std::int32_t>(size, 3);
  for (const Array<T>& x : {array_of<T>(size, 4), Array<T>(numbers<T>(5, false, count))}) {
    for (bool flag : {false, true}) {
      arg_reduce(flag, places, x, size, stream());
      cumulative_sum(y, x, size, flag, stream());
      if constexpr (std::is_floating_point_v<T>) {
        softmax(y, x, size, flag, stream());
        softmax_gradient(gy, y, x, size, flag, stream());
      }
    }
    if constexpr (!std::is_same_v<T, bool>)
      for (Reduction op : {Reduction::sum, Reduction::max, Reduction::min})
        reduce(op, y, x, size, stream());
  }
  CHECK_NOTHROW(synchronize(stream()));
}

template <class T>
void run_scatters(const Middle& size) {
  const std::vector<std::int32_t> indices = {0, 2, 0, 1, 2, 2}, sorted = {0, 0, 1, 2, 2, 2},
                                  places = {0, 2, 3, 1, 4, 5};
  const Array<T> y = array_of<T>(size, 1), x = array_of<T>({size.outer, 6, size.inner}, 2);
  scatter_add(y, x, Array<std::int32_t>(indices), 6, size, stream());
  scatter_add_sorted(y, x, Array<std::int32_t>(sorted), Array<std::int32_t>(places), 6, size,
                     stream());
  CHECK_NOTHROW(synchronize(stream()));
}

template <class T>
void run_take(const Middle& size) {
  const Array<T> x(plain_numbers<T>(1, size.outer * size.n * size.inner)),
      y(plain_numbers<T>(2, size.outer * 4 * size.inner));
  take(y, x, Array<std::int32_t>({2, 0, 1, 2}), 4, size, stream());
  CHECK_NOTHROW(synchronize(stream()));
}

// Windows that overlap, leave gaps and reach beyond the ends, over numbers with NaN among them.
template <class T>
void run_max_pool() {
  Pooling p{{}, 2, {3, 7, 6}, {}, 5};
  p.windows.axis[0] = {2, 1, 1, 0, 0};
  p.windows.axis[1] = {3, 2, 1, 1, 1};
  p.windows.axis[2] = {2, 2, 3, 0, 1};
  std::int64_t inputs = p.batch * p.channels, outputs = inputs;
  for (int i = 0; i < 3; ++i) {
    p.m[i] = p.windows.axis[i].count(p.n[i]);
    inputs *= p.n[i];
    outputs *= p.m[i];
  }
  const Array<T> x(numbers<T>(1, false, inputs)), y(plain_numbers<T>(2, outputs));
  const Array<std::int32_t> index(plain_numbers<std::int32_t>(3, outputs));
  max_pool(y, index, x, p, stream());
  const Array<T> alone(plain_numbers<T>(4, outputs));
  max_pool(alone, Tensor(), x, p, stream());
  CHECK_NOTHROW(synchronize(stream()));
}

}  // namespace

TEST_CASE("nvcc's pointwise kernels compute what the emulator's do") {
#define KERATIN_FUNCTOR(F)                \
  run_op<fn::F>(Pointwise::F, #F, false); \
  run_gradients<fn::F>(Pointwise::F, #F);
#define KERATIN_UNARY(name, F) KERATIN_FUNCTOR(F)
#define KERATIN_BINARY(name, F) KERATIN_FUNCTOR(F)
#define KERATIN_STEP(F) run_op<fn::F>(Pointwise::F, #F, true);
#include <keratin/core/catalogue.def>
}

TEST_CASE("nvcc's copies, comparisons, selections and ranges are the emulator's to the last bit") {
  for_types([](auto type) {
    using T = decltype(type);
    const DType dtype = dtype_for<T>;
    const auto of_type = arrays<T>(3, 3, 6);
    const auto conditions = arrays<bool>(2, 2, 7);
    auto loop = [&](std::vector<void*> data) {
      DeviceLoop result = uneven_loop(of_type, 1);
      result.operands = static_cast<int>(data.size());
      for (std::size_t k = 0; k < data.size(); ++k) {
        result.data[k] = static_cast<char*>(data[k]);
        result.stride[k][0] = k == 1 ? 1 : columns;
        result.stride[k][1] = k == 1 ? rows : 1;
      }
      return result;
    };
    for (int op = 0; op <= static_cast<int>(Comparison::logical_xor); ++op)
      compare(static_cast<Comparison>(op), dtype, loop({conditions[0], of_type[0], of_type[1]}),
              stream());
    select(dtype, loop({of_type[0], conditions[1], of_type[1], of_type[2]}), stream());
    accumulate(dtype, loop({of_type[0], of_type[1]}), stream());
    for_types([&](auto from) {
      const Array<decltype(from)> x(numbers<decltype(from)>(8));
      cuda::copy(dtype, dtype_for<decltype(from)>, loop({of_type[0], x}), stream());
      DeviceLoop number = loop({of_type[0], nullptr});
      number.value[1] = 3.7;
      cuda::copy(dtype, dtype_for<decltype(from)>, number, stream());
      CHECK_NOTHROW(synchronize(stream()));
    });
    cuda::arange(of_type[0], elements, -3.3, 0.7, stream());
    CHECK_NOTHROW(synchronize(stream()));
  });
}

TEST_CASE("nvcc's random numbers are the emulator's") {
  using enum Draw::Kind;
  for (Draw::Kind kind : {uniform, normal, truncated_normal, integers})
    for (bool wide : {false, true}) {
      const Draw draw{.kind = kind, .wide = wide, .first = 12, .seed = 99, .low = -3, .high = 11};
      cuda::random(draw, Array<float>(numbers<float>(1)), elements, stream());
      cuda::random(draw, Array<double>(numbers<double>(1)), elements, stream());
      CHECK_NOTHROW(synchronize(stream()));
    }
}

TEST_CASE("nvcc's reductions, softmax and running sums add up in the emulator's order") {
  using enum emulation::Order;
  for (emulation::Order order : {forward, backward, shuffled}) {
    const auto before = std::exchange(emulation::order, order);
    for (const Middle& size : sizes)
      for_types([&](auto type) { run_along_an_axis<decltype(type)>(size); });
    emulation::order = before;
  }
}

TEST_CASE("nvcc's indexing is the emulator's to the last bit") {
  for (const Middle& size : {Middle{3, 3, 5}, Middle{1, 3, 1}}) {
    for_types([&](auto type) {
      run_scatters<decltype(type)>(size);
      run_take<decltype(type)>(size);
    });
  }
  run_max_pool<float>();
  run_max_pool<double>();
  auto* fault = static_cast<IndexFault*>(allocate_host(sizeof(IndexFault)));
  for (std::int32_t wrong : {0, 7, -9}) {
    *fault = {};
    std::vector<std::int32_t> indices = plain_numbers<std::int32_t>(3, 5000);
    indices[2222] = 9 + wrong, indices[3333] = wrong;
    const Array<std::int32_t> x(indices), y(indices);
    check_indices("a test", y, x, 5000, -9, 9, fault, stream());
    CHECK_NOTHROW(synchronize(stream()));
    CHECK(fault->found == (wrong >= 0));
  }
  release_host(fault);

  const std::int64_t count = 1000;
  std::vector<std::int32_t> none(static_cast<std::size_t>(16 * sort_threads(count)));
  const Array<std::int32_t> keys(plain_numbers<std::int32_t>(4, count)),
      sorted(plain_numbers<std::int32_t>(5, count)), places(plain_numbers<std::int32_t>(6, count)),
      moved(plain_numbers<std::int32_t>(7, count)), counts(none), sums(none);
  for (const Elements& from : {Elements(Tensor()), Elements(places)}) {
    count_digits(counts, keys, count, 0, stream());
    cumulative_sum(sums, counts, {1, static_cast<std::int64_t>(none.size()), 1}, false, stream());
    move_by_digit(sorted, moved, keys, from, sums, count, 0, stream());
    CHECK_NOTHROW(synchronize(stream()));
  }
}

TEST_CASE_TEMPLATE("nvcc's search for numbers that are not finite is the emulator's", T, float,
                   double) {
  const Array<T> bad(numbers<T>(1)), good(plain_numbers<T>(2, elements)),
      sums(plain_numbers<T>(3, 2 * finite_blocks));
  Groups groups;
  groups.count = 2;
  groups.size[0] = groups.size[1] = elements;
  groups.data[0][0] = bad, groups.data[1][0] = good;
  find_not_finite(sums, groups, stream());
  auto* fault = static_cast<IndexFault*>(allocate_host(sizeof(IndexFault)));
  *fault = {};
  const Array<bool> finite({true});
  const Array<T> zeros(std::vector<T>(2 * finite_blocks));
  keep_where_zero(finite, zeros, 2 * finite_blocks, fault, stream());
  keep_where_zero(finite, sums, 2 * finite_blocks, fault, stream());
  CHECK_NOTHROW(synchronize(stream()));
  release_host(fault);
}

TEST_CASE("nvcc's steps of an LSTM are the emulator's") {
  for (const auto& size : {std::pair{16, 24}, {5, 13}}) {
    const int rows = size.first, units = size.second;
    auto state = [&](unsigned seed) {
      return Array<float>(plain_numbers<float>(seed, std::int64_t{rows} * units));
    };
    auto gates = [&](unsigned seed) {
      return Array<float>(plain_numbers<float>(seed, std::int64_t{rows} * 4 * units));
    };
    const Array<float> recurrent(plain_numbers<float>(1, std::int64_t{units} * 4 * units));
    const Array<float> c0 = state(2), tanh_c = state(3), h0 = state(4), h1 = state(5),
                       c1 = state(6), gy = state(7), gc = state(8), z = gates(9),
                       next_gz = gates(10), gz = gates(11);
    LstmStep step = {rows, units, recurrent, c0, tanh_c, z, h0, h1, c1, next_gz, gy, units, gc, gz};
    lstm_step(step, stream());
    lstm_step_back(step, stream());
    step.gy = nullptr;
    lstm_step_back(step, stream());
    CHECK_NOTHROW(synchronize(stream()));
  }
}

TEST_CASE("every kernel that nvcc made has run") {
  const ptx::Report report = ptx::report();
  for (const std::string& name : report.not_run) MESSAGE("not run: ", name);
  CHECK(report.run == report.kernels);
  MESSAGE("PTX: ", report.run, " of ", report.kernels, " kernels ran in ", report.launches,
          " launches; the largest differences are ", report.float32, " in float32 and ",
          report.float64, " in float64");
}

TEST_SUITE_END();
