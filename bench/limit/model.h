// LSTM -> AttentionLayer(64) -> Dense(softmax) and Adam, written for this model alone: no tensors,
// no tape, no ops.
//
// Each thread takes its shard of the batch through forward and backward on its own; the threads
// meet only for the weights. Within a shard time comes first, and a row of the states holds
//
//   [h of the step before, x, 1]      against the rows of the LSTM's kernel,   [U; W; b],
//
// so that a step is one product, and the gradients of U, W and b are one product over all steps.
#pragma once

#include <cblas.h>
#include <omp.h>

#include <cmath>
#include <deque>
#include <numeric>
#include <random>
#include <utility>

#include "packed.h"

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace limit {

struct Sizes {
  int batch, steps, inputs, units, classes;  // units in whole tiles: a multiple of 32
};
constexpr int attention_dim = 64;

// Row-major C = A·B + beta C. OpenBLAS keeps to one thread inside a parallel region.
constexpr auto as_is = CblasNoTrans, transposed = CblasTrans;
inline void gemm(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, const float* a,
                 int lda, const float* b, int ldb, float beta, float* c, int ldc) {
  cblas_sgemm(CblasRowMajor, ta, tb, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
}
inline void gemm(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, const double* a,
                 int lda, const double* b, int ldb, double beta, double* c, int ldc) {
  cblas_dgemm(CblasRowMajor, ta, tb, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
}

template <class T>
Vec<T> load(const T* p) {
  return Vec<T>::load_aligned(p);
}

template <class T>
Vec<T> sigmoid(const Vec<T>& x) {
  return Vec<T>(T(1)) / (T(1) + xsimd::exp(-x));
}

// Takes a fifth off the cell's loop, against xsimd's, for an absolute error of 2e-7, not 7e-8.
template <class T>
Vec<T> fast_tanh(const Vec<T>& x) {
  return Vec<T>(T(2)) / (T(1) + xsimd::exp(T(-2) * x)) - T(1);
}

/// All weights in one block, or all of their gradients.
template <class T>
struct Weights {
  Buffer<T> data;
  T *kernel, *score_kernel, *score_bias, *score, *dense_kernel, *dense_bias;

  explicit Weights(const Sizes& s) {
    const int H = s.units, A = attention_dim, C = s.classes;
    const int length[] = {(H + s.inputs + 1) * 4 * H, H * A, A, A, H * C, C};
    T** view[] = {&kernel, &score_kernel, &score_bias, &score, &dense_kernel, &dense_bias};
    int size = std::accumulate(std::begin(length), std::end(length), 0);
    data.resize((size + lanes<T> - 1) / lanes<T> * lanes<T>);
    T* next = data.data();
    for (int i = 0; i < 6; ++i) *view[i] = std::exchange(next, next + length[i]);
  }
  Weights(const Weights&) = delete;  // the views are into this block
};

/// Random sequences, shifted a little in the feature that is their label.
template <class T>
struct Data {
  std::vector<T> x;  // (samples, steps, inputs)
  std::vector<int> label;

  Data(const Sizes& s, int samples) : label(samples) {
    std::mt19937 random(1);
    std::normal_distribution<double> normal;
    x.reserve(static_cast<std::size_t>(samples) * s.steps * s.inputs);
    for (int& l : label) {
      l = static_cast<int>(random() % static_cast<unsigned>(s.classes));
      for (int t = 0; t < s.steps; ++t)
        for (int i = 0; i < s.inputs; ++i) x.push_back(T(normal(random) + (i == l ? 0.5 : 0)));
    }
  }
};

/// One thread's rows of the batch, from the data to the gradients of all weights.
template <class T>
class Shard {
 public:
  Weights<T> g;

  Shard(const Sizes& sizes, int rows)
      : g(sizes),
        s(sizes),
        rows(rows),
        all(s.steps * rows),
        width(s.units + s.inputs + 1),
        stride((width + 15) / 16 * 16),
        states((s.steps + 1) * rows * stride),
        gates(all * 4 * s.units),
        c((s.steps + 1) * rows * s.units),
        tanh_c(all * s.units),
        dh(all * s.units),
        dc(rows * s.units),
        e(all * attention_dim),
        a(all),
        da(all),
        context(rows * s.units),
        dcontext(rows * s.units),
        p(rows * s.classes),
        label(rows) {}

  void gather(const Data<T>& data, const int* samples) {
    for (int r = 0; r < rows; ++r) {
      const T* x = &data.x[static_cast<std::size_t>(samples[r]) * s.steps * s.inputs];
      for (int t = 0; t < s.steps; ++t, x += s.inputs) {
        T* row = state(t) + r * stride + s.units;
        std::copy_n(x, s.inputs, row);
        row[s.inputs] = 1;
      }
      label[r] = data.label[samples[r]];
    }
  }

  /// The sum of the rows' losses.
  double forward(const Weights<T>& w, const Packed<T>& kernel) {
    for (int t = 0; t < s.steps; ++t) {
      int skip = t == 0 ? s.units : 0;  // h is zero before the first step
      multiply(rows, state(t) + skip, stride, kernel, skip, false, gate(t), 4 * s.units);
      cell_forward(t);
    }
    attend(w);
    return classify(w);
  }

  /// Fills g with the gradients of the sum of the rows' losses times `scale`.
  void backward(const Weights<T>& w, const Packed<T>& recurrent_transposed, T scale) {
    const int H = s.units;
    classify_backward(w, scale);
    attend_backward(w);
    std::fill(dc.begin(), dc.end(), T(0));
    for (int t = s.steps - 1; t >= 0; --t) {
      if (t + 1 < s.steps)
        multiply(rows, gate(t + 1), 4 * H, recurrent_transposed, 0, true, &dh[t * rows * H], H);
      cell_backward(t);
    }
    gemm(transposed, as_is, width, 4 * H, all - rows, state(1), stride, gate(1), 4 * H, 0, g.kernel,
         4 * H);
    gemm(transposed, as_is, width - H, 4 * H, rows, state(0) + H, stride, gate(0), 4 * H, 1,
         g.kernel + H * 4 * H, 4 * H);
  }

 private:
  const Sizes s;
  const int rows, all, width, stride;
  Buffer<T> states;                // (steps + 1, rows, stride): row t has the output of t - 1
  Buffer<T> gates;                 // (steps, rows, 4 units): i, f, g, o, later their gradients
  Buffer<T> c, tanh_c, dh, dc;     // c as the states, one step ahead
  Buffer<T> e, a, da;              // (steps, rows, attention_dim), (steps, rows)
  Buffer<T> context, dcontext, p;  // (rows, units), (rows, classes)
  std::vector<int> label;

  T* state(int t) { return &states[t * rows * stride]; }
  T* gate(int t) { return &gates[t * rows * 4 * s.units]; }
  T* h(int t, int r) { return state(t + 1) + r * stride; }

  void cell_forward(int t) {
    const int H = s.units;
    for (int r = 0; r < rows; ++r) {
      T* z = gate(t) + r * 4 * H;
      T* c_row = &c[(t * rows + r) * H];
      T* tanh_row = &tanh_c[(t * rows + r) * H];
      T* h_row = h(t, r);
      for (int j = 0; j < H; j += lanes<T>) {
        auto i = sigmoid(load(z + j)), f = sigmoid(load(z + H + j));
        auto g = fast_tanh(load(z + 2 * H + j));
        auto o = sigmoid(load(z + 3 * H + j));
        auto next = f * load(c_row + j) + i * g, y = fast_tanh(next);
        i.store_aligned(z + j);
        f.store_aligned(z + H + j);
        g.store_aligned(z + 2 * H + j);
        o.store_aligned(z + 3 * H + j);
        next.store_aligned(c_row + rows * H + j);
        y.store_aligned(tanh_row + j);
        (o * y).store_aligned(h_row + j);
      }
    }
  }

  // The gradients of z go where the gates were.
  void cell_backward(int t) {
    const int H = s.units;
    const Vec<T> one(T(1));
    for (int r = 0; r < rows; ++r) {
      T* z = gate(t) + r * 4 * H;
      T* dc_row = &dc[r * H];
      const T* dh_row = &dh[(t * rows + r) * H];
      const T* c_row = &c[(t * rows + r) * H];
      const T* tanh_row = &tanh_c[(t * rows + r) * H];
      for (int j = 0; j < H; j += lanes<T>) {
        auto i = load(z + j), f = load(z + H + j), g = load(z + 2 * H + j), o = load(z + 3 * H + j);
        auto y = load(tanh_row + j), gh = load(dh_row + j);
        auto gc = load(dc_row + j) + gh * o * (one - y * y);
        (gc * g * i * (one - i)).store_aligned(z + j);
        (gc * load(c_row + j) * f * (one - f)).store_aligned(z + H + j);
        (gc * i * (one - g * g)).store_aligned(z + 2 * H + j);
        (gh * y * o * (one - o)).store_aligned(z + 3 * H + j);
        (gc * f).store_aligned(dc_row + j);
      }
    }
  }

  // e = tanh(h W + b), a = softmax over time of e u, context = sum over time of a h.
  void attend(const Weights<T>& w) {
    const int H = s.units, A = attention_dim;
    gemm(as_is, as_is, all, A, H, state(1), stride, w.score_kernel, A, 0, e.data(), A);
    for (int n = 0; n < all; ++n) {
      Vec<T> sum(T(0));
      for (int j = 0; j < A; j += lanes<T>) {
        auto y = fast_tanh(load(&e[n * A + j]) + load(w.score_bias + j));
        y.store_aligned(&e[n * A + j]);
        sum += y * load(w.score + j);
      }
      a[n] = xsimd::hadd(sum);
    }
    std::fill(context.begin(), context.end(), T(0));
    for (int r = 0; r < rows; ++r) {
      T largest = a[r], sum = 0;
      for (int n = r; n < all; n += rows) largest = std::max(largest, a[n]);
      for (int n = r; n < all; n += rows) sum += a[n] = std::exp(a[n] - largest);
      for (int t = 0; t < s.steps; ++t) {
        T weight = a[t * rows + r] /= sum;
        const T* x = h(t, r);
        T* y = &context[r * H];
#pragma omp simd
        for (int j = 0; j < H; ++j) y[j] += weight * x[j];
      }
    }
  }

  void attend_backward(const Weights<T>& w) {
    const int H = s.units, A = attention_dim;
    for (int r = 0; r < rows; ++r) {
      const T* g_row = &dcontext[r * H];
      T mean = 0;
      for (int t = 0; t < s.steps; ++t) {
        const T weight = a[t * rows + r];
        const T* h_row = h(t, r);
        T* dh_row = &dh[(t * rows + r) * H];
        T product = 0;
#pragma omp simd reduction(+ : product)
        for (int j = 0; j < H; ++j) {
          product += g_row[j] * h_row[j];
          dh_row[j] = weight * g_row[j];
        }
        da[t * rows + r] = product;
        mean += weight * product;
      }
      for (int n = r; n < all; n += rows) da[n] = a[n] * (da[n] - mean);
    }
    T du[attention_dim] = {}, db[attention_dim] = {};
    for (int n = 0; n < all; ++n) {
      T* e_row = &e[n * A];
#pragma omp simd
      for (int j = 0; j < A; ++j) {  // the gradient of h W + b goes where e was
        du[j] += da[n] * e_row[j];
        e_row[j] = da[n] * w.score[j] * (1 - e_row[j] * e_row[j]);
        db[j] += e_row[j];
      }
    }
    std::copy_n(du, A, g.score);
    std::copy_n(db, A, g.score_bias);
    gemm(transposed, as_is, H, A, all, state(1), stride, e.data(), A, 0, g.score_kernel, A);
    gemm(as_is, transposed, all, H, A, e.data(), A, w.score_kernel, A, 1, dh.data(), H);
  }

  double classify(const Weights<T>& w) {
    const int H = s.units, C = s.classes;
    for (int r = 0; r < rows; ++r) std::copy_n(w.dense_bias, C, &p[r * C]);
    gemm(as_is, as_is, rows, C, H, context.data(), H, w.dense_kernel, C, 1, p.data(), C);
    double loss = 0;
    for (int r = 0; r < rows; ++r) {
      T *row = &p[r * C], largest = *std::max_element(row, row + C), sum = 0;
      for (int i = 0; i < C; ++i) sum += row[i] = std::exp(row[i] - largest);
      for (int i = 0; i < C; ++i) row[i] /= sum;
      loss -= std::log(row[label[r]]);
    }
    return loss;
  }

  void classify_backward(const Weights<T>& w, T scale) {
    const int H = s.units, C = s.classes;
    std::fill_n(g.dense_bias, C, T(0));
    for (int r = 0; r < rows; ++r)
      for (int i = 0; i < C; ++i) {
        T& value = p[r * C + i];
        g.dense_bias[i] += value = scale * (value - T(i == label[r]));
      }
    gemm(transposed, as_is, H, C, rows, context.data(), H, p.data(), C, 0, g.dense_kernel, C);
    gemm(as_is, transposed, rows, H, C, p.data(), C, w.dense_kernel, C, 0, dcontext.data(), H);
  }
};

template <class T>
class Model {
 public:
  Weights<T> w;

  explicit Model(const Sizes& sizes)
      : w(sizes),
        s(sizes),
        threads(std::min(omp_get_max_threads(), s.batch)),
        m(w.data.size()),
        v(w.data.size()),
        kernel(s.units + s.inputs + 1, 4 * s.units),
        recurrent_transposed(4 * s.units, s.units) {
    for (int i = 0; i < threads; ++i)
      shards.emplace_back(s, part(s.batch, i + 1) - part(s.batch, i));
    std::mt19937 random(2);
    std::normal_distribution<double> normal(0, 0.08);
    for (T& value : w.data) value = T(normal(random));
  }

  /// The mean loss of a batch of samples. The shards keep the gradients; one step of Adam follows
  /// if `update`.
  double step(const Data<T>& data, const int* samples, bool update = true) {
    const int H = s.units, tile = Packed<T>::width;
    double loss = 0;
#pragma omp parallel num_threads(threads) reduction(+ : loss)
    {
#if defined(__SSE2__)
      _mm_setcsr(_mm_getcsr() | 0x8040);  // denormals are zero
#endif
      const int i = omp_get_thread_num();
      Shard<T>& shard = shards[i];
      kernel.pack(w.kernel, 4 * H, 1, part(4 * H / tile, i), part(4 * H / tile, i + 1));
      recurrent_transposed.pack(w.kernel, 1, 4 * H, part(H / tile, i), part(H / tile, i + 1));
      shard.gather(data, samples + part(s.batch, i));
#pragma omp barrier
      loss += shard.forward(w, kernel);
      shard.backward(w, recurrent_transposed, T(1) / s.batch);
#pragma omp barrier
      if (update) adam(i);
    }
    updates += update;
    return loss / s.batch;
  }

  std::vector<T> gradients() const {
    std::vector<T> sum(w.data.size());
    for (const Shard<T>& shard : shards)
      for (std::size_t n = 0; n < sum.size(); ++n) sum[n] += shard.g.data[n];
    return sum;
  }

 private:
  const Sizes s;
  const int threads;
  int updates = 0;
  Buffer<T> m, v;
  Packed<T> kernel, recurrent_transposed;
  std::deque<Shard<T>> shards;

  // Where thread i's part of `length` begins.
  int part(int length, int i) const { return length * i / threads; }

  void adam(int i) {
    const T rate =
        T(1e-3 * std::sqrt(1 - std::pow(0.999, updates + 1)) / (1 - std::pow(0.9, updates + 1)));
    const int vectors = static_cast<int>(m.size()) / lanes<T>;
    for (int n = part(vectors, i) * lanes<T>; n < part(vectors, i + 1) * lanes<T>; n += lanes<T>) {
      Vec<T> g(T(0));
      for (const Shard<T>& shard : shards) g += load(&shard.g.data[n]);
      auto new_m = load(&m[n]) + (g - load(&m[n])) * T(0.1);
      auto new_v = load(&v[n]) + (g * g - load(&v[n])) * T(0.001);
      new_m.store_aligned(&m[n]);
      new_v.store_aligned(&v[n]);
      (load(&w.data[n]) - rate * new_m / (xsimd::sqrt(new_v) + T(1e-7))).store_aligned(&w.data[n]);
    }
  }
};

}  // namespace limit
