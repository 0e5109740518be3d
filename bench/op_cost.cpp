// What one op costs beside its arithmetic: recording, allocating, dispatching. Tensors of four
// numbers.

#include <keratin/keratin.h>
#include <algorithm>
#include <chrono>
#include <iostream>

using namespace keratin;

// Median nanoseconds of one call, over repeated batches of calls.
template <class F>
double nanoseconds(int calls, F f) {
  std::vector<double> times;
  for (int round = 0; round < 51; ++round) {
    auto start = std::chrono::steady_clock::now();
    f();
    std::chrono::duration<double, std::nano> elapsed = std::chrono::steady_clock::now() - start;
    times.push_back(elapsed.count() / calls);
  }
  std::nth_element(times.begin(), times.begin() + 25, times.end());
  return times[25];
}

int main() {
  constexpr int calls = 1000;
  Tensor x = tensor({0.1, 0.2, 0.3, 0.4}), w = tensor({{1, 2}, {3, 4}});
  auto chain = [&](auto op) {
    return [&, op] {
      Tensor y = x;
      for (int i = 0; i < calls; ++i) y = op(y);
    };
  };
  auto recorded = [&](auto op) {
    return [&, op] {
      GradientTape tape;
      tape.watch(x);
      Tensor y = x;
      for (int i = 0; i < calls; ++i) y = op(y);
    };
  };
  auto differentiated = [&](auto op) {
    return [&, op] {
      GradientTape tape;
      tape.watch(x);
      Tensor y = x;
      for (int i = 0; i < calls; ++i) y = op(y);
      std::move(tape).gradient(y, x);
    };
  };
  auto print = [&](const char* name, auto op) {
    std::cout << name << ": " << nanoseconds(calls, chain(op)) << " ns alone, "
              << nanoseconds(calls, recorded(op)) << " recorded, "
              << nanoseconds(calls, differentiated(op)) << " forward and backward\n";
  };
  print("tanh", [](const Tensor& t) { return tanh(t); });
  print("add", [&](const Tensor& t) { return t + x; });
  print("multiply", [&](const Tensor& t) { return t * x; });
  print("reshape", [](const Tensor& t) { return t.reshape({2, 2}).reshape({4}); });
  print("dot and two reshapes", [&](const Tensor& t) {
    return dot(t.reshape({2, 2}), w).reshape({4});
  });
}
