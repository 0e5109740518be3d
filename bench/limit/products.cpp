// The matrix products of a training step and nothing else, in their true shapes, each done in the
// fastest way that was found: what arithmetic alone costs the benchmark models.
//
//   bench_limit_products                 measures its workloads, a line of JSON for each
//   bench_limit_products serve WORKLOAD  is one side of a comparison, as bench_steps
//   bench_limit_products list WORKLOAD   prints the products and what each way to do them took

#include <cblas.h>
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <deque>
#include <iostream>
#include <limits>
#include <string>

#include "packed.h"

namespace {

using namespace limit;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// C = A·B or C += A·B, where A or B may be stored transposed, `times` in a step with the same B.
struct Shape {
  std::string name;
  int m, n, k, times = 1;
  bool a_transposed = false, b_transposed = false, accumulate = false;
};

enum class Way { one_thread, blas_threads, rows, columns, packed };
struct Cut {
  Way way;
  int parts;
};

std::string text(const Cut& cut) {
  switch (cut.way) {
    case Way::one_thread:
      return "one thread";
    case Way::blas_threads:
      return "OpenBLAS";
    case Way::rows:
      return std::to_string(cut.parts) + " of rows";
    case Way::columns:
      return std::to_string(cut.parts) + " of columns";
    case Way::packed:
      return "packed";
  }
  return "";
}

std::vector<Cut> all_cuts() {
  const int threads = omp_get_max_threads();
  return {{Way::one_thread, 1},     {Way::blas_threads, 1},  {Way::rows, threads},
          {Way::rows, 2 * threads}, {Way::columns, threads}, {Way::columns, 2 * threads},
          {Way::packed, threads}};
}

class Product {
 public:
  explicit Product(const Shape& shape)
      : s(shape),
        a(std::size_t(s.m) * s.k, 0.01f),
        b(std::size_t(s.k) * s.n, 0.01f),
        c(std::size_t(s.m) * s.n),
        packed(s.k, s.n) {}

  const Shape& shape() const { return s; }
  double operations() const { return 2.0 * s.m * s.n * s.k * s.times; }

  /// Packing pays only for a matrix that is used again, and takes whole panels.
  bool can(const Cut& cut) const {
    if (cut.way == Way::packed)
      return s.times > 1 && !s.a_transposed && s.n % Packed<float>::width == 0;
    return cut.parts <= (cut.way == Way::columns ? s.n : s.m);
  }

  /// All `times` of it.
  void run(const Cut& cut) {
    const int threads = omp_get_max_threads();
    switch (cut.way) {
      case Way::one_thread:
        omp_set_num_threads(1);
        for (int i = 0; i < s.times; ++i) block(0, s.m, 0, s.n);
        omp_set_num_threads(threads);
        break;
      case Way::blas_threads:
        for (int i = 0; i < s.times; ++i) block(0, s.m, 0, s.n);
        break;
      case Way::rows:
      case Way::columns:
#pragma omp parallel
        for (int i = 0; i < s.times; ++i)
#pragma omp for schedule(static)
          for (int p = 0; p < cut.parts; ++p)
            if (cut.way == Way::rows)
              block(part(s.m, p, cut.parts), part(s.m, p + 1, cut.parts), 0, s.n);
            else
              block(0, s.m, part(s.n, p, cut.parts), part(s.n, p + 1, cut.parts));
        break;
      case Way::packed:
#pragma omp parallel num_threads(cut.parts)
        run_packed(omp_get_thread_num(), cut.parts);
    }
  }

 private:
  const Shape s;
  Buffer<float> a, b, c;
  Packed<float> packed;

  static int part(int length, int i, int parts) { return length * i / parts; }

  // OpenBLAS keeps to one thread inside a parallel region.
  void block(int row, int row_end, int column, int column_end) {
    const int lda = s.a_transposed ? s.m : s.k, ldb = s.b_transposed ? s.k : s.n;
    cblas_sgemm(CblasRowMajor, s.a_transposed ? CblasTrans : CblasNoTrans,
                s.b_transposed ? CblasTrans : CblasNoTrans, row_end - row, column_end - column, s.k,
                1, &a[std::size_t(row) * (s.a_transposed ? 1 : lda)], lda,
                &b[std::size_t(column) * (s.b_transposed ? ldb : 1)], ldb, s.accumulate ? 1 : 0,
                &c[std::size_t(row) * s.n + column], s.n);
  }

  void run_packed(int i, int parts) {
    const int panels = s.n / Packed<float>::width;
    packed.pack(b.data(), s.b_transposed ? 1 : s.n, s.b_transposed ? s.k : 1,
                part(panels, i, parts), part(panels, i + 1, parts));
#pragma omp barrier
    const int row = part(s.m, i, parts), rows = part(s.m, i + 1, parts) - row;
    for (int t = 0; t < s.times; ++t)
      multiply(rows, &a[row * s.k], s.k, packed, 0, s.accumulate, &c[row * s.n], s.n);
  }
};

// --- the models

using Shapes = std::vector<Shape>;

Shapes operator+(Shapes a, const Shapes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// A recurrent layer, where z has `gates` times the units, and its gradients but that of x.
Shapes recurrent(int batch, int steps, int inputs, int units, int gates) {
  const int z = gates * units, all = steps * batch, again = steps - 1;  // h is zero at first
  return {{"x W", all, z, inputs},
          {"h U", batch, z, units, again, false, false, true},
          {"dz U'", batch, units, z, again, false, true, true},
          {"h' dz", units, z, again * batch, 1, true},
          {"x' dz", inputs, z, all, 1, true}};
}
Shapes lstm(int batch, int steps, int inputs, int units) {
  return recurrent(batch, steps, inputs, units, 4);
}
Shapes gru(int batch, int steps, int inputs, int units) {
  return recurrent(batch, steps, inputs, units, 3);
}

Shapes dense(int batch, int inputs, int units, bool first = false) {
  Shapes shapes = {{"x W", batch, units, inputs}, {"x' dy", inputs, units, batch, 1, true}};
  if (!first) shapes.push_back({"dy W'", batch, inputs, units, 1, false, true});
  return shapes;
}

Shapes attention(int batch, int steps, int features) {
  return dense(batch * steps, features, 64);  // the scores; its sums over time are no products
}

struct Workload {
  std::string name;
  Shapes shapes;
  int weights = 0;  // for the optimizer's sweep, where its memory traffic counts
};

std::vector<Workload> workloads() {
  return {
      {"seed", lstm(64, 10, 32, 128) + attention(64, 10, 128) + dense(64, 128, 10)},
      {"vowels", lstm(16, 29, 12, 32) + attention(16, 29, 32) + dense(16, 32, 9)},
      {"long", lstm(32, 100, 64, 256) + attention(32, 100, 256) + dense(32, 256, 10)},
      {"wide", lstm(64, 50, 128, 512) + attention(64, 50, 512) + dense(64, 512, 10)},
      {"mlp", dense(128, 784, 512, true) + dense(128, 512, 512) + dense(128, 512, 10),
       785 * 512 + 513 * 512 + 513 * 10},
      {"gru", gru(64, 10, 32, 128) + attention(64, 10, 128) + dense(64, 128, 10)},
      {"bidirectional",
       lstm(64, 10, 32, 128) + lstm(64, 10, 32, 128) + attention(64, 10, 256) + dense(64, 256, 10)},
      {"masked", lstm(64, 10, 32, 128) + dense(64, 128, 10)},
  };
}

// --- measuring

struct Adam {
  Buffer<float> w, g, m, v;

  explicit Adam(int weights) : w(weights), g(weights, 0.01f), m(weights), v(weights) {}

  void sweep() {
    const int size = static_cast<int>(w.size());
#pragma omp parallel for simd schedule(static)
    for (int i = 0; i < size; ++i) {
      m[i] += 0.1f * (g[i] - m[i]);
      v[i] += 0.001f * (g[i] * g[i] - v[i]);
      w[i] -= 1e-3f * m[i] / (std::sqrt(v[i]) + 1e-7f);
    }
  }
};

constexpr double never = std::numeric_limits<double>::infinity();

class Step {
 public:
  explicit Step(const Workload& workload) : adam_(workload.weights) {
    for (const Shape& shape : workload.shapes) tuned_.emplace_back(shape);
    // The ways take turns, so that a busy moment of the machine falls on all of them.
    for (Tuned& t : tuned_) {
      t.seconds.assign(cuts_.size(), never);
      double end = now() + 0.1;
      for (int round = 0; round < 4 || now() < end; ++round)
        for (std::size_t i = 0; i < cuts_.size(); ++i) {
          if (!t.product.can(cuts_[i])) continue;
          double start = now();
          t.product.run(cuts_[i]);
          t.seconds[i] = std::min(t.seconds[i], now() - start);
        }
      t.best = std::min_element(t.seconds.begin(), t.seconds.end()) - t.seconds.begin();
    }
  }

  /// Milliseconds per step, over a slice of a second.
  double slice() {
    double start = now(), end = start;
    int steps = 0;
    do {
      for (Tuned& t : tuned_) t.product.run(cuts_[t.best]);
      if (!adam_.w.empty()) adam_.sweep();
      ++steps;
      end = now();
    } while (end - start < 0.25 || steps < 2);
    return (end - start) / steps * 1e3;
  }

  void list() {
    std::printf("%-7s %5s %5s %5s %5s", "us", "m", "n", "k", "times");
    for (const Cut& cut : cuts_) std::printf(" %12s", text(cut).c_str());
    std::printf(" %6s\n", "GF/s");
    double sum = 0;
    for (const Tuned& t : tuned_) {
      const Shape& s = t.product.shape();
      std::printf("%-7s %5d %5d %5d %5d", s.name.c_str(), s.m, s.n, s.k, s.times);
      for (std::size_t i = 0; i < cuts_.size(); ++i)
        std::printf(" %11.1f%c", t.seconds[i] * 1e6, i == t.best ? '*' : ' ');
      std::printf(" %6.1f\n", t.product.operations() / t.seconds[t.best] * 1e-9);
      sum += t.seconds[t.best];
    }
    if (!adam_.w.empty()) {
      double seconds = never;
      for (int round = 0; round < 50; ++round) {
        double start = now();
        adam_.sweep();
        seconds = std::min(seconds, now() - start);
      }
      std::printf("Adam over %zu weights %.1f\n", adam_.w.size(), seconds * 1e6);
      sum += seconds;
    }
    std::printf("sum of the best %.1f\n", sum * 1e6);
  }

 private:
  struct Tuned {
    Product product;
    std::vector<double> seconds;  // of each cut
    std::size_t best = 0;
    explicit Tuned(const Shape& shape) : product(shape) {}
  };
  const std::vector<Cut> cuts_ = all_cuts();
  std::deque<Tuned> tuned_;
  Adam adam_;
};

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 2 ? argv[1] : "", name = argc > 2 ? argv[2] : "";
  for (const Workload& workload : workloads()) {
    if (!name.empty() && workload.name != name) continue;
    Step step(workload);
    if (mode == "list") {
      step.list();
      return 0;
    }
    if (mode == "serve") {
      std::cout << "ready products, " << omp_get_max_threads() << " threads" << std::endl;
      for (std::string line; std::getline(std::cin, line);) std::cout << step.slice() << std::endl;
      return 0;
    }
    std::vector<double> ms;
    for (int i = 0; i < 9; ++i) ms.push_back(step.slice());
    std::sort(ms.begin(), ms.end());
    std::cout << "{\"workload\": \"" << workload.name
              << "\", \"threads\": " << omp_get_max_threads() << ", \"ms\": " << ms[4]
              << ", \"min_ms\": " << ms[0] << ", \"max_ms\": " << ms[8] << "}" << std::endl;
  }
  if (mode == "serve") std::cout << "skip no products listed" << std::endl;
}
