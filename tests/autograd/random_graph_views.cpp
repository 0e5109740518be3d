// The ops of random graphs that rearrange one tensor.

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include <keratin/core/create.h>

#include "random_graph.h"

namespace keratin::test {
namespace {

std::size_t at(int axis) { return static_cast<std::size_t>(axis); }

using Call = std::function<Tensor(const Tensor&)>;

// A view of x: the shape of the result, and where each element comes from.
bool moved(Graph& graph, const std::string& name, const std::string& arguments, int x,
           const Shape& to, const Call& call, const std::function<Place(Place)>& source,
           bool may_alias = false) {
  return graph.add({.name = name,
                    .arguments = arguments,
                    .inputs = {x},
                    .library = [=](const Tensors& in) { return Tensors{call(in[0])}; },
                    .reference =
                        [=](const JetArrays& in) {
                          return JetArrays{
                              jets(to, [&](const Place& p) { return in[0].at(source(p)); })};
                        },
                    .may_alias = may_alias});
}

// The same elements in the same order.
bool reshaped(Graph& graph, const std::string& name, const std::string& arguments, int x,
              const Shape& to, const Call& call) {
  return graph.add({.name = name,
                    .arguments = arguments,
                    .inputs = {x},
                    .library = [=](const Tensors& in) { return Tensors{call(in[0])}; },
                    .reference =
                        [=](const JetArrays& in) {
                          return JetArrays{{to, in[0].values}};
                        },
                    .may_alias = true});
}

int some_axis(Graph& graph, int x) { return graph.dice.below(graph.shape(x).rank()); }

// --- views

bool add_axes_moved(Graph& graph) {
  int x = graph.any(), rank = graph.shape(x).rank();
  if (rank == 0) return false;
  std::vector<int> axes(at(rank));
  std::iota(axes.begin(), axes.end(), 0);
  int kind = graph.dice.below(4), a = some_axis(graph, x), b = some_axis(graph, x);
  std::string name = "transpose", arguments;
  Call call;
  if (kind == 0) {
    name = "swapaxes", arguments = fmt::format("{}, {}", a, b - rank);
    std::swap(axes[at(a)], axes[at(b)]);
    call = [=](const Tensor& t) { return swapaxes(t, a, b - rank); };
  } else if (kind == 1) {
    name = "moveaxis", arguments = fmt::format("{}, {}", a, b);
    axes.erase(axes.begin() + a);
    axes.insert(axes.begin() + b, a);
    call = [=](const Tensor& t) { return moveaxis(t, a, b); };
  } else if (kind == 2) {
    std::ranges::reverse(axes);
    call = [](const Tensor& t) { return transpose(t); };
  } else {
    for (int i = rank - 1; i > 0; --i) std::swap(axes[at(i)], axes[at(graph.dice.below(i + 1))]);
    arguments = text_of(axes);
    call = [=](const Tensor& t) { return transpose(t, axes); };
  }
  Shape to;
  for (int axis : axes) to.push_back(graph.shape(x)[axis]);
  return moved(graph, name, arguments, x, to, call, [=](const Place& p) {
    Place source(p.size());
    for (std::size_t i = 0; i < p.size(); ++i) source[at(axes[i])] = p[i];
    return source;
  });
}

bool add_reshape(Graph& graph) {
  int x = graph.any(), rank = graph.shape(x).rank();
  Shape from = graph.shape(x);
  std::int64_t n = from.numel();
  switch (graph.dice.below(4)) {
    case 0: {
      int axis = graph.dice.below(rank + 1);
      return reshaped(graph, "expand_dims", std::to_string(axis), x, from.inserted(axis, 1),
                      [=](const Tensor& t) { return expand_dims(t, axis); });
    }
    case 1: {
      Shape to;
      for (std::int64_t size : from)
        if (size != 1) to.push_back(size);
      return reshaped(graph, "squeeze", "", x, to, [](const Tensor& t) { return squeeze(t); });
    }
    case 2:
      return reshaped(graph, "reshape", "(-1,)", x, {n},
                      [](const Tensor& t) { return reshape(t, {-1}); });
    default: {
      std::int64_t rows = 1 + graph.dice.below(6);
      if (n % rows != 0) return false;
      Shape to = graph.dice.chance(0.5) ? Shape{rows, n / rows} : Shape{n / rows, 1, rows};
      return reshaped(graph, "reshape", to.str(), x, to,
                      [=](const Tensor& t) { return reshape(t, to); });
    }
  }
}

bool add_slice(Graph& graph) {
  int x = graph.any();
  Dice& dice = graph.dice;
  std::vector<Index> indices;
  std::vector<std::array<std::int64_t, 2>> walk;  // where each axis of x begins, and its step
  std::vector<bool> kept;
  Shape to;
  std::string text;
  for (std::int64_t n : graph.shape(x)) {
    int kind = n == 0 ? 0 : dice.below(3);
    auto start = static_cast<std::int64_t>(n == 0 ? 0 : dice.below(static_cast<int>(n)));
    if (kind == 0) {
      indices.push_back(all);
      walk.push_back({0, 1});
      to.push_back(n);
      text += ":, ";
    } else if (kind == 1) {
      indices.push_back(dice.chance(0.5) ? start : start - n);
      walk.push_back({start, 0});
      text += fmt::format("{}, ", start);
    } else {
      std::int64_t step = (1 + dice.below(3)) * (dice.chance(0.5) ? 1 : -1);
      std::int64_t most = step > 0 ? (n - 1 - start) / step + 1 : start / -step + 1;
      std::int64_t count = dice.chance(0.05) ? 0 : 1 + dice.below(static_cast<int>(most));
      std::int64_t stop = count == 0 ? start : start + step * (count - 1) + (step > 0 ? 1 : -1);
      if (stop < 0 || (count == most && dice.chance(0.5))) stop = Range::open;
      if (dice.chance(0.3)) start -= n;
      indices.push_back(range(start, stop, step));
      walk.push_back({start < 0 ? start + n : start, step});
      to.push_back(count);
      text +=
          fmt::format("{}:{}:{}, ", start, stop == Range::open ? "" : std::to_string(stop), step);
    }
    kept.push_back(kind != 1);
  }
  return moved(
      graph, "slice", text, x, to, [=](const Tensor& t) { return slice(t, indices); },
      [=](const Place& p) {
        Place source;
        std::size_t next = 0;
        for (std::size_t axis = 0; axis < walk.size(); ++axis)
          source.push_back(walk[axis][0] + (kept[axis] ? p[next++] * walk[axis][1] : 0));
        return source;
      });
}

bool add_flip(Graph& graph) {
  int x = graph.any(), rank = graph.shape(x).rank();
  std::vector<int> axes;
  for (int axis = 0; axis < rank; ++axis)
    if (graph.dice.chance(0.6)) axes.push_back(axis);
  Shape shape = graph.shape(x);
  return moved(
      graph, "flip", text_of(axes), x, shape, [=](const Tensor& t) { return flip(t, axes); },
      [=](Place p) {
        for (int axis : axes) p[at(axis)] = shape[axis] - 1 - p[at(axis)];
        return p;
      });
}

bool add_roll(Graph& graph) {
  int x = graph.any(), shift = graph.dice.below(11) - 5;
  Shape shape = graph.shape(x);
  if (shape.rank() == 0) return false;
  int axis = some_axis(graph, x);
  return moved(
      graph, "roll", fmt::format("{}, axis {}", shift, axis), x, shape,
      [=](const Tensor& t) { return roll(t, shift, axis); },
      [=](Place p) {
        std::int64_t n = shape[axis];
        p[at(axis)] = ((p[at(axis)] - shift) % n + n) % n;
        return p;
      });
}

bool add_triangle(Graph& graph) {
  int x = graph.any(), k = graph.dice.below(5) - 2;
  if (graph.shape(x).rank() < 2) return false;
  bool lower = graph.dice.chance(0.5);
  return graph.add(
      lower ? "tril" : "triu", std::to_string(k), {x},
      [=](const Tensors& in) { return lower ? tril(in[0], k) : triu(in[0], k); },
      [=](const JetArrays& in) {
        return jets(in[0].shape, [&](const Place& p) {
          std::int64_t right = p.back() - p[p.size() - 2];
          return (lower ? right <= k : right >= k) ? in[0].at(p) : Jet{};
        });
      });
}

bool add_repeated(Graph& graph) {
  int x = graph.any(), rank = graph.shape(x).rank(), times = 1 + graph.dice.below(3);
  Shape from = graph.shape(x);
  int kind = graph.dice.below(3);
  if (kind == 0) {
    Shape to = from;
    for (std::int64_t& size : to)
      if (size == 1 && graph.dice.chance(0.7)) size = times;
    if (graph.dice.chance(0.5)) to.insert(0, times);
    auto missing = to.rank() - rank;
    return moved(
        graph, "broadcast_to", to.str(), x, to,
        [=](const Tensor& t) { return broadcast_to(t, to); },
        [=](const Place& p) { return Place(p.begin() + missing, p.end()); }, true);
  }
  if (rank == 0) return false;
  int axis = some_axis(graph, x);
  Shape to = from.with(axis, from[axis] * times);
  if (kind == 1)
    return moved(
        graph, "repeat", fmt::format("{}, axis {}", times, axis), x, to,
        [=](const Tensor& t) { return repeat(t, times, axis); },
        [=](Place p) {
          p[at(axis)] /= times;
          return p;
        });
  std::vector<std::int64_t> repeats(at(rank), 1);
  repeats[at(axis)] = times;
  return moved(
      graph, "tile", fmt::format("{} on axis {}", times, axis), x, to,
      [=](const Tensor& t) { return tile(t, repeats); },
      [=](Place p) {
        p[at(axis)] %= from[axis];
        return p;
      },
      true);
}

bool add_diagonal(Graph& graph) {
  int x = graph.any(), rank = graph.shape(x).rank();
  if (rank < 2) return false;
  int offset = graph.dice.below(3) - 1;
  Shape to = graph.shape(x);
  std::int64_t rows = to[-2] - std::max(-offset, 0), columns = to[-1] - std::max(offset, 0);
  to = to.without(-1).with(-1, std::max<std::int64_t>(0, std::min(rows, columns)));
  return moved(
      graph, "diagonal", std::to_string(offset), x, to,
      [=](const Tensor& t) { return diagonal(t, offset); },
      [=](Place p) {
        std::int64_t i = p.back();
        p.back() += std::max(-offset, 0);
        p.push_back(i + std::max(offset, 0));
        return p;
      });
}

bool add_windows(Graph& graph) {
  int x = graph.any();
  if (graph.shape(x).rank() == 0) return false;
  int axis = some_axis(graph, x);
  std::int64_t n = graph.shape(x)[axis], step = 1 + graph.dice.below(2);
  if (n == 0) return false;
  std::int64_t size = 1 + graph.dice.below(static_cast<int>(n));
  Shape to = graph.shape(x).with(axis, (n - size) / step + 1);
  to.push_back(size);
  return moved(
      graph, "sliding_window", fmt::format("axis {}, {} by {}", axis, size, step), x, to,
      [=](const Tensor& t) { return sliding_window(t, axis, size, step); },
      [=](Place p) {
        p[at(axis)] = p[at(axis)] * step + p.back();
        p.pop_back();
        return p;
      });
}

bool add_pad(Graph& graph) {
  int x = graph.any();
  Shape from = graph.shape(x), to = from;
  std::vector<std::array<std::int64_t, 2>> widths;
  std::string text;
  for (std::int64_t& size : to) {
    widths.push_back({graph.dice.below(2), graph.dice.below(3)});
    size += widths.back()[0] + widths.back()[1];
    text += fmt::format("{}+{}, ", widths.back()[0], widths.back()[1]);
  }
  double constant = graph.dice.number(-1, 1);
  return graph.add(
      "pad", text + fmt::format("constant {}", constant), {x},
      [=](const Tensors& in) { return pad(in[0], widths, constant); },
      [=](const JetArrays& in) {
        return jets(to, [&](Place p) {
          for (int axis = 0; axis < from.rank(); ++axis) {
            p[at(axis)] -= widths[at(axis)][0];
            if (p[at(axis)] < 0 || p[at(axis)] >= from[axis]) return Jet{.v = constant};
          }
          return in[0].at(p);
        });
      });
}

// --- conversions, and what the tape sees

bool add_conversion(Graph& graph) {
  DType dtype = graph.dice.chance(0.5) ? float32 : float64;
  return graph.add({.name = "astype",
                    .arguments = std::string(name_of(dtype)),
                    .inputs = {graph.any()},
                    .library = {},
                    .reference = [](const JetArrays& in) { return in; },
                    .dtype = dtype,
                    .converts = true,
                    .may_alias = true});
}

bool add_copy(Graph& graph) {
  bool stops = graph.dice.chance(0.2);
  return graph.add(
      {.name = stops ? "stop_gradient" : "copy",
       .inputs = {graph.any()},
       .library =
           [=](const Tensors& in) { return Tensors{stops ? stop_gradient(in[0]) : in[0].copy()}; },
       .reference = [](const JetArrays& in) { return in; },
       .stops_gradient = stops});
}

}  // namespace

const std::vector<AddOp>& view_ops() {
  static const std::vector<AddOp> ops = {
      add_axes_moved, add_axes_moved, add_reshape, add_reshape,    add_slice,      add_slice,
      add_flip,       add_repeated,   add_pad,     add_conversion, add_conversion, add_diagonal,
      add_windows,    add_copy,       add_roll,    add_triangle};
  return ops;
}

}  // namespace keratin::test
