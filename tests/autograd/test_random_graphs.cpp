// The tape's gradients of random graphs against derivatives that jets carry forward through the
// same graphs in double arithmetic (random_graph.h).
//
// KERATIN_GRAPH_BASE=n takes the graphs from seed n on, KERATIN_GRAPH_SEED=n only that one, which
// is printed.

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>

#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/sanitized.h>

#include "random_graph.h"

TEST_SUITE_BEGIN("autograd");

namespace keratin::test {
namespace {

// Sanitizers make it ten times slower.
constexpr int graph_count = sanitized ? 1000 : 10000;

// Errors allowed, relative to the sum of the magnitudes that a derivative is summed up from. In
// 40,000 graphs the largest were 5.1e-15 and 1.1e-4.
constexpr double close64 = 1e-13, close32 = 1e-3;

std::vector<const Value*> asked(const Graph& graph) {
  std::vector<const Value*> values;
  for (const Value& value : graph.values())
    if (value.asked) values.push_back(&value);
  return values;
}

struct Results {
  Tensors y, weights;  // a weight is undefined where it is 1
  Tensors x;           // what gradients are asked for
};

Results run(const Graph& graph, bool mixed, const std::function<void(const Tensor&)>& watch) {
  Tensors all = graph.run(mixed, watch);
  Results results;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Value& value = graph.values()[i];
    DType dtype = mixed ? value.dtype : float64;
    if (all[i].dtype() != dtype || all[i].shape() != value.array.shape)
      throw std::runtime_error(
          fmt::format("%{} is {} {}", i, all[i].shape().str(), name_of(all[i].dtype())));
    if (value.asked) results.x.push_back(all[i]);
  }
  for (std::size_t i = 0; i < graph.outputs().size(); ++i) {
    results.y.push_back(all[static_cast<std::size_t>(graph.outputs()[i])]);
    const std::vector<double>& w = graph.weights()[i];
    bool ones = std::ranges::all_of(w, [](double v) { return v == 1; });
    results.weights.push_back(ones ? Tensor() : tensor(w, results.y.back().shape()));
  }
  return results;
}

/// The gradients, of a tape that is kept or spent.
Tensors gradients(const Graph& graph, bool mixed, bool spend) {
  GradientTape tape;
  Results r = run(graph, mixed, [&](const Tensor& leaf) { tape.watch(leaf); });
  return spend ? std::move(tape).gradient(r.y, r.x, r.weights) : tape.gradient(r.y, r.x, r.weights);
}

/// The gradients of sum(gradients * direction a).
Tensors second_gradients(const Graph& graph, bool mixed) {
  GradientTape outer, inner;
  Results r = run(graph, mixed, [&](const Tensor& leaf) { outer.watch(leaf); });
  Tensors g = inner.gradient(r.y, r.x, r.weights);
  std::vector<const Value*> values = asked(graph);
  Tensor total = sum(r.x[0]) * 0;
  for (std::size_t i = 0; i < g.size(); ++i)
    total += sum(g[i] * tensor(values[i]->a, g[i].shape()));
  return outer.gradient(total, r.x);
}

/// The sum of gradients times directions, of which `direction` names a or b.
double along(const Graph& graph, const Tensors& g, std::vector<double> Value::*direction) {
  double sum = 0;
  std::vector<const Value*> values = asked(graph);
  for (std::size_t i = 0; i < g.size(); ++i) {
    std::vector<double> slopes = g[i].to_vector<double>();
    for (std::size_t k = 0; k < slopes.size(); ++k) sum += slopes[k] * (values[i]->*direction)[k];
  }
  return sum;
}

/// What is wrong with a derivative; empty when it is right.
std::string compare(const char* what, double got, double expected, double size, double tolerance) {
  if (std::fabs(got - expected) <= tolerance * size) return "";
  return fmt::format("{}: {:.17g}, expected {:.17g} of magnitude {:.3g}", what, got, expected,
                     size);
}

/// Whether gradients have the dtypes and shapes of what they belong to.
std::string check_kind(const Graph& graph, const Tensors& g, bool mixed) {
  std::vector<const Value*> values = asked(graph);
  for (std::size_t i = 0; i < g.size(); ++i) {
    DType dtype = mixed ? values[i]->dtype : float64;
    if (g[i].dtype() != dtype || g[i].shape() != values[i]->array.shape)
      return fmt::format("gradient {} is {} {}", i, g[i].shape().str(), name_of(g[i].dtype()));
  }
  return "";
}

/// What is wrong with the gradients of a graph; empty when nothing is.
std::string fault_of(const Graph& graph, std::uint64_t seed) {
  Jet expected = graph.total();
  bool second = seed % 10 == 0;
  for (bool mixed : {false, true}) {
    Tensors g = gradients(graph, mixed, seed % 2 == 0);
    double close = mixed ? close32 : close64;
    std::string fault = check_kind(graph, g, mixed);
    if (fault.empty())
      fault =
          compare("slope along a", along(graph, g, &Value::a), expected.a, expected.size_a, close);
    if (fault.empty())
      fault =
          compare("slope along b", along(graph, g, &Value::b), expected.b, expected.size_b, close);
    if (fault.empty() && second) {
      Tensors h = second_gradients(graph, mixed);
      fault = check_kind(graph, h, mixed);
      if (fault.empty())
        fault = compare("second derivative", along(graph, h, &Value::b), expected.ab,
                        expected.size_ab, close);
    }
    if (!fault.empty()) return (mixed ? "in mixed dtypes, " : "in float64, ") + fault;
  }
  return "";
}

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

}  // namespace

TEST_CASE("the tape's gradients of random graphs are those of forward differentiation") {
  bool single = std::getenv("KERATIN_GRAPH_SEED") != nullptr;
  std::uint64_t base = number_from("KERATIN_GRAPH_SEED", number_from("KERATIN_GRAPH_BASE", 1));
  int count = single ? 1 : graph_count, faults = 0;
  for (int i = 0; i < count && faults < 3; ++i) {
    std::uint64_t seed = base + static_cast<std::uint64_t>(i);
    Graph graph(seed);
    std::string fault;
    try {
      fault = fault_of(graph, seed);
    } catch (const std::exception& error) {
      fault = error.what();
    }
    if (single) MESSAGE(graph.str());
    if (fault.empty()) continue;
    ++faults;
    FAIL_CHECK(fault << "\nagain by KERATIN_GRAPH_SEED=" << seed << "\n" << graph.str());
  }
}

TEST_CASE("random graphs are of many ops, sizes and dtypes") {
  std::set<std::string> names;
  std::size_t ops = 0, asked_within = 0, empty = 0, mixed = 0;
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    Graph graph(seed);
    ops += graph.ops().size();
    for (const Op& op : graph.ops()) names.insert(op.name);
    std::size_t narrow = 0;
    for (const Value& value : graph.values()) {
      asked_within += value.asked && value.op >= 0;
      empty += value.array.values.empty();
      narrow += value.dtype == float32;
    }
    mixed += narrow > 0 && narrow < graph.values().size();
  }
  CHECK(names.size() > 80);
  CHECK(ops > 500 * 15);
  CHECK(asked_within > 200);
  CHECK(empty > 200);
  CHECK(mixed > 200);
}

}  // namespace keratin::test

TEST_SUITE_END();
