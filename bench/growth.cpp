// One point of the curves that growth.py draws: time and memory of a training step.
//
//   bench_growth TIME BATCH FEATURES UNITS
//
// trains LSTM(UNITS), Dense(10) and writes a line of JSON: milliseconds per step (a median), the
// process' peak memory, and the memory computed from what a step keeps, both in MiB.

#include <keratin/keratin.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <string>

namespace {

// Not getrusage's ru_maxrss: that is inherited from the program that started this one.
double peak_mib() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word != "VmHWM:") continue;
    double kib = 0;
    status >> kib;
    return kib / 1024;
  }
  return 0;
}

// The numbers that have to be in memory at the end of a forward pass.
double computed_mib(double time, double batch, double features, double units) {
  double steps = time * batch;
  double kept = steps * units * 7        // four gates, c, tanh c and h
                + steps * features * 2;  // x, and x with time first
  double weights = (features + units + 1) * 4 * units;
  double copies = 4 * weights               // weights, gradients and Adam's two moments
                  + 2 * units * 4 * units;  // the recurrent kernel, packed, and its transpose
  return (kept + copies) * 4 / (1 << 20);
}

}  // namespace

int main(int argc, char** argv) {
  using namespace keratin;
  using Clock = std::chrono::steady_clock;
  if (argc != 5) {
    std::cerr << "usage: bench_growth TIME BATCH FEATURES UNITS\n";
    return 2;
  }
  int time = std::stoi(argv[1]), batch = std::stoi(argv[2]), features = std::stoi(argv[3]),
      units = std::stoi(argv[4]);
  double before = peak_mib();
  Sequential model({LSTM(units), Dense(10, {.activation = "softmax"})});
  model.compile({.optimizer = "adam", .loss = "categorical_crossentropy"});
  Random random(1);
  Tensor x = random.normal({batch, time, features});
  Tensor y = one_hot(random.integers({batch}, 0, 10), 10);
  for (int i = 0; i < 3; ++i) model.train_on_batch(x, y);
  std::vector<double> ms;
  for (auto begin = Clock::now();
       ms.size() < 5 || Clock::now() - begin < std::chrono::seconds(1);) {
    auto start = Clock::now();
    model.train_on_batch(x, y);
    ms.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
  }
  std::nth_element(ms.begin(), ms.begin() + static_cast<std::ptrdiff_t>(ms.size() / 2), ms.end());
  std::cout << "{\"ms\": " << ms[ms.size() / 2] << ", \"peak_mib\": " << peak_mib()
            << ", \"start_mib\": " << before
            << ", \"computed_mib\": " << computed_mib(time, batch, features, units) << "}\n";
}
