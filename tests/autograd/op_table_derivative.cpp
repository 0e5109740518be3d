// Derivatives by tape, and by central differences to compare them with.

#include <optional>

#include "op_table.h"

namespace keratin::test {
namespace {

bool real(const Tensor& x) { return x.defined() && is_floating(x.dtype()); }

Inputs only_real(const Inputs& x) {
  Inputs y;
  for (const Tensor& input : x)
    if (real(input)) y.push_back(input);
  return y;
}

// d/dh sum(weights * f(x + h e_j)) at h = 0, for each element j of each float input, by
// (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12h, whose error is of order h^4.
Inputs differences(const std::function<Inputs(const Inputs&)>& f, const Inputs& x,
                   const Inputs& weights) {
  constexpr double h = 5e-4;
  std::vector<std::vector<double>> w;
  for (const Tensor& weight : weights) w.push_back(weight.to_vector<double>());
  Inputs moved, slopes;
  for (const Tensor& input : x) moved.push_back(input.copy());
  for (Tensor& input : moved) {
    if (!real(input)) continue;
    std::vector<double> slope;
    Tensor elements = input.reshape({-1});  // a view
    for (std::int64_t j = 0; j < input.numel(); ++j) {
      const double before = elements.item(j);
      Real sum = 0;
      for (auto [step, factor] : {std::pair{h, 8.0}, {-h, -8.0}, {2 * h, -1.0}, {-2 * h, 1.0}}) {
        elements[j].assign(before + step);
        Inputs y = f(moved);
        for (std::size_t k = 0; k < y.size(); ++k) {
          std::vector<double> values = y[k].to_vector<double>();
          for (std::size_t i = 0; i < values.size(); ++i)
            sum += static_cast<Real>(factor * w[k][i]) * values[i];
        }
      }
      elements[j].assign(before);
      slope.push_back(static_cast<double>(sum / (12 * h)));
    }
    slopes.push_back(tensor(slope, input.shape()));
  }
  return slopes;
}

}  // namespace

Inputs gradients(const std::function<Tensor(const Inputs&)>& call, const Inputs& x,
                 const Tensor& cotangent, bool recorded) {
  std::optional<GradientTape> outer;
  if (recorded) {
    outer.emplace();
    for (const Tensor& input : only_real(x)) outer->watch(input);
  }
  Inputs g;
  {
    GradientTape tape;
    for (const Tensor& input : only_real(x)) tape.watch(input);
    Tensor y = call(x);
    if (!tape.follows(y))
      for (const Tensor& input : only_real(x)) g.push_back(zeros_like(input));
    else
      g = recorded ? tape.gradient(y, only_real(x), cotangent)
                   : std::move(tape).gradient(y, only_real(x), cotangent);
  }
  Inputs all;
  auto next = g.begin();
  for (const Tensor& input : x) all.push_back(real(input) ? *next++ : Tensor());
  return all;
}

void check_derivatives(const std::string& what, const std::function<Tensor(const Inputs&)>& call,
                       const Inputs& x) {
  constexpr Tolerance close{.relative = 1e-6, .floor = 1e-3};
  Tensor cotangent = random_like(call(x), 7);
  auto value = [&](const Inputs& at) { return Inputs{call(at)}; };
  auto slope = [&](const Inputs& at) { return only_real(gradients(call, at, cotangent)); };

  Inputs g = slope(x);
  Inputs expected = differences(value, x, {cotangent});
  for (std::size_t i = 0; i < g.size(); ++i)
    check(what + ": first derivative, input " + std::to_string(i), g[i], expected[i], close);

  Inputs weights;
  for (std::size_t i = 0; i < g.size(); ++i)
    weights.push_back(random_like(g[i], static_cast<unsigned>(11 + i)));
  expected = differences(slope, x, weights);
  Inputs watched = only_real(x), second;
  {
    GradientTape outer;
    for (const Tensor& input : watched) outer.watch(input);
    Inputs first;
    {
      GradientTape inner;
      for (const Tensor& input : watched) inner.watch(input);
      Tensor y = call(x);
      if (!inner.follows(y)) return;
      first = inner.gradient(y, watched, cotangent);
    }
    second = outer.gradient(first, watched, weights);
    for (std::size_t i = 0; i < first.size(); ++i)
      check(what + ": recorded backward pass, input " + std::to_string(i), first[i], g[i],
            {.relative = 1e-12, .floor = 1});
  }
  for (std::size_t i = 0; i < second.size(); ++i)
    check(what + ": second derivative, input " + std::to_string(i), second[i], expected[i], close);
}

}  // namespace keratin::test
