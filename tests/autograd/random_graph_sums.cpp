// The ops of random graphs that sum up: reductions, softmax, products of matrices.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "random_graph.h"

namespace keratin::test {
namespace {

std::size_t at(int axis) { return static_cast<std::size_t>(axis); }

// --- reductions

using Run = std::vector<Jet>;

Jet sum_of_run(const Run& x) {
  Jet sum;
  for (const Jet& jet : x) sum = sum + jet;
  return sum;
}
Jet scaled(const Jet& x, double factor) { return chain(x, x.v * factor, factor, 0); }
Jet mean_of(const Run& x) { return scaled(sum_of_run(x), 1.0 / static_cast<double>(x.size())); }
Jet var_of(const Run& x) {
  Jet mean = mean_of(x), sum;
  for (const Jet& jet : x) sum = sum + (jet - mean) * (jet - mean);
  return scaled(sum, 1.0 / static_cast<double>(x.size()));
}
Jet root(const Jet& x) {
  double r = std::sqrt(x.v);
  return chain(x, r, 0.5 / r, -0.25 / (r * x.v));
}
Jet norm_of(const Run& x) {
  Jet sum;
  for (const Jet& jet : x) sum = sum + jet * jet;
  return root(sum);
}
Jet largest_of(const Run& x) {
  return *std::ranges::max_element(x, {}, [](const Jet& jet) { return jet.v; });
}
Jet smallest_of(const Run& x) {
  return *std::ranges::min_element(x, {}, [](const Jet& jet) { return jet.v; });
}
Jet product_of(const Run& x) {
  Jet all{.v = 1};
  for (const Jet& jet : x) all = all * jet;
  return all;
}
Jet shifted_exp(const Jet& x, double shift) {
  double e = std::exp(x.v - shift);
  return chain(x, e, e, e);
}
Jet sum_of_exponentials(const Run& x, double shift) {
  Jet sum;
  for (const Jet& jet : x) sum = sum + shifted_exp(jet, shift);
  return sum;
}
Jet logsumexp_of(const Run& x) {
  double shift = largest_of(x).v;
  Jet sum = sum_of_exponentials(x, shift);
  return chain(sum, shift + std::log(sum.v), 1 / sum.v, -1 / (sum.v * sum.v));
}

// f of the elements that each place of the result is reduced from.
JetArray reduced(const JetArray& x, const std::vector<int>& axes, bool keepdims,
                 const std::function<Jet(const Run&)>& f) {
  Shape kept = x.shape, shape;
  for (int axis : axes) kept[axis] = 1;
  for (int axis = 0; axis < x.shape.rank(); ++axis)
    if (keepdims || std::ranges::find(axes, axis) == axes.end()) shape.push_back(kept[axis]);
  JetArray y = jets(kept, [&](const Place& to) {
    Run run;
    for_places(x.shape, [&](const Place& from) {
      bool same = true;
      for (std::size_t i = 0; i < from.size(); ++i)
        same &= kept[static_cast<int>(i)] == 1 || from[i] == to[i];
      if (same) run.push_back(x.at(from));
    });
    return f(run);
  });
  y.shape = shape;
  return y;
}

struct Reduction {
  const char* name;
  Tensor (*call)(const Tensor&, const Axes&, bool);
  Jet (*f)(const Run&);
  bool (*may)(const Run&);  // whether it is smooth there
};

bool always(const Run&) { return true; }
bool spread_out(const Run& x) { return var_of(x).v > 0.05; }
bool far_from_0(const Run& x) { return norm_of(x).v > 0.2; }
bool few(const Run& x) { return x.size() <= 6; }
bool distinct(const Run& x) {
  std::vector<double> v;
  for (const Jet& jet : x) v.push_back(jet.v);
  std::ranges::sort(v);
  auto close = std::ranges::adjacent_find(v, [](double a, double b) { return b - a < 0.02; });
  return close == v.end();
}

constexpr Reduction reductions[] = {
    {"sum", sum, sum_of_run, always},
    {"mean", mean, mean_of, always},
    {"max", max, largest_of, distinct},
    {"min", min, smallest_of, distinct},
    {"prod", prod, product_of, few},
    {"var", var, var_of, always},
    {"std", keratin::std, [](const Run& x) { return root(var_of(x)); }, spread_out},
    {"norm", norm, norm_of, far_from_0},
    {"logsumexp", logsumexp, logsumexp_of, always},
};

bool add_reduction(Graph& graph) {
  const Reduction& op = reductions[graph.dice.below(std::size(reductions))];
  int x = graph.any();
  std::vector<int> axes;
  double share = graph.dice.chance(0.3) ? 1 : 0.5;
  for (int axis = 0; axis < graph.shape(x).rank(); ++axis)
    if (graph.dice.chance(share)) axes.push_back(axis);
  bool keepdims = graph.dice.chance(0.4);
  bool smooth = op.call == sum || graph.shape(x).numel() > 0;
  reduced(graph.at(x), axes, keepdims, [&](const Run& run) {
    smooth &= op.may(run);
    return Jet{};
  });
  if (!smooth) return false;
  return graph.add(
      op.name, fmt::format("axes {}{}", text_of(axes), keepdims ? ", keepdims" : ""), {x},
      [=, &op](const Tensors& in) { return op.call(in[0], Axes(axes), keepdims); },
      [=, &op](const JetArrays& in) { return reduced(in[0], axes, keepdims, op.f); },
      /*may_alias=*/true);
}

bool add_sum_to(Graph& graph) {
  int x = graph.any();
  Shape to = graph.shape(x);
  for (std::int64_t& size : to)
    if (graph.dice.chance(0.5)) size = 1;
  while (to.rank() > 0 && to[0] == 1 && graph.dice.chance(0.5)) to = to.without(0);
  return graph.add(
      "sum_to", to.str(), {x}, [=](const Tensors& in) { return sum_to(in[0], to); },
      [=](const JetArrays& in) {
        JetArray y = jets(to, [](const Place&) { return Jet{}; });
        Strides strides = contiguous_strides(to);
        for_places(in[0].shape, [&](const Place& from) {
          std::int64_t offset = 0;
          for (int axis = -1; axis >= -to.rank(); --axis)
            if (to[axis] != 1) offset += from[from.size() - at(-axis)] * strides[axis];
          y.values[static_cast<std::size_t>(offset)] =
              y.values[static_cast<std::size_t>(offset)] + in[0].at(from);
        });
        return y;
      },
      /*may_alias=*/true);
}

// --- along one axis

// The elements of x along the axis through a place.
Run run_through(const JetArray& x, Place place, int axis) {
  Run run;
  for (std::int64_t& i = place[at(axis)] = 0; i < x.shape[axis]; ++i) run.push_back(x.at(place));
  return run;
}

Jet softmax_of(const Jet& x, const Run& run) {
  double shift = largest_of(run).v;
  Jet sum = sum_of_exponentials(run, shift);
  return shifted_exp(x, shift) *
         chain(sum, 1 / sum.v, -1 / (sum.v * sum.v), 2 / (sum.v * sum.v * sum.v));
}

bool add_along_axis(Graph& graph) {
  int x = graph.any(), rank = graph.shape(x).rank();
  if (rank == 0) return false;
  int axis = graph.dice.below(rank), kind = graph.dice.below(4);
  const char* names[] = {"softmax", "log_softmax", "cumsum", "cumprod"};
  static constexpr Tensor (*calls[])(const Tensor&, int) = {softmax, log_softmax, cumsum, cumprod};
  return graph.add(
      names[kind], fmt::format("axis {}", axis), {x},
      [=](const Tensors& in) { return calls[kind](in[0], axis); },
      [=](const JetArrays& in) {
        return jets(in[0].shape, [&](const Place& place) {
          Run run = run_through(in[0], place, axis);
          const Jet& jet = in[0].at(place);
          if (kind == 0) return softmax_of(jet, run);
          if (kind == 1) return jet - logsumexp_of(run);
          run.resize(at(static_cast<int>(place[at(axis)]) + 1));
          return kind == 2 ? sum_of_run(run) : product_of(run);
        });
      },
      /*may_alias=*/kind == 3);
}

// --- in order

// The elements along an axis of each run, ascending or descending.
JetArray in_order(const JetArray& x, int axis, bool descending, std::int64_t count) {
  return jets(x.shape.with(axis, count), [&](const Place& place) {
    Run run = run_through(x, place, axis);
    std::ranges::sort(run, {}, [](const Jet& jet) { return jet.v; });
    if (descending) std::ranges::reverse(run);
    return run[static_cast<std::size_t>(place[at(axis)])];
  });
}

bool add_ordered(Graph& graph) {
  int x = graph.any(), rank = graph.shape(x).rank();
  if (rank == 0) return false;
  bool largest = graph.dice.chance(0.5);
  int axis = largest ? rank - 1 : graph.dice.below(rank);
  bool smooth = true;
  for_places(graph.shape(x).with(axis, 1), [&](const Place& place) {
    smooth &= distinct(run_through(graph.at(x), place, axis));
  });
  if (!smooth) return false;
  auto n = static_cast<int>(graph.shape(x)[axis]), k = largest ? graph.dice.below(n + 1) : n;
  return graph.add(
      largest ? "top_k" : "sort", fmt::format("axis {}, {}", axis, k), {x},
      [=](const Tensors& in) { return largest ? top_k(in[0], k)[0] : sort(in[0], axis); },
      [=](const JetArrays& in) { return in_order(in[0], axis, largest, k); });
}

// --- products

// The sum over every letter that the output lacks, of the products: Einstein's rule taken
// literally; axes of size 1 broadcast.
JetArray contracted(const JetArray& x, const std::string& left, const JetArray& y,
                    const std::string& right, const std::string& output) {
  std::vector<std::int64_t> extent(128, 1), index(128, 0);
  std::string summed;
  auto meet = [&](const std::string& labels, const Shape& shape) {
    for (std::size_t i = 0; i < labels.size(); ++i) {
      auto c = static_cast<std::size_t>(labels[i]);
      if ((output + summed).find(labels[i]) == std::string::npos) summed += labels[i];
      if (extent[c] == 1) extent[c] = shape[static_cast<int>(i)];
    }
  };
  meet(left, x.shape);
  meet(right, y.shape);
  auto shape_of = [&](const std::string& labels) {
    Shape shape;
    for (char c : labels) shape.push_back(extent[static_cast<std::size_t>(c)]);
    return shape;
  };
  auto set = [&](const std::string& labels, const Place& place) {
    for (std::size_t i = 0; i < labels.size(); ++i)
      index[static_cast<std::size_t>(labels[i])] = place[i];
  };
  auto entry = [&](const JetArray& array, const std::string& labels) {
    Place place;
    for (char c : labels) place.push_back(index[static_cast<std::size_t>(c)]);
    return array.at(place);
  };
  return jets(shape_of(output), [&](const Place& place) {
    set(output, place);
    Jet sum;
    for_places(shape_of(summed), [&](const Place& inner) {
      set(summed, inner);
      sum = sum + entry(x, left) * entry(y, right);
    });
    return sum;
  });
}

std::string letters(char first, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += static_cast<char>(first + i);
  return text;
}

// A second factor for x: one that is there, x itself transposed, or a new one.
int factor_for(Graph& graph, int x) {
  std::int64_t k = graph.shape(x)[-1];
  auto fits = [&](int y) {
    int rank = graph.shape(y).rank();
    return rank > 0 && rank < 4 && graph.shape(y)[rank == 1 ? 0 : rank - 2] == k;
  };
  if (graph.dice.chance(0.6))
    if (std::optional<int> y = graph.find(fits)) return *y;
  if (graph.shape(x).rank() == 2 && graph.dice.chance(0.5)) {
    bool added = graph.add(
        "transpose", "", {x}, [](const Tensors& in) { return transpose(in[0]); },
        [](const JetArrays& in) {
          return jets({in[0].shape[1], in[0].shape[0]}, [&](const Place& place) {
            return in[0].at({place[1], place[0]});
          });
        });
    if (added) return graph.last();
  }
  return graph.leaf(graph.dice.chance(0.2) ? Shape{k} : Shape{k, 1 + graph.dice.below(3)});
}

bool add_dot(Graph& graph) {
  int x = graph.any(), rank = graph.shape(x).rank();
  if (rank == 0 || rank > 4) return false;
  int y = factor_for(graph, x), other = graph.shape(y).rank();
  std::string left = letters('a', rank), right = letters('i', other), output;
  left.back() = right[at(other == 1 ? 0 : other - 2)] = 'z';
  for (char c : left + right)
    if (c != 'z') output += c;
  return graph.add(
      "dot", "", {x, y}, [](const Tensors& in) { return dot(in[0], in[1]); },
      [=](const JetArrays& in) { return contracted(in[0], left, in[1], right, output); });
}

bool add_matmul(Graph& graph) {
  int x = graph.any(), rank = graph.shape(x).rank();
  if (rank == 0 || rank > 4) return false;
  int y = factor_for(graph, x), other = graph.shape(y).rank();
  int batch = std::max({rank - 2, other - 2, 0});
  std::string shared = letters('a', batch);
  auto labels = [&](int r, const char* matrix) {
    return r == 1 ? std::string("z") : shared.substr(at(batch - (r - 2))) + matrix;
  };
  std::string left = labels(rank, "mz"), right = labels(other, "zn");
  std::string output = shared + (rank > 1 ? "m" : "") + (other > 1 ? "n" : "");
  for (int axis = -3; axis >= -std::min(rank, other); --axis) {
    std::int64_t p = graph.shape(x)[axis], q = graph.shape(y)[axis];
    if (p != q && p != 1 && q != 1) return false;
  }
  return graph.add(
      "matmul", "", {x, y}, [](const Tensors& in) { return matmul(in[0], in[1]); },
      [=](const JetArrays& in) { return contracted(in[0], left, in[1], right, output); });
}

bool add_linear(Graph& graph) {
  int x = graph.any(), rank = graph.shape(x).rank();
  if (rank == 0 || rank > 4) return false;
  int y = factor_for(graph, x);
  if (graph.shape(y).rank() != 2) return false;
  std::int64_t n = graph.shape(y)[1];
  std::optional<int> b = graph.find([&](int id) { return graph.shape(id) == Shape{n}; });
  int bias = b ? *b : graph.leaf({n});
  std::string left = letters('a', rank);
  left.back() = 'z';
  std::string output = left.substr(0, left.size() - 1) + "n";
  return graph.add(
      "linear", "", {x, y, bias}, [](const Tensors& in) { return linear(in[0], in[1], in[2]); },
      [=](const JetArrays& in) {
        JetArray product = contracted(in[0], left, in[1], "zn", output);
        return jets(product.shape, [&](const Place& place) {
          return product.at(place) + in[2].at({place.back()});
        });
      });
}

bool add_einsum(Graph& graph) {
  static const std::vector<std::vector<std::array<const char*, 3>>> equations = {
      {{"", "", ""}},
      {{"i", "i", ""}, {"i", "j", "ij"}, {"i", "i", "i"}},
      {{"ij", "kj", "ik"}, {"ij", "ij", "j"}, {"ij", "ik", "kj"}, {"ij", "ij", "ji"}},
      {{"bij", "bkj", "bik"}, {"abc", "abd", "cbd"}, {"abc", "abc", "b"}},
  };
  int x = graph.any(), rank = graph.shape(x).rank();
  if (rank >= static_cast<int>(equations.size())) return false;
  const auto& fitting = equations[at(rank)];
  auto [left, right, output] = fitting[at(graph.dice.below(static_cast<int>(fitting.size())))];
  std::optional<int> other = graph.find([&](int y) { return graph.shape(y) == graph.shape(x); });
  std::string l = left, r = right, o = output, equation = l + "," + r + "->" + o;
  return graph.add(
      "einsum", equation, {x, other.value_or(x)},
      [=](const Tensors& in) { return einsum(equation, in); },
      [=](const JetArrays& in) { return contracted(in[0], l, in[1], r, o); });
}

}  // namespace

const std::vector<AddOp>& summing_ops() {
  static const std::vector<AddOp> ops = {add_reduction,  add_reduction, add_sum_to,
                                         add_along_axis, add_ordered,   add_dot,
                                         add_matmul,     add_linear,    add_einsum};
  return ops;
}

}  // namespace keratin::test
