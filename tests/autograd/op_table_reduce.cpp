// The table's reductions and what works along one axis.

#include <algorithm>
#include <cmath>
#include <numeric>

#include "op_table.h"

namespace keratin::test {
namespace {

using Run = std::vector<Real>;
using Reduce = Tensor (*)(const Tensor&, const Axes&, bool);
using OfRun = Real (*)(const Run&);

struct Reduction {
  const char* op;
  Reduce call;
  OfRun of_run;
  Traits traits;
  bool of_nothing = true;  // whether an empty run has a result
};

Real sum_of(const Run& x) { return std::accumulate(x.begin(), x.end(), Real(0)); }
Real mean_of(const Run& x) { return sum_of(x) / static_cast<Real>(x.size()); }
Real var_of(const Run& x) {
  Real mean = mean_of(x), sum = 0;
  for (Real v : x) sum += (v - mean) * (v - mean);
  return sum / static_cast<Real>(x.size());
}
Real log_sum_exp(const Run& x) {
  Real sum = 0;
  for (Real v : x) sum += std::exp(v);
  return std::log(sum);
}
Real norm_of(const Run& x) {
  Real sum = 0;
  for (Real v : x) sum += v * v;
  return std::sqrt(sum);
}
Real product_of(const Run& x) {
  return std::accumulate(x.begin(), x.end(), Real(1), std::multiplies<Real>());
}
Real first_largest(const Run& x) {
  return static_cast<Real>(std::max_element(x.begin(), x.end()) - x.begin());
}
Real first_smallest(const Run& x) {
  return static_cast<Real>(std::min_element(x.begin(), x.end()) - x.begin());
}

const std::vector<Reduction>& reductions() {
  static const std::vector<Reduction> all_of_them = {
      {"sum", sum, sum_of, {.ulps = 4, .floor = 4, .whole = true}},
      {"mean", mean, mean_of, {.ulps = 4, .floor = 2}},
      {"max",
       max,
       [](const Run& x) { return *std::max_element(x.begin(), x.end()); },
       {.whole = true},
       false},
      {"min",
       min,
       [](const Run& x) { return *std::min_element(x.begin(), x.end()); },
       {.whole = true},
       false},
      {"prod", prod, product_of, {.domains = {{0.4, 1.6}}, .ulps = 8, .whole = true}},
      {"var", var, var_of, {.ulps = 4, .floor = 1}},
      {"std", std, [](const Run& x) { return std::sqrt(var_of(x)); }, {.ulps = 4, .floor = 1}},
      {"logsumexp", logsumexp, log_sum_exp, {.ulps = 4, .floor = 2}},
      {"norm", norm, norm_of, {.ulps = 4}},
      {"any",
       any,
       [](const Run& x) -> Real {
         return std::any_of(x.begin(), x.end(), [](Real v) { return v != 0; });
       },
       {.domains = {{-1, 1, int32}}, .differentiable = false}},
      {"all",
       [](const Tensor& x, const Axes& axes, bool keepdims) { return all(x, axes, keepdims); },
       [](const Run& x) -> Real {
         return std::all_of(x.begin(), x.end(), [](Real v) { return v != 0; });
       },
       {.domains = {{-1, 1, int32}}, .differentiable = false}},
  };
  return all_of_them;
}

Case reduction(const Reduction& r, const Shape& shape, const Axes& axes, bool keepdims) {
  std::string variant = axes.all() ? "of everything" : "over";
  for (int axis : axes.list()) variant += " " + std::to_string(axis);
  if (keepdims) variant += " keepdims";
  return {r.op,
          variant,
          {shape},
          [call = r.call, axes, keepdims](const Inputs& x) { return call(x[0], axes, keepdims); },
          [of_run = r.of_run, axes, keepdims](const Arrays& x) {
            return fold(x[0], axes, keepdims, of_run);
          },
          r.traits};
}

struct Extent {
  Shape shape;
  Axes axes;
  bool keepdims;
};

void add_reductions(std::vector<Case>& cases, const std::vector<Extent>& extents) {
  for (const Reduction& r : reductions()) {
    for (const auto& [shape, axes, keepdims] : extents) {
      std::int64_t n = 1;
      for (int axis = 0; axis < shape.rank(); ++axis) {
        const auto& list = axes.list();
        bool reduced = axes.all() || std::count(list.begin(), list.end(), axis) > 0 ||
                       std::count(list.begin(), list.end(), axis - shape.rank()) > 0;
        if (reduced) n *= shape[axis];
      }
      if (n == 0 && !r.of_nothing) continue;
      cases.push_back(reduction(r, shape, axes, keepdims));
    }
  }
}

Case arg(const char* op, const Shape& shape, int axis, bool keepdims) {
  bool largest = std::string(op) == "argmax";
  return {op,
          "axis " + std::to_string(axis) + (keepdims ? " keepdims" : ""),
          {shape},
          [=](const Inputs& x) {
            return largest ? argmax(x[0], axis, keepdims) : argmin(x[0], axis, keepdims);
          },
          [=](const Arrays& x) {
            return fold(x[0], axis, keepdims, largest ? first_largest : first_smallest);
          },
          {.differentiable = false}};
}

Case arg_of_all(const char* op, const Shape& shape, bool keepdims) {
  bool largest = std::string(op) == "argmax";
  return {
      op,
      keepdims ? "of everything keepdims" : "of everything",
      {shape},
      [=](const Inputs& x) { return largest ? argmax(x[0], keepdims) : argmin(x[0], keepdims); },
      [=](const Arrays& x) {
        return fold(x[0], {}, keepdims, largest ? first_largest : first_smallest);
      },
      {.differentiable = false}};
}

Run running_sums(const Run& x) {
  Run y(x.size());
  std::partial_sum(x.begin(), x.end(), y.begin());
  return y;
}
Run running_products(const Run& x) {
  Run y(x.size());
  std::partial_sum(x.begin(), x.end(), y.begin(), std::multiplies<Real>());
  return y;
}
Run in_order(Run x) {
  std::sort(x.begin(), x.end());
  return x;
}
Run places_in_order(const Run& x) {
  Run y(x.size());
  std::iota(y.begin(), y.end(), Real(0));
  std::stable_sort(y.begin(), y.end(), [&](Real i, Real j) {
    return x[static_cast<std::size_t>(i)] < x[static_cast<std::size_t>(j)];
  });
  return y;
}
Run soft_maximum(const Run& x) {
  Run y;
  Real total = log_sum_exp(x);
  for (Real v : x) y.push_back(std::exp(v - total));
  return y;
}
Run log_soft_maximum(const Run& x) {
  Run y;
  Real total = log_sum_exp(x);
  for (Real v : x) y.push_back(v - total);
  return y;
}

// By halving the interval that holds tau: what lies above it sums to less the larger it is.
Run nearest_on_simplex(const Run& x) {
  Real high = *std::max_element(x.begin(), x.end()), low = high - 1;
  for (int i = 0; i < 100; ++i) {
    Real tau = (low + high) / 2, above = 0;
    for (Real v : x) above += std::max(v - tau, Real(0));
    (above > 1 ? low : high) = tau;
  }
  Run y;
  for (Real v : x) y.push_back(std::max(v - high, Real(0)));
  return y;
}

Case axis_case(const char* op, Tensor (*call)(const Tensor&, int),
               const std::function<Run(const Run&)>& of_run, const Shape& shape, int axis,
               Traits traits) {
  return {op,
          "axis " + std::to_string(axis),
          {shape},
          [=](const Inputs& x) { return call(x[0], axis); },
          [=](const Arrays& x) { return along(x[0], axis, of_run); },
          std::move(traits)};
}

void add_axis_cases(std::vector<Case>& cases, const Shape& shape, int axis, double floor) {
  cases.push_back(axis_case("cumsum", cumsum, running_sums, shape, axis,
                            {.ulps = floor, .floor = floor, .whole = true}));
  cases.push_back(axis_case("cumprod", cumprod, running_products, shape, axis,
                            {.domains = {{0.4, 1.6}}, .ulps = 8, .whole = true}));
  cases.push_back(axis_case("sort", sort, in_order, shape, axis, {.whole = true}));
  cases.push_back(
      axis_case("argsort", argsort, places_in_order, shape, axis, {.differentiable = false}));
  cases.push_back(axis_case("softmax", softmax, soft_maximum, shape, axis, {.ulps = 6}));
  cases.push_back(axis_case("log_softmax", log_softmax, log_soft_maximum, shape, axis,
                            {.ulps = 4, .floor = 4}));
  cases.push_back(axis_case("sparsemax", sparsemax, nearest_on_simplex, shape, axis,
                            {.domains = {{-0.4, 0.4}}, .ulps = 4, .floor = 1}));
}

Case gated(const Shape& shape, int axis) {
  int a = axis < 0 ? axis + shape.rank() : axis;
  Shape to = shape.with(a, shape[a] / 2);
  return {"glu",
          "axis " + std::to_string(axis),
          {shape},
          [=](const Inputs& x) { return glu(x[0], axis); },
          [=](const Arrays& x) {
            return build(to, [&](Place place) {
              Real value = x[0].at(place);
              place[static_cast<std::size_t>(a)] += to[a];
              return value / (1 + std::exp(-x[0].at(place)));
            });
          },
          {.ulps = 6}};
}

Case norm_together(const std::vector<Shape>& shapes) {
  return {"global_norm",
          "",
          shapes,
          [](const Inputs& x) { return global_norm(x); },
          [](const Arrays& x) {
            Run everything;
            for (const Array& part : x)
              everything.insert(everything.end(), part.values.begin(), part.values.end());
            return Array{{}, {norm_of(everything)}};
          },
          {.ulps = 4}};
}

Case summing_to(const Shape& from, const Shape& to) {
  return {"sum_to",
          to.str(),
          {from},
          [to](const Inputs& x) { return sum_to(x[0], to); },
          [to](const Arrays& x) {
            Array y{to, Run(static_cast<std::size_t>(to.numel()), 0)};
            Array place_of = y;
            std::iota(place_of.values.begin(), place_of.values.end(), Real(0));
            build(x[0].shape, [&](const Place& place) {
              return y.values[static_cast<std::size_t>(place_of.at(place))] += x[0].at(place);
            });
            return y;
          },
          {.ulps = 4, .floor = 4}};
}

}  // namespace

std::vector<Case> reduce_table() {
  std::vector<Case> cases;
  add_reductions(cases, {{{}, {}, false},
                         {{1}, {}, false},
                         {{7}, 0, false},
                         {{67}, {}, true},
                         {{3, 5}, {}, false},
                         {{3, 5}, 0, false},
                         {{3, 5}, -1, true},
                         {{2, 37}, -1, false},
                         {{2, 3, 4}, {0, 2}, false},
                         {{2, 3, 4}, {-2, 0}, true},
                         {{2, 1, 3, 2}, {1, 3}, false},
                         {{2, 3, 1, 2, 2}, {0, 2, 4}, true},
                         {{3, 5}, std::vector<int>{}, false},
                         {{0}, {}, false},
                         {{3, 0}, 1, false},
                         {{0, 3}, 1, true},
                         {{0, 3, 2}, 1, false},
                         {{2, 0, 3}, {0, 2}, false}});
  for (const char* op : {"argmax", "argmin"}) {
    for (auto [shape, axis] : std::vector<std::pair<Shape, int>>{{{7}, 0},
                                                                 {{3, 5}, 0},
                                                                 {{3, 5}, -1},
                                                                 {{2, 3, 4}, 1},
                                                                 {{2, 1, 3, 2, 2}, 2},
                                                                 {{0, 3}, 1}})
      for (bool keepdims : {false, true}) cases.push_back(arg(op, shape, axis, keepdims));
    for (const Shape& shape : {Shape{}, Shape{1}, Shape{3, 5}, Shape{2, 3, 4}})
      cases.push_back(arg_of_all(op, shape, shape.rank() == 2));
  }
  for (auto [shape, axis] : std::vector<std::pair<Shape, int>>{{{1}, 0},
                                                               {{7}, 0},
                                                               {{67}, -1},
                                                               {{3, 5}, 0},
                                                               {{3, 5}, 1},
                                                               {{2, 3, 4}, 1},
                                                               {{3, 1, 2}, 1},
                                                               {{2, 1, 3, 2}, 2},
                                                               {{2, 3, 1, 2, 2}, -4},
                                                               {{0, 3}, 1},
                                                               {{3, 0}, 1},
                                                               {{3, 0}, 0}})
    add_axis_cases(cases, shape, axis, 8);
  for (auto [shape, axis] : std::vector<std::pair<Shape, int>>{{{2}, 0},
                                                               {{3, 10}, -1},
                                                               {{6, 5}, 0},
                                                               {{2, 4, 3}, 1},
                                                               {{2, 1, 3, 2}, -1},
                                                               {{0, 4}, 1},
                                                               {{3, 0}, 1}})
    cases.push_back(gated(shape, axis));
  for (auto [from, to] : std::vector<std::pair<Shape, Shape>>{{{3, 5}, {5}},
                                                              {{3, 5}, {3, 1}},
                                                              {{3, 5}, {}},
                                                              {{3, 5}, {3, 5}},
                                                              {{2, 3, 1, 4}, {3, 1, 1}},
                                                              {{2, 1, 3, 1, 2}, {1, 3, 1, 1}},
                                                              {{0, 3}, {1, 3}}})
    cases.push_back(summing_to(from, to));
  for (const auto& shapes :
       std::vector<std::vector<Shape>>{{{}}, {{7}}, {{3, 5}, {2}, {}}, {{2, 1, 3}, {0}}})
    cases.push_back(norm_together(shapes));
  return cases;
}

std::vector<Case> large_reduce_table() {
  std::vector<Case> cases;
  add_reductions(cases, {{{100001}, {}, false},
                         {{100015}, 0, true},
                         {{3, 33345}, -1, false},
                         {{331, 303}, 0, false},
                         {{7, 31, 461}, 1, false},
                         {{7, 31, 461}, {0, 2}, false}});
  // Sums of 100,000 numbers: about the square root of that many roundings, at the size of the sum
  // of magnitudes.
  for (Case& c : cases) {
    if (c.traits.ulps <= 0.5) continue;
    c.traits.ulps = 16;
    if (c.op == "sum") c.traits.floor = 1e3;
    if (c.op == "prod") c.traits.domains = {{0.98, 1.02}}, c.traits.ulps = 1e3;
  }
  for (auto [shape, axis] : std::vector<std::pair<Shape, int>>{
           {{100001}, 0}, {{3, 33345}, 1}, {{331, 303}, 0}, {{7, 31, 461}, 1}}) {
    add_axis_cases(cases, shape, axis, 400);
    for (const char* op : {"argmax", "argmin"}) cases.push_back(arg(op, shape, axis, false));
  }
  for (Case& c : cases) {
    if (c.op == "softmax") c.traits.ulps = 24;
    if (c.op == "cumprod") c.traits.domains = {{0.98, 1.02}}, c.traits.ulps = 1e3;
  }
  for (auto [shape, axis] :
       std::vector<std::pair<Shape, int>>{{{100002}, 0}, {{3, 33346}, 1}, {{332, 303}, 0}})
    cases.push_back(gated(shape, axis));
  cases.push_back(norm_together({{100001}, {331, 303}}));
  cases.back().traits.ulps = 16;
  return cases;
}

}  // namespace keratin::test
