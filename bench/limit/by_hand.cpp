// How fast a training step of the benchmark models could be: one model written by hand (model.h).
//
//   bench_limit_by_hand                 measures its workloads, a line of JSON for each
//   bench_limit_by_hand serve WORKLOAD  is one side of a comparison, as bench_steps
//   bench_limit_by_hand check           compares gradients with differences; trains for 200 steps

#include <algorithm>
#include <chrono>
#include <iostream>
#include <numeric>
#include <random>
#include <string>

#include "model.h"

namespace {

using namespace limit;

struct Workload {
  std::string name;
  Sizes sizes;
};
const std::vector<Workload> workloads = {{"seed", {64, 10, 32, 128, 10}},
                                         {"vowels", {16, 29, 12, 32, 9}},
                                         {"long", {32, 100, 64, 256, 10}},
                                         {"wide", {64, 50, 128, 512, 10}}};

/// Epochs over a data set that takes a slice of a second, shuffled anew for each.
template <class T>
class Training {
 public:
  Training(const Sizes& s, int batches)
      : sizes_(s), model_(s), data_(s, s.batch * batches), order_(data_.label.size()) {
    std::iota(order_.begin(), order_.end(), 0);
  }

  /// Milliseconds per step.
  double epoch() {
    auto start = std::chrono::steady_clock::now();
    std::shuffle(order_.begin(), order_.end(), random_);
    for (std::size_t n = 0; n < order_.size(); n += sizes_.batch)
      loss_ = model_.step(data_, &order_[n]);
    std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
    return time.count() * sizes_.batch / static_cast<double>(order_.size());
  }

  double loss() const { return loss_; }

 private:
  Sizes sizes_;
  Model<T> model_;
  Data<T> data_;
  std::vector<int> order_;
  std::mt19937 random_{3};
  double loss_ = 0;
};

// As many batches as take a slice of a second.
int slice(const Sizes& s) {
  Training<float> trial(s, 4);
  trial.epoch();
  return std::max(2, static_cast<int>(250 / trial.epoch()));
}

int serve(const std::string& name) {
  for (const Workload& workload : workloads) {
    if (workload.name != name) continue;
    Training<float> training(workload.sizes, slice(workload.sizes));
    training.epoch();
    std::cout << "ready by hand, " << omp_get_max_threads() << " threads" << std::endl;
    for (std::string line; std::getline(std::cin, line);)
      std::cout << training.epoch() << std::endl;
    return 0;
  }
  std::cout << "skip written for LSTM and attention alone" << std::endl;
  return 0;
}

void measure(const Workload& workload) {
  Training<float> training(workload.sizes, slice(workload.sizes));
  training.epoch();
  std::vector<double> ms;
  for (int i = 0; i < 9; ++i) ms.push_back(training.epoch());
  std::sort(ms.begin(), ms.end());
  std::cout << "{\"workload\": \"" << workload.name << "\", \"threads\": " << omp_get_max_threads()
            << ", \"ms\": " << ms[4] << ", \"min_ms\": " << ms[0] << ", \"max_ms\": " << ms[8]
            << "}" << std::endl;
}

// The largest error of a gradient against a central difference, in double precision, relative to
// the gradient or to a thousandth of the largest.
double gradient_error(const Sizes& s) {
  Model<double> model(s);
  Data<double> data(s, s.batch);
  std::vector<int> batch(s.batch);
  std::iota(batch.begin(), batch.end(), 0);
  auto loss = [&] { return model.step(data, batch.data(), /*update=*/false); };
  loss();
  std::vector<double> g = model.gradients();
  double largest = 0, error = 0;
  for (double value : g) largest = std::max(largest, std::abs(value));
  for (std::size_t n = 0; n < g.size(); ++n) {
    double& weight = model.w.data[n];
    const double value = weight, h = 1e-4;
    weight = value + h;
    double difference = loss();
    weight = value - h;
    difference = (difference - loss()) / (2 * h);
    weight = value;
    error = std::max(error, std::abs(difference - g[n]) / std::max(std::abs(g[n]), 1e-3 * largest));
  }
  return error;
}

int check() {
  double error = gradient_error({22, 3, 5, 32, 4});
  std::cout << "gradients: relative error " << error << std::endl;
  Training<float> training(workloads[0].sizes, 20);
  training.epoch();
  double before = training.loss();
  for (int i = 0; i < 9; ++i) training.epoch();
  std::cout << "loss: " << before << " after 20 steps, " << training.loss() << " after 200"
            << std::endl;
  return error < 1e-6 && training.loss() < 0.5 * before ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "serve" && argc == 3) return serve(argv[2]);
  if (mode == "check") return check();
  for (const Workload& workload : workloads) measure(workload);
}
