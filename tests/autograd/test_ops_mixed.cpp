// Every op of several operands with operands of several dtypes: the dtype of the result by the rule
// of autograd/ops.h, its values by the table's reference, and gradients that have the dtypes and
// shapes of their inputs and the values that the same op gives in float64 throughout.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "op_table.h"

TEST_SUITE_BEGIN("autograd");

namespace keratin::test {
namespace {

/// What an operand may be: a tensor of one of the dtypes, or a plain number.
struct Kind {
  DType dtype;
  bool number = false;
};

bool is_real(const Domain& domain) { return domain.dtype == float64; }

const Domain& domain_of(const Case& c, std::size_t input) {
  return c.traits.domains[std::min(input, c.traits.domains.size() - 1)];
}

/// Whether the result is a boolean, whatever the dtypes of the operands.
bool is_question(const Case& c) {
  return !c.traits.differentiable && c.call(samples(c, float64)).dtype() == boolean;
}

/// The kinds that an operand is tried in.
std::vector<Kind> kinds_of(const Case& c, std::size_t input) {
  const Domain& domain = domain_of(c, input);
  if (is_question(c)) {
    std::vector<Kind> kinds = {{float32}, {float64}, {int32}};
    if (domain.dtype == boolean) kinds.push_back({boolean});
    if (c.shapes[input].rank() == 0) kinds.push_back({int32, true});
    return kinds;
  }
  if (!is_real(domain)) return {{domain.dtype}};
  std::vector<Kind> kinds = {{float32}, {float64}};
  if (c.shapes[input].rank() == 0)
    for (DType dtype : {float64, int32}) kinds.push_back({dtype, true});
  // What slice_update replaces a block in decides the dtype.
  if (c.op == "slice_update" && input == 0) return kinds;
  kinds.push_back({int32});
  if (c.traits.whole) kinds.push_back({boolean});
  return kinds;
}

/// The sample as that kind, or whole numbers from 1 on where the kind is an integer.
Tensor as_kind(const Tensor& sample, const Kind& kind, bool real) {
  Tensor x = sample;
  if (real && kind.dtype == int32) x = floor(abs(x)) + 1;
  if (real && kind.dtype == boolean) x = (x > 0).astype(sample.dtype());
  if (!kind.number) return x.astype(kind.dtype);
  return kind.dtype == int32 ? Tensor(static_cast<int>(x.item())) : Tensor(x.item());
}

/// The rule: tensors decide, and of them the larger dtype; plain numbers follow, but one with a
/// fraction makes floats of integers.
DType expected_dtype(const Case& c, const std::vector<Kind>& kinds) {
  if (is_question(c)) return boolean;
  if (c.op == "slice_update") return kinds[0].dtype;
  if (c.op == "searchsorted") return int32;
  DType dtype = boolean;
  for (std::size_t i = 0; i < kinds.size(); ++i)
    if (is_real(domain_of(c, i)) && !kinds[i].number) dtype = promote(dtype, kinds[i].dtype);
  return is_floating(dtype) ? dtype : floatx();
}

/// Calls f with each mix of kinds in which a tensor of floats takes part.
template <class F>
void for_mixes(const Case& c, const F& f) {
  std::vector<std::vector<Kind>> choices;
  for (std::size_t i = 0; i < c.shapes.size(); ++i) choices.push_back(kinds_of(c, i));
  std::vector<std::size_t> chosen(choices.size(), 0);
  for (;;) {
    std::vector<Kind> mix;
    bool any = false;
    for (std::size_t i = 0; i < choices.size(); ++i) {
      mix.push_back(choices[i][chosen[i]]);
      bool counts = is_question(c) || is_real(domain_of(c, i));
      any |= counts && !mix[i].number && is_floating(mix[i].dtype);
    }
    if (any) f(mix);
    std::size_t i = 0;
    while (i < chosen.size() && ++chosen[i] == choices[i].size()) chosen[i++] = 0;
    if (i == chosen.size()) return;
  }
}

/// The op has several operands whose dtypes may differ.
bool is_mixable(const Case& c) {
  std::size_t real = 0;
  for (std::size_t i = 0; i < c.shapes.size(); ++i) real += is_real(domain_of(c, i));
  return real > 1 || (c.shapes.size() > 1 && is_question(c));
}

std::string name_of_mix(const Case& c, const std::vector<Kind>& mix) {
  std::string text = c.name() + " of";
  for (const Kind& kind : mix)
    text += (kind.number ? " plain " : " ") + std::string(name_of(kind.dtype));
  return text;
}

Inputs in_float64(const Inputs& x) {
  Inputs y;
  for (const Tensor& input : x)
    y.push_back(is_floating(input.dtype()) ? input.astype(float64) : input);
  return y;
}

/// The gradients of the sum of all first gradients, each weighted.
Inputs second_gradients(const std::function<Tensor(const Inputs&)>& call, const Inputs& x,
                        const Tensor& cotangent) {
  std::vector<Tensor> real;
  for (const Tensor& input : x)
    if (is_floating(input.dtype())) real.push_back(input);
  GradientTape outer;
  for (const Tensor& input : real) outer.watch(input);
  Tensor total = sum(real[0]) * 0;
  {
    GradientTape inner;
    for (const Tensor& input : real) inner.watch(input);
    Inputs first = inner.gradient(call(x), real, cotangent);
    for (std::size_t i = 0; i < first.size(); ++i)
      total += sum(first[i] * random_like(first[i], static_cast<unsigned>(i) + 3));
  }
  return outer.gradient(total, real);
}

void check_gradients(const std::string& what, const Case& c, const Inputs& x, const Tensor& y) {
  Tensor cotangent = random_like(y, 5).astype(float32);
  Inputs wide = in_float64(x);
  bool narrow = std::ranges::any_of(x, [](const Tensor& t) { return t.dtype() == float32; });
  Tolerance close = narrow ? Tolerance{.floor = 1, .ulps = 64} : Tolerance{1e-12, 1};
  for (bool recorded : {false, true}) {
    Inputs g = gradients(c.call, x, cotangent, recorded);
    Inputs expected = gradients(c.call, wide, cotangent, recorded);
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (!g[i].defined()) continue;
      std::string which = what + ": gradient of input " + std::to_string(i);
      check(which + " has its dtype", g[i].dtype() == x[i].dtype());
      check(which, g[i], array_of(expected[i]), close);
    }
  }
  Inputs g = second_gradients(c.call, x, cotangent);
  Inputs expected = second_gradients(c.call, wide, cotangent);
  close.ulps *= 4;
  for (std::size_t i = 0; i < g.size(); ++i)
    check(what + ": second gradient " + std::to_string(i), g[i], array_of(expected[i]), close);
}

}  // namespace

TEST_CASE("every op of several operands takes them in several dtypes") {
  for (const Case& c : op_table()) {
    if (!is_mixable(c)) continue;
    Inputs sample = samples(c, float64);
    for_mixes(c, [&](const std::vector<Kind>& mix) {
      Inputs x;
      Arrays arrays;
      for (std::size_t i = 0; i < mix.size(); ++i) {
        x.push_back(as_kind(sample[i], mix[i], is_real(domain_of(c, i))));
        arrays.push_back(array_of(x[i]));
      }
      std::string what = name_of_mix(c, mix);
      Tensor y = c.call(x);
      check(what + ": the dtype is " + std::string(name_of(y.dtype())),
            y.dtype() == expected_dtype(c, mix));
      // Whole numbers are larger than the samples are.
      Tolerance close{.floor = c.traits.floor, .ulps = 2 * c.traits.ulps};
      if (y.dtype() == float64) close = {.relative = 1e-12, .floor = c.traits.floor};
      check(what, y, c.reference(arrays), close);
      if (c.traits.differentiable) check_gradients(what, c, x, y);
    });
  }
}

TEST_CASE("the gradient goes through a stack of a float32 tensor and a plain number") {
  Tensor w = tensor({0.2, 0.4});
  GradientTape tape;
  tape.watch(w);
  Tensor m = exp(sum(w)), s = stack({m, 2.0});
  CHECK(s.dtype() == float32);
  std::vector<Tensor> g = tape.gradient(sum(square(s)), {m, w});
  double e = std::exp(0.6);
  check("by m", g[0], tensor({2 * e}).reshape({}), {.relative = 1e-6});
  check("by w", g[1], tensor({2 * e * e, 2 * e * e}), {.relative = 1e-6});
}

TEST_CASE("the gradient goes through stacks and concatenations of both float types") {
  for (auto [first, second] : {std::pair{float32, float64}, {float64, float32}}) {
    Tensor a = tensor({0.5, 1.0, -1.0}, first), b = tensor({3, 4, 5}, second);
    for (bool stacked : {false, true}) {
      GradientTape tape;
      tape.watch(a);
      Tensor x = exp(a), y = stacked ? stack({x, b}) : concatenate({x, b});
      CHECK(y.dtype() == float64);
      Tensor g = std::move(tape).gradient(sum(square(y)), a);
      check("by a", g, tensor({2 * std::exp(1.0), 2 * std::exp(2.0), 2 * std::exp(-2.0)}, first),
            {.relative = 1e-6});
    }
  }
}

TEST_CASE("a float64 constant beside the output of a layer leaves its gradient as it is") {
  Tensor x = tensor({{1, 2}, {3, 4}, {5, 6}}), kernel = tensor({{0.1, -0.2}, {0.3, 0.4}});
  Tensor bias = zeros({2});
  auto slopes = [&](DType dtype) {
    Tensor constant = full({3, 1}, 0.5, dtype);
    GradientTape tape;
    tape.watch(kernel);
    tape.watch(bias);
    Tensor y = concatenate({tanh(linear(x, kernel, bias)), constant});
    return std::move(tape).gradient(sum(square(y)), {kernel, bias});
  };
  std::vector<Tensor> g = slopes(float64), expected = slopes(float32);
  for (std::size_t i = 0; i < 2; ++i)
    check("gradient " + std::to_string(i), g[i], expected[i], {.relative = 1e-5});
}

TEST_CASE("what joins only integers, booleans or plain numbers") {
  Tensor i = tensor({1, 2}, int32), b = tensor({0, 1}, boolean);
  CHECK(concatenate({b, b}).dtype() == boolean);
  CHECK(concatenate({i, b}).dtype() == int32);
  CHECK(stack({i[0], 2}).dtype() == int32);
  CHECK(stack({b[0], 2}).dtype() == int32);
  CHECK(stack({i[0], 0.5}).dtype() == floatx());
  CHECK(stack({1.0, 2.0}).dtype() == floatx());
}

}  // namespace keratin::test

TEST_SUITE_END();
