// Reductions over the middle axis of a dense array (outer, n, inner), and softmax. Compiled like
// core/cpu/loops.h: for batches of floats and for plain numbers. The order in which numbers are
// added depends on the sizes only.
#pragma once

#include <keratin/core/cpu/loops.h>
#include <keratin/core/reduction.h>

namespace keratin::cpu {

/// Reduces columns [0, inner) of `outer` blocks of n rows that lie `row` elements apart; outputs of
/// successive blocks lie `row` apart too.
using ReduceFunction = void (*)(void* out, const void* in, std::int64_t outer, std::int64_t n,
                                std::int64_t inner, std::int64_t row);
/// y = softmax (or its logarithm) over the middle axis; rows lie `inner` apart.
using SoftmaxFunction = void (*)(void* y, const void* x, std::int64_t outer, std::int64_t n,
                                 std::int64_t inner, bool log);
/// gx from y and gy.
using SoftmaxGradientFunction = void (*)(void* gx, const void* y, const void* gy,
                                         std::int64_t outer, std::int64_t n, std::int64_t inner,
                                         bool log);

template <Reduction op>
constexpr double neutral = op == Reduction::sum   ? 0.0
                           : op == Reduction::max ? -__builtin_inf()
                                                  : __builtin_inf();

template <Reduction op, class T>
T combine(const T& x, const T& y) {
  using namespace fn;
  if constexpr (op == Reduction::sum)
    return x + y;
  else if constexpr (op == Reduction::max)
    return maximum(x, y);
  else
    return minimum(x, y);
}

/// All lanes of one batch, from left to right.
template <Reduction op, class Lane>
double across(const typename Lane::Number& x) {
  typename Lane::Stored lanes[Lane::width];
  Lane::store(lanes, 1, x, Lane::width);
  double result = static_cast<double>(lanes[0]);
  for (int i = 1; i < Lane::width; ++i) result = combine<op>(result, static_cast<double>(lanes[i]));
  return result;
}

/// One row of n neighbours, mapped first.
template <Reduction op, class Lane, class Map>
double reduce_row(std::int64_t n, const Map& map) {
  using Number = typename Lane::Number;
  constexpr int W = Lane::width;
  Number a(neutral<op>), b(neutral<op>), c(neutral<op>), d(neutral<op>);
  std::int64_t j = 0;
  for (; j + 4 * W <= n; j += 4 * W) {
    a = combine<op>(a, map(j, W));
    b = combine<op>(b, map(j + W, W));
    c = combine<op>(c, map(j + 2 * W, W));
    d = combine<op>(d, map(j + 3 * W, W));
  }
  for (; j + W <= n; j += W) a = combine<op>(a, map(j, W));
  if (j < n) b = combine<op>(b, map(j, n - j));
  return across<op, Lane>(combine<op>(combine<op>(a, b), combine<op>(c, d)));
}

template <class Lane>
typename Lane::Number load_some(const typename Lane::Stored* p, std::int64_t n, double rest) {
  return n == Lane::width ? Lane::load(p, 1) : Lane::load_part(p, 1, n, rest);
}

template <Reduction op, class Lane>
void reduce(void* out, const void* in, std::int64_t outer, std::int64_t n, std::int64_t inner,
            std::int64_t row) {
  using Stored = typename Lane::Stored;
  using Number = typename Lane::Number;
  constexpr int W = Lane::width;
  auto* y = static_cast<Stored*>(out);
  auto* x = static_cast<const Stored*>(in);
  for (std::int64_t o = 0; o < outer; ++o, x += n * row, y += row) {
    if (row == 1) {
      auto map = [&](std::int64_t j, std::int64_t m) {
        return load_some<Lane>(x + j, m, neutral<op>);
      };
      double r = reduce_row<op, Lane>(n, map);
      Plain<Stored>::store(y, 1, r, 1);
      continue;
    }
    std::int64_t j = 0;
    for (; j + 4 * W <= inner; j += 4 * W) {
      Number s[4] = {neutral<op>, neutral<op>, neutral<op>, neutral<op>};
      for (std::int64_t i = 0; i < n; ++i)
        for (int k = 0; k < 4; ++k)
          s[k] = combine<op>(s[k], Lane::load(x + i * row + j + k * W, 1));
      for (int k = 0; k < 4; ++k) Lane::store(y + j + k * W, 1, s[k], W);
    }
    for (; j < inner; j += W) {
      std::int64_t m = inner - j < W ? inner - j : W;
      Number s(neutral<op>);
      for (std::int64_t i = 0; i < n; ++i)
        s = combine<op>(s, load_some<Lane>(x + i * row + j, m, 0));
      Lane::store(y + j, 1, s, m);
    }
  }
}

// Three walks over a row. The first finds the largest element, so that exp never overflows. The
// second adds up the exponentials. The third scales them. A row of nothing but -inf has no largest
// element to compare with: its softmax is defined as zeros, the logarithm as -inf.
template <class Number>
Number safe_maximum(const Number& m) {
  return where(m == Number(-__builtin_inf()), Number(0.0), m);
}
inline double safe_maximum(double m) { return m == -__builtin_inf() ? 0.0 : m; }

template <class Lane>
void softmax(void* out, const void* in, std::int64_t outer, std::int64_t n, std::int64_t inner,
             bool log_form) {
  using namespace fn;
  using Stored = typename Lane::Stored;
  using Number = typename Lane::Number;
  constexpr int W = Lane::width;
  constexpr double lowest = neutral<Reduction::max>;
  auto* y = static_cast<Stored*>(out);
  auto* x = static_cast<const Stored*>(in);
  for (std::int64_t o = 0; o < outer; ++o, x += n * inner, y += n * inner) {
    if (inner == 1) {
      double top = safe_maximum(reduce_row<Reduction::max, Lane>(
          n, [&](std::int64_t j, std::int64_t m) { return load_some<Lane>(x + j, m, lowest); }));
      double sum = reduce_row<Reduction::sum, Lane>(n, [&](std::int64_t j, std::int64_t m) {
        Number e = exp(load_some<Lane>(x + j, m, lowest) - Number(top));
        if (!log_form) Lane::store(y + j, 1, e, m);
        return e;
      });
      double offset = sum == 0 ? 0.0 : top + log(sum);
      Number scale(sum == 0 ? 0.0 : 1 / sum);
      for (std::int64_t j = 0; j < n; j += W) {
        std::int64_t m = n - j < W ? n - j : W;
        Number value = log_form ? load_some<Lane>(x + j, m, 0) - Number(offset)
                                : load_some<Lane>(y + j, m, 0) * scale;
        Lane::store(y + j, 1, value, m);
      }
      continue;
    }
    for (std::int64_t j = 0; j < inner; j += W) {
      std::int64_t m = inner - j < W ? inner - j : W;
      Number top(lowest), sum(0.0);
      for (std::int64_t i = 0; i < n; ++i)
        top = maximum(top, load_some<Lane>(x + i * inner + j, m, 0));
      top = safe_maximum(top);
      for (std::int64_t i = 0; i < n; ++i) {
        Number e = exp(load_some<Lane>(x + i * inner + j, m, 0) - top);
        if (!log_form) Lane::store(y + i * inner + j, 1, e, m);
        sum = sum + e;
      }
      Number offset = where(sum == Number(0.0), Number(0.0), top + log(sum));
      Number scale = where(sum == Number(0.0), Number(0.0), Number(1.0) / sum);
      for (std::int64_t i = 0; i < n; ++i) {
        std::int64_t at = i * inner + j;
        Number value = log_form ? load_some<Lane>(x + at, m, 0) - offset
                                : load_some<Lane>(y + at, m, 0) * scale;
        Lane::store(y + at, 1, value, m);
      }
    }
  }
}

// softmax: gx = y (gy - sum(gy y)). Its logarithm: gx = gy - e^y sum(gy).
// Where the largest y of the logarithm is -inf, the row is nothing but -inf, and gx is 0.
template <class Lane>
void softmax_gradient(void* out, const void* output, const void* upstream, std::int64_t outer,
                      std::int64_t n, std::int64_t inner, bool log_form) {
  using namespace fn;
  using Stored = typename Lane::Stored;
  using Number = typename Lane::Number;
  constexpr int W = Lane::width;
  constexpr double lowest = neutral<Reduction::max>;
  auto* gx = static_cast<Stored*>(out);
  auto* y = static_cast<const Stored*>(output);
  auto* g = static_cast<const Stored*>(upstream);
  for (std::int64_t o = 0; o < outer; ++o, gx += n * inner, y += n * inner, g += n * inner) {
    auto term = [&](std::int64_t at, std::int64_t m) {
      Number gy = load_some<Lane>(g + at, m, 0);
      return log_form ? gy : gy * load_some<Lane>(y + at, m, 0);
    };
    auto write = [&](std::int64_t at, std::int64_t m, const Number& sum, const Number& top) {
      Number gy = load_some<Lane>(g + at, m, 0), v = load_some<Lane>(y + at, m, 0);
      Number value =
          log_form ? where(top == Number(lowest), Number(0.0), gy - exp(v) * sum) : v * (gy - sum);
      Lane::store(gx + at, 1, value, m);
    };
    if (inner == 1) {
      Number sum(reduce_row<Reduction::sum, Lane>(n, term)), top(0.0);
      if (log_form)
        top = Number(reduce_row<Reduction::max, Lane>(
            n, [&](std::int64_t j, std::int64_t m) { return load_some<Lane>(y + j, m, lowest); }));
      for (std::int64_t j = 0; j < n; j += W) write(j, n - j < W ? n - j : W, sum, top);
      continue;
    }
    for (std::int64_t j = 0; j < inner; j += W) {
      std::int64_t m = inner - j < W ? inner - j : W;
      Number sum(0.0), top(log_form ? lowest : 0.0);
      for (std::int64_t i = 0; i < n; ++i) sum = sum + term(i * inner + j, m);
      for (std::int64_t i = 0; i < n && log_form; ++i)
        top = maximum(top, load_some<Lane>(y + i * inner + j, m, 0));
      for (std::int64_t i = 0; i < n; ++i) write(i * inner + j, m, sum, top);
    }
  }
}

}  // namespace keratin::cpu
