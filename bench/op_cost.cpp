// What one op costs beside its arithmetic: recording, allocating, dispatching. Tensors of four
// numbers.

#include <keratin/keratin.h>
#include <algorithm>
#include <chrono>
#include <iostream>
#include <string>

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

constexpr int calls = 1000;

template <class Op>
void differentiate(const Tensor& x, const Op& op) {
  GradientTape tape;
  tape.watch(x);
  Tensor y = x;
  for (int i = 0; i < calls; ++i) y = op(y);
  std::move(tape).gradient(y, x);
}

// One side of a comparison (peers/README.md): milliseconds for one op, forward and backward.
template <class Op>
int serve(const Tensor& x, const Op& op) {
  std::cout << "ready Keratin" << std::endl;
  for (std::string line; std::getline(std::cin, line);)
    std::cout << nanoseconds(calls, [&] { differentiate(x, op); }) * 1e-6 << std::endl;
  return 0;
}

int main(int argc, char** argv) {
  Tensor x = tensor({0.1, 0.2, 0.3, 0.4}), w = tensor({{1, 2}, {3, 4}});
  auto multiplied = [&](const Tensor& t) { return t * x; };
  auto tanh_of = [](const Tensor& t) { return tanh(t); };
  if (argc == 3 && std::string(argv[2]) == "op") return serve(x, multiplied);
  if (argc == 3 && std::string(argv[2]) == "op-tanh") return serve(x, tanh_of);

  auto print = [&](const char* name, auto op) {
    auto chain = [&] {
      Tensor y = x;
      for (int i = 0; i < calls; ++i) y = op(y);
    };
    auto recorded = [&] {
      GradientTape tape;
      tape.watch(x);
      chain();
    };
    std::cout << name << ": " << nanoseconds(calls, chain) << " ns alone, "
              << nanoseconds(calls, recorded) << " recorded, "
              << nanoseconds(calls, [&] { differentiate(x, op); }) << " forward and backward\n";
  };
  print("tanh", tanh_of);
  print("multiply", multiplied);
  print("add", [&](const Tensor& t) { return t + x; });
  print("reshape", [](const Tensor& t) { return t.reshape({2, 2}).reshape({4}); });
  print("dot and two reshapes", [&](const Tensor& t) {
    return dot(t.reshape({2, 2}), w).reshape({4});
  });
}
