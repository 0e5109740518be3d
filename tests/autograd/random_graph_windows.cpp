// The ops of random graphs that see windows: convolutions, poolings, resized images.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "random_graph.h"

namespace keratin::test {
namespace {

std::size_t at(int axis) { return static_cast<std::size_t>(axis); }

Jet scaled(const Jet& x, double factor) { return chain(x, x.v * factor, factor, 0); }

// A tensor of this rank: one that is there, or another one's elements in a new shape.
std::optional<int> of_rank(Graph& graph, int rank) {
  auto fits = [&](int id) { return graph.shape(id).rank() == rank && graph.shape(id).numel() > 0; };
  if (graph.dice.chance(0.5))
    if (std::optional<int> there = graph.find(fits)) return there;
  int x = graph.any();
  if (fits(x)) return x;
  std::int64_t left = graph.shape(x).numel();
  if (left == 0) return {};
  Shape to = Shape::filled(rank, 1);
  for (int axis = rank - 1; axis > 1; --axis)
    for (std::int64_t size = 1 + graph.dice.below(4); size > 1; --size)
      if (left % size == 0) {
        to[axis] = size;
        left /= size;
        break;
      }
  to[1] = left;
  bool added = graph.add({.name = "reshape",
                          .arguments = to.str(),
                          .inputs = {x},
                          .library = [=](const Tensors& in) { return Tensors{reshape(in[0], to)}; },
                          .reference =
                              [=](const JetArrays& in) {
                                return JetArrays{{to, in[0].values}};
                              },
                          .may_alias = true});
  if (!added) return {};
  return graph.last();
}

// Windows over the axes 1, 2, ... of an array.
struct Windows {
  Shape sizes, strides, dilations;
  bool same = false;

  std::int64_t reach(int i) const { return (sizes[i] - 1) * dilations[i] + 1; }
  std::int64_t count(std::int64_t n, int i) const {
    return same ? (n + strides[i] - 1) / strides[i] : (n - reach(i)) / strides[i] + 1;
  }
  // Calls f(element, place) for each element of the window at `place` of the result that is there.
  template <class F>
  void see(const Shape& x, const Place& to, const F& f) const {
    for_places(sizes, [&](const Place& element) {
      Place from = to;
      bool inside = true;
      for (int i = 0; i < sizes.rank(); ++i) {
        std::int64_t n = x[i + 1], missing = 0;
        if (same)
          missing = std::max<std::int64_t>((count(n, i) - 1) * strides[i] + reach(i) - n, 0);
        from[at(i + 1)] = to[at(i + 1)] * strides[i] + element[at(i)] * dilations[i] - missing / 2;
        inside &= from[at(i + 1)] >= 0 && from[at(i + 1)] < n;
      }
      if (inside) f(element, from);
    });
  }
  Shape of_result(const Shape& x, std::int64_t channels) const {
    Shape to = x;
    for (int i = 0; i < sizes.rank(); ++i) to[i + 1] = count(x[i + 1], i);
    to[-1] = channels;
    return to;
  }
  std::string str() const {
    return fmt::format("size {}, strides {}, dilations {}, {}", sizes.str(), strides.str(),
                       dilations.str(), same ? "same" : "valid");
  }
  std::string padding() const { return same ? "same" : "valid"; }
};

PerAxis per_axis(const Shape& numbers) {
  PerAxis list;
  for (std::int64_t number : numbers) list.push_back(number);
  return list;
}

Windows windows_over(Graph& graph, const Shape& x, bool dilated) {
  Windows windows;
  windows.same = graph.dice.chance(0.5);
  for (int axis = 1; axis < x.rank() - 1; ++axis) {
    auto most = windows.same ? 3 : static_cast<int>(std::min<std::int64_t>(x[axis], 3));
    std::int64_t size = 1 + graph.dice.below(most), dilation = 1;
    if (dilated && graph.dice.chance(0.3) && (windows.same || (size - 1) * 2 < x[axis]))
      dilation = 2;
    windows.sizes.push_back(size);
    windows.strides.push_back(1 + graph.dice.below(2));
    windows.dilations.push_back(dilation);
  }
  return windows;
}

int kernel_for(Graph& graph, Shape shape) {
  std::optional<int> there = graph.find([&](int id) { return graph.shape(id) == shape; });
  return there ? *there : graph.leaf(shape);
}

bool add_conv(Graph& graph) {
  std::optional<int> x = of_rank(graph, 3 + graph.dice.below(2));
  if (!x) return false;
  const Shape from = graph.shape(*x);
  const Windows windows = windows_over(graph, from, true);
  const bool depthwise = graph.dice.chance(0.3);
  const std::int64_t groups = depthwise                                     ? from[-1]
                              : from[-1] % 2 == 0 && graph.dice.chance(0.3) ? 2
                                                                            : 1;
  const std::int64_t width = 1 + graph.dice.below(2), filters = groups * width;
  Shape shape = windows.sizes;
  shape.push_back(depthwise ? from[-1] : from[-1] / groups);
  shape.push_back(depthwise ? width : filters);
  const int kernel = kernel_for(graph, shape);
  const ConvOptions options{per_axis(windows.strides), windows.padding(),
                            per_axis(windows.dilations)};
  const std::int64_t channels = from[-1] / groups;
  return graph.add(
      depthwise ? "depthwise_conv" : "conv", fmt::format("{}, {} groups", windows.str(), groups),
      {*x, kernel},
      [=](const Tensors& in) {
        return depthwise ? depthwise_conv(in[0], in[1], options) : conv(in[0], in[1], options);
      },
      [=](const JetArrays& in) {
        return jets(windows.of_result(from, filters), [&](const Place& to) {
          Jet sum;
          const std::int64_t filter = to.back(), group = filter / width;
          windows.see(from, to, [&](const Place& element, Place place) {
            for (std::int64_t c = 0; c < channels; ++c) {
              Place weight = element;
              if (depthwise)
                weight.insert(weight.end(), {group, filter % width});
              else
                weight.insert(weight.end(), {c, filter});
              place.back() = group * channels + c;
              sum = sum + in[0].at(place) * in[1].at(weight);
            }
          });
          return sum;
        });
      });
}

bool add_conv_transpose(Graph& graph) {
  std::optional<int> y = of_rank(graph, 3 + graph.dice.below(2));
  if (!y) return false;
  const Shape from = graph.shape(*y);
  const Windows windows = windows_over(graph, from, false);
  const std::int64_t filters = 1 + graph.dice.below(2);
  Shape shape = windows.sizes, to = from.with(from.rank() - 1, filters);
  shape.push_back(filters);
  shape.push_back(from[-1]);
  for (int i = 0; i < windows.sizes.rank(); ++i) {
    const std::int64_t stride = windows.strides[i];
    to[i + 1] = windows.same ? from[i + 1] * stride
                             : (from[i + 1] - 1) * stride + std::max(windows.sizes[i], stride);
  }
  const int kernel = kernel_for(graph, shape);
  const ConvOptions options{per_axis(windows.strides), windows.padding(), 1};
  return graph.add(
      "conv_transpose", windows.str(), {*y, kernel},
      [=](const Tensors& in) { return conv_transpose(in[0], in[1], options); },
      [=](const JetArrays& in) {
        JetArray result = jets(to, [](const Place&) { return Jet{}; });
        const Strides strides = contiguous_strides(to);
        for_places(from, [&](const Place& p) {
          windows.see(to, p, [&](const Place& element, Place place) {
            for (std::int64_t f = 0; f < filters; ++f) {
              place.back() = f;
              std::int64_t offset = 0;
              for (int axis = 0; axis < to.rank(); ++axis)
                offset += place[at(axis)] * strides[axis];
              Place weight = element;
              weight.insert(weight.end(), {f, p.back()});
              Jet& sum = result.values[static_cast<std::size_t>(offset)];
              sum = sum + in[0].at(p) * in[1].at(weight);
            }
          });
        });
        return result;
      });
}

bool add_pool(Graph& graph) {
  std::optional<int> x = of_rank(graph, 3 + graph.dice.below(2));
  if (!x) return false;
  const Shape from = graph.shape(*x);
  const Windows windows = windows_over(graph, from, false);
  const Shape to = windows.of_result(from, from[-1]);
  const bool largest = graph.dice.chance(0.5);
  bool smooth = true;  // whether each largest element stands out
  auto pooled = [=](const JetArray& in, bool* stands_out) {
    return jets(to, [&](const Place& place) {
      std::vector<Jet> seen;
      windows.see(from, place, [&](const Place&, const Place& p) { seen.push_back(in.at(p)); });
      Jet top = seen[0], sum;
      for (const Jet& jet : seen) {
        sum = sum + jet;
        if (jet.v > top.v) top = jet;
      }
      if (stands_out != nullptr)
        *stands_out &=
            std::ranges::count_if(seen, [&](const Jet& jet) { return jet.v > top.v - 0.02; }) == 1;
      return largest ? top : scaled(sum, 1.0 / static_cast<double>(seen.size()));
    });
  };
  if (largest) pooled(graph.at(*x), &smooth);
  if (!smooth) return false;
  const PoolOptions options{per_axis(windows.strides), windows.padding()};
  const PerAxis size = per_axis(windows.sizes);
  return graph.add(
      largest ? "max_pool" : "average_pool", windows.str(), {*x},
      [=](const Tensors& in) {
        return largest ? max_pool(in[0], size, options) : average_pool(in[0], size, options);
      },
      [=](const JetArrays& in) { return pooled(in[0], nullptr); });
}

// How much old pixel j of n counts in new pixel i of `size`, up to a common factor.
double share(std::int64_t n, std::int64_t size, std::int64_t i, std::int64_t j,
             const ResizeOptions& options) {
  const auto old_size = static_cast<double>(n), new_size = static_cast<double>(size);
  const auto place = static_cast<double>(j);
  const double middle = (static_cast<double>(i) + 0.5) * old_size / new_size;
  if (options.interpolation == "nearest") return place <= middle && middle < place + 1 ? 1 : 0;
  const double reach = options.antialias ? std::max(old_size / new_size, 1.0) : 1;
  return std::max(1 - std::fabs(place + 0.5 - middle) / reach, 0.0);
}

bool add_resize(Graph& graph) {
  std::optional<int> x = of_rank(graph, 3 + graph.dice.below(2));
  if (!x) return false;
  const bool last = graph.dice.chance(0.5);
  const ResizeOptions options{.interpolation = graph.dice.chance(0.3) ? "nearest" : "bilinear",
                              .antialias = graph.dice.chance(0.3),
                              .data_format = last ? "channels_last" : "channels_first"};
  const Shape from = graph.shape(*x);
  const int axis = from.rank() - (last ? 3 : 2);
  const std::array<std::int64_t, 2> size{1 + graph.dice.below(5), 1 + graph.dice.below(5)};
  const Shape to = from.with(axis, size[0]).with(axis + 1, size[1]);
  return graph.add(
      "resize",
      fmt::format("{} to {}{}", options.interpolation, to.str(),
                  options.antialias ? ", antialias" : ""),
      {*x}, [=](const Tensors& in) { return resize(in[0], size, options); },
      [=](const JetArrays& in) {
        return jets(to, [&](const Place& p) {
          Jet sum;
          double total = 0;
          Place place = p;
          for_places({from[axis], from[axis + 1]}, [&](const Place& pixel) {
            double part = 1;
            for (int i = 0; i < 2; ++i) {
              place[at(axis + i)] = pixel[at(i)];
              part *= share(from[axis + i], to[axis + i], p[at(axis + i)], pixel[at(i)], options);
            }
            total += part;
            if (part != 0) sum = sum + scaled(in[0].at(place), part);
          });
          return scaled(sum, 1 / total);
        });
      },
      /*may_alias=*/true);
}

}  // namespace

const std::vector<AddOp>& window_ops() {
  static const std::vector<AddOp> ops = {add_conv, add_conv, add_conv_transpose,
                                         add_pool, add_pool, add_resize};
  return ops;
}

}  // namespace keratin::test
