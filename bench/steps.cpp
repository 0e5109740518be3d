// Milliseconds per training step, or per predict, of the models in workloads.h.
//
//   bench_steps [WORKLOAD ...]        measures these, or all, and writes a line of JSON for each
//   bench_steps serve WORKLOAD [THREADS]  is one side of a comparison (peers/README.md): prints
//                                     "ready" and its version, then answers each line of input with
//                                     one measurement
//   bench_steps first seed            does one training step of the seed model from a cold start
//   bench_steps count                 does ten of the vowels model, for count_instructions to count
//   BENCH_DEVICE=cuda:0 bench_steps ...   does so on a GPU
//   bench_steps weights FILE [OTHER]  writes the seed model's weights after fifty steps to FILE and
//                                     says how far they are from those in OTHER (.npy)

#include <keratin/keratin.h>
#include <keratin/layers/attention.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <string>

#include "workloads.h"

namespace {

int serve(const std::string& name) {
  for (const bench::Workload& workload : bench::workloads()) {
    if (workload.name != name) continue;
    auto slice = workload.prepare();
    const keratin::Device device = keratin::default_device();
    std::cout << "ready Keratin, "
              << (device.is_cpu() ? std::to_string(keratin::num_threads()) + " threads"
                                  : device.str())
              << std::endl;
    for (std::string line; std::getline(std::cin, line);) std::cout << slice() << std::endl;
    return 0;
  }
  std::cerr << "unknown workload: " << name << '\n';
  return 2;
}

// So many training steps of the seed model, or of one with its batch and sizes, and nothing else.
keratin::Sequential steps(int count, int batch, int time, int features, int units) {
  using namespace keratin;
  Sequential model({LSTM(units, {.return_sequences = true}), AttentionLayer(64),
                    Dense(10, {.activation = "softmax"})});
  model.compile({.optimizer = "adam", .loss = "categorical_crossentropy", .metrics = {"accuracy"}});
  Random random(1);
  Tensor x = random.normal({batch, time, features});
  Tensor y = one_hot(random.integers({batch}, 0, 10), 10);
  for (int i = 0; i < count; ++i) model.train_on_batch(x, y);
  return model;
}

int weights(const std::string& file, const std::string& other) {
  using namespace keratin;
  std::vector<Tensor> parts;
  for (const Tensor& w : steps(50, 64, 10, 32, 128).get_weights()) parts.push_back(w.reshape({-1}));
  Tensor all_of_them = concatenate(parts);
  save_npy(file, all_of_them);
  if (other.empty()) return 0;
  Tensor difference = abs(all_of_them - load_npy(other));
  std::cout << "largest weight " << max(abs(all_of_them)).item() << ", largest difference "
            << max(difference).item() << ", mean " << mean(difference).item() << '\n';
  return 0;
}

void measure(const bench::Workload& workload) {
  auto slice = workload.prepare();
  std::vector<double> ms;
  for (int i = 0; i < 9; ++i) ms.push_back(slice());
  std::sort(ms.begin(), ms.end());
  std::cout << "{\"workload\": \"" << workload.name << "\", \"what\": \"" << workload.what
            << "\", \"threads\": " << keratin::num_threads() << ", \"ms\": " << ms[ms.size() / 2]
            << ", \"min_ms\": " << ms.front() << ", \"max_ms\": " << ms.back() << "}" << std::endl;
}

}  // namespace

int main(int argc, char** argv) {
  std::string what = argc > 1 ? argv[1] : "";
  if (const char* device = std::getenv("BENCH_DEVICE")) keratin::set_default_device(device);
  if (what == "serve" && argc == 4) keratin::set_num_threads(std::stoi(argv[3]));
  if (what == "serve" && argc >= 3) return serve(argv[2]);
  if (what == "first" && argc == 3) return steps(1, 64, 10, 32, 128), 0;
  if (what == "count") return steps(10, 16, 29, 12, 32), 0;
  if (what == "weights" && argc >= 3) return weights(argv[2], argc > 3 ? argv[3] : "");
  int measured = 0;
  for (const bench::Workload& workload : bench::workloads())
    if (argc == 1 || std::find(argv + 1, argv + argc, workload.name) != argv + argc)
      measure(workload), ++measured;
  if (measured == 0) std::cerr << "unknown workload: " << what << '\n';
  return measured == 0 ? 2 : 0;
}
