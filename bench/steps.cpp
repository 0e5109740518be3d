// Milliseconds per training step, or per predict, of the models in workloads.h.
//
//   bench_steps                 measures them all and writes a line of JSON for each
//   bench_steps serve WORKLOAD  is one side of a comparison (peers/README.md): it prints "ready"
//   and
//                               its version, then answers each line of input with one measurement

#include <keratin/keratin.h>

#include <algorithm>
#include <iostream>
#include <string>

#include "workloads.h"

namespace {

int serve(const std::string& name) {
  for (const bench::Workload& workload : bench::workloads()) {
    if (workload.name != name) continue;
    auto slice = workload.prepare();
    std::cout << "ready Keratin, " << keratin::num_threads() << " threads" << std::endl;
    for (std::string line; std::getline(std::cin, line);) std::cout << slice() << std::endl;
    return 0;
  }
  std::cerr << "unknown workload: " << name << '\n';
  return 2;
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
  if (argc == 3 && std::string(argv[1]) == "serve") return serve(argv[2]);
  for (const bench::Workload& workload : bench::workloads()) measure(workload);
}
