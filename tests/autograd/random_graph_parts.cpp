// The ops of random graphs that take apart, join, select and look up.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <keratin/core/create.h>

#include "random_graph.h"

namespace keratin::test {
namespace {

std::size_t at(int axis) { return static_cast<std::size_t>(axis); }

// --- joins

bool add_concatenate(Graph& graph) {
  int x = graph.any(), rank = graph.shape(x).rank();
  if (rank == 0) return false;
  int axis = graph.dice.below(rank);
  std::vector<int> parts{x};
  for (int i = 0, more = 1 + graph.dice.below(3); i < more; ++i) {
    std::optional<int> part = graph.find([&](int y) {
      return graph.shape(y).rank() == rank &&
             graph.shape(y).with(axis, 1) == graph.shape(x).with(axis, 1);
    });
    if (part) parts.push_back(*part);
  }
  Shape to = graph.shape(x).with(axis, 0);
  for (int part : parts) to[axis] += graph.shape(part)[axis];
  return graph.add(
      "concatenate", fmt::format("axis {}", axis), parts,
      [=](const Tensors& in) { return concatenate(in, axis); },
      [=](const JetArrays& in) {
        return jets(to, [&](Place p) {
          std::size_t part = 0;
          while (p[at(axis)] >= in[part].shape[axis]) p[at(axis)] -= in[part++].shape[axis];
          return in[part].at(p);
        });
      });
}

bool add_stack(Graph& graph) {
  int x = graph.any(), axis = graph.dice.below(graph.shape(x).rank() + 1);
  std::vector<int> parts{x};
  for (int i = 0, more = graph.dice.below(4); i < more; ++i)
    parts.push_back(
        graph.find([&](int y) { return graph.shape(y) == graph.shape(x); }).value_or(x));
  bool with_number = graph.shape(x).rank() == 0 && graph.dice.chance(0.5);
  return graph.add(
      "stack", fmt::format("axis {}{}", axis, with_number ? ", and the number 1.5" : ""), parts,
      [=](Tensors in) {
        if (with_number) in.insert(in.begin(), Tensor(1.5));
        return stack(in, axis);
      },
      [=](JetArrays in) {
        if (with_number) in.insert(in.begin(), JetArray{{}, {Jet{.v = 1.5}}});
        Shape to = in[0].shape.inserted(axis, static_cast<std::int64_t>(in.size()));
        return jets(to, [&](Place p) {
          auto part = static_cast<std::size_t>(p[at(axis)]);
          p.erase(p.begin() + axis);
          return in[part].at(p);
        });
      });
}

// --- taking apart

// Cuts x along the axis before each of the indices, or into its single steps without the axis.
bool cut(Graph& graph, int x, int axis, const std::vector<std::int64_t>& cuts, bool steps) {
  return graph.add({.name = steps ? "unstack" : "split",
                    .arguments = fmt::format("axis {}, before {}", axis, fmt::join(cuts, " ")),
                    .inputs = {x},
                    .library =
                        [=](const Tensors& in) {
                          return steps ? unstack(in[0], axis) : split(in[0], cuts, axis);
                        },
                    .reference =
                        [=](const JetArrays& in) {
                          JetArrays parts;
                          for (std::size_t i = 0; i <= cuts.size(); ++i) {
                            std::int64_t begin = i == 0 ? 0 : cuts[i - 1];
                            std::int64_t end = i < cuts.size() ? cuts[i] : in[0].shape[axis];
                            Shape to = in[0].shape.with(axis, end - begin);
                            JetArray part = jets(to, [&](Place p) {
                              p[at(axis)] += begin;
                              return in[0].at(p);
                            });
                            if (steps) part.shape.erase(axis);
                            parts.push_back(std::move(part));
                          }
                          return parts;
                        },
                    .may_alias = true});
}

bool add_split(Graph& graph) {
  int x = graph.any();
  if (graph.shape(x).rank() == 0) return false;
  int axis = graph.dice.below(graph.shape(x).rank());
  auto n = static_cast<int>(graph.shape(x)[axis]);
  if (n == 0) return false;
  bool steps = graph.dice.chance(0.5);
  std::vector<std::int64_t> cuts;
  for (int i = steps ? 1 : graph.dice.below(n + 1); i < n; i += steps ? 1 : 1 + graph.dice.below(n))
    cuts.push_back(i);
  return cut(graph, x, axis, cuts, steps);
}

// A recurrence: each step of x times one matrix, and the steps stacked again.
bool add_recurrence(Graph& graph) {
  int x = graph.any(), rank = graph.shape(x).rank();
  if (rank < 2 || rank > 3 || graph.shape(x).numel() == 0) return false;
  std::int64_t k = graph.shape(x)[-1], count = graph.shape(x)[0];
  std::vector<std::int64_t> cuts;
  for (std::int64_t i = 1; i < count; ++i) cuts.push_back(i);
  std::optional<int> there = graph.find([&](int y) { return graph.shape(y) == Shape{k, k}; });
  int matrix = there ? *there : graph.leaf({k, k});
  int first = graph.last() + 1;
  if (!cut(graph, x, 0, cuts, true)) return false;
  std::vector<int> results;
  for (std::int64_t t = 0; t < count; ++t) {
    std::vector<int> inputs{first + static_cast<int>(t), matrix};
    if (t > 0) inputs.push_back(results.back());
    bool added = graph.add(
        "step", t == 0 ? "tanh(x . w)" : "tanh(x . w) + h", inputs,
        [](const Tensors& in) {
          Tensor y = tanh(dot(in[0], in[1]));
          return in.size() > 2 ? y + in[2] : y;
        },
        [k](const JetArrays& in) {
          return jets(in[0].shape, [&](const Place& place) {
            Jet sum;
            Place from = place;
            for (std::int64_t i = 0; i < k; ++i) {
              from.back() = i;
              sum = sum + in[0].at(from) * in[1].at({i, place.back()});
            }
            double h = std::tanh(sum.v);
            Jet y = chain(sum, h, 1 - h * h, -2 * h * (1 - h * h));
            return in.size() > 2 ? y + in[2].at(place) : y;
          });
        });
    if (!added) return true;
    results.push_back(graph.last());
  }
  return graph.add(
      "stack", "axis 0", results, [](const Tensors& in) { return stack(in); },
      [](const JetArrays& in) {
        Shape to = in[0].shape.inserted(0, static_cast<std::int64_t>(in.size()));
        return jets(to, [&](const Place& p) {
          return in[static_cast<std::size_t>(p[0])].at(Place(p.begin() + 1, p.end()));
        });
      });
}

// --- selecting

bool add_where(Graph& graph) {
  int x = graph.any();
  std::optional<int> y = graph.partner(x);
  if (!y) return false;
  Shape to = *broadcast(graph.shape(x), graph.shape(*y));
  std::vector<int> inputs{x, *y};
  double threshold = graph.dice.number(-1, 1), number = graph.dice.number(-1, 1);
  bool compared = graph.dice.chance(0.4) && graph.distance(x, threshold) > 0.02;
  bool with_number = graph.dice.chance(0.3);
  if (with_number) inputs.pop_back();
  if (with_number && compared) to = graph.shape(x);
  std::vector<double> chosen;
  for (std::int64_t i = 0, n = to.numel(); i < n; ++i) chosen.push_back(graph.dice.below(2));
  Tensor mask = tensor(chosen, to).astype(boolean);
  std::string condition = compared ? fmt::format("where the first > {}", threshold)
                                   : fmt::format("mask {}", fmt::join(chosen, ""));
  return graph.add(
      "where", condition + (with_number ? fmt::format(", else {}", number) : ""), inputs,
      [=](const Tensors& in) {
        Tensor c = compared ? in[0] > threshold : mask;
        return where(c, in[0], with_number ? Tensor(number) : in[1]);
      },
      [=](const JetArrays& in) {
        std::size_t i = 0;
        return jets(to, [&](const Place& p) {
          bool first = compared ? in[0].at(p).v > threshold : chosen[i++] != 0;
          return first ? in[0].at(p) : with_number ? Jet{.v = number} : in[1].at(p);
        });
      });
}

bool add_slice_update(Graph& graph) {
  int x = graph.any(), rank = graph.shape(x).rank();
  auto fits = [&](int y) {
    bool fit = graph.shape(y).rank() == rank;
    for (int axis = 0; fit && axis < rank; ++axis)
      fit = graph.shape(y)[axis] <= graph.shape(x)[axis];
    return fit;
  };
  std::optional<int> update = graph.find(fits);
  if (!update) return false;
  std::vector<std::int64_t> start;
  for (int axis = 0; axis < rank; ++axis)
    start.push_back(
        graph.dice.below(static_cast<int>(graph.shape(x)[axis] - graph.shape(*update)[axis]) + 1));
  return graph.add(
      {.name = "slice_update",
       .arguments = fmt::format("start {}", fmt::join(start, " ")),
       .inputs = {x, *update},
       .library = [=](const Tensors& in) { return Tensors{slice_update(in[0], start, in[1])}; },
       .reference =
           [=](const JetArrays& in) {
             return JetArrays{jets(in[0].shape, [&](const Place& p) {
               Place inside = p;
               for (int axis = 0; axis < rank; ++axis) {
                 inside[at(axis)] -= start[at(axis)];
                 if (inside[at(axis)] < 0 || inside[at(axis)] >= in[1].shape[axis])
                   return in[0].at(p);
               }
               return in[1].at(inside);
             })};
           },
       .dtype = graph.values()[static_cast<std::size_t>(x)].dtype});
}

// --- looking up; indices repeat, and may count from the end

Tensor indices_below(Graph& graph, const Shape& shape, std::int64_t n, std::vector<int>& counted) {
  std::vector<std::int32_t> indices;
  for (std::int64_t i = 0, count = shape.numel(); i < count; ++i) {
    counted.push_back(graph.dice.below(static_cast<int>(n)));
    indices.push_back(counted.back() - (graph.dice.chance(0.3) ? static_cast<std::int32_t>(n) : 0));
  }
  return tensor(indices, shape);
}

bool add_take(Graph& graph) {
  int x = graph.any(), rank = graph.shape(x).rank();
  if (rank == 0 || graph.shape(x).numel() == 0) return false;
  int axis = graph.dice.below(rank);
  Shape shape;
  for (int i = 0, r = graph.dice.below(3); i < r; ++i) shape.push_back(1 + graph.dice.below(4));
  std::vector<int> counted;
  Tensor indices = indices_below(graph, shape, graph.shape(x)[axis], counted);
  Shape to = graph.shape(x).without(axis);
  for (int i = 0; i < shape.rank(); ++i) to.insert(axis + i, shape[i]);
  return graph.add(
      "take", fmt::format("axis {}, {} in {}", axis, text_of(counted), shape.str()), {x},
      [=](const Tensors& in) { return take(in[0], indices, axis); },
      [=](const JetArrays& in) {
        return jets(to, [&](Place p) {
          std::int64_t offset = 0;
          for (int i = 0; i < shape.rank(); ++i) offset = offset * shape[i] + p[at(axis + i)];
          p.erase(p.begin() + axis, p.begin() + axis + shape.rank());
          p.insert(p.begin() + axis, counted[static_cast<std::size_t>(offset)]);
          return in[0].at(p);
        });
      });
}

bool add_take_along_axis(Graph& graph) {
  int x = graph.any(), rank = graph.shape(x).rank();
  if (rank == 0 || graph.shape(x).numel() == 0) return false;
  int axis = graph.dice.below(rank);
  Shape to = graph.shape(x).with(axis, 1 + graph.dice.below(4));
  std::vector<int> counted;
  Tensor indices = indices_below(graph, to, graph.shape(x)[axis], counted);
  return graph.add(
      "take_along_axis", fmt::format("axis {}, {}", axis, text_of(counted)), {x},
      [=](const Tensors& in) { return take_along_axis(in[0], indices, axis); },
      [=](const JetArrays& in) {
        std::size_t i = 0;
        return jets(to, [&](Place p) {
          p[at(axis)] = counted[i++];
          return in[0].at(p);
        });
      });
}

}  // namespace

const std::vector<AddOp>& part_ops() {
  static const std::vector<AddOp> ops = {
      add_concatenate, add_concatenate, add_stack,        add_stack, add_split,
      add_recurrence,  add_where,       add_slice_update, add_take,  add_take_along_axis};
  return ops;
}

}  // namespace keratin::test
