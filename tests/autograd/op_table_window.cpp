// The table's convolutions, poolings and resized images, by their definition: each element of the
// result looks for what its window sees.

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "op_table.h"

namespace keratin::test {
namespace {

/// What a window over one axis sees, in the words of the definition.
struct Steps {
  std::int64_t size, stride = 1, dilation = 1;
  std::string padding = "valid";

  std::int64_t reach() const { return (size - 1) * dilation + 1; }
  std::int64_t count(std::int64_t n) const {
    if (padding == "same") return (n + stride - 1) / stride;
    return (n + missing(n) - reach()) / stride + 1;
  }
  // Elements missing in front, and all that are missing.
  std::int64_t missing(std::int64_t n) const {
    if (padding == "causal") return reach() - 1;
    if (padding == "valid") return 0;
    return std::max<std::int64_t>((count(n) - 1) * stride + reach() - n, 0);
  }
  std::int64_t place(std::int64_t n, std::int64_t i, std::int64_t k) const {
    return i * stride + k * dilation - (padding == "causal" ? missing(n) : missing(n) / 2);
  }
};

using Axis = std::vector<Steps>;

PerAxis numbers(const Axis& axes, std::int64_t Steps::*member) {
  PerAxis all;
  for (const Steps& axis : axes) all.push_back(axis.*member);
  return all;
}
ConvOptions options_of(const Axis& axes) {
  return {numbers(axes, &Steps::stride), axes[0].padding, numbers(axes, &Steps::dilation)};
}

std::int64_t extent(const Shape& shape, std::size_t axis) { return shape[static_cast<int>(axis)]; }

// Calls f(element, place) for each element of the window at `place` that there is.
template <class F>
void see(const Axis& axes, const Shape& x, const Place& at, const F& f) {
  std::int64_t elements = 1;
  for (const Steps& axis : axes) elements *= axis.size;
  for (std::int64_t e = 0; e < elements; ++e) {
    Place element(axes.size()), place(axes.size());
    bool inside = true;
    std::int64_t rest = e;
    for (std::size_t i = axes.size(); i-- > 0; rest /= axes[i].size) {
      element[i] = rest % axes[i].size;
      place[i] = axes[i].place(extent(x, i + 1), at[i + 1], element[i]);
      inside &= place[i] >= 0 && place[i] < extent(x, i + 1);
    }
    if (inside) f(element, place);
  }
}

Place joined(std::int64_t first, Place middle, std::initializer_list<std::int64_t> last) {
  middle.insert(middle.begin(), first);
  middle.insert(middle.end(), last);
  return middle;
}

Shape counted(const Axis& axes, const Shape& x, std::int64_t channels) {
  Shape y{x[0]};
  for (std::size_t i = 0; i < axes.size(); ++i) y.push_back(axes[i].count(extent(x, i + 1)));
  y.push_back(channels);
  return y;
}

std::string name_of(const Axis& axes, const std::string& more) {
  std::string text = axes[0].padding;
  for (const Steps& axis : axes)
    text += " " + std::to_string(axis.size) + "/" + std::to_string(axis.stride) + "/" +
            std::to_string(axis.dilation);
  return text + more;
}

Shape kernel_of(const Axis& axes, std::int64_t channels, std::int64_t filters) {
  Shape shape;
  for (const Steps& axis : axes) shape.push_back(axis.size);
  shape.push_back(channels);
  shape.push_back(filters);
  return shape;
}

// Of so many products of numbers up to 2.
Traits sums(const Axis& axes, std::int64_t channels) {
  std::int64_t terms = channels;
  for (const Steps& axis : axes) terms *= axis.size;
  return {.ulps = 4, .floor = static_cast<double>(terms), .bits = false};
}

Case conv_case(const Shape& x, const Axis& axes, std::int64_t filters, std::int64_t groups = 1) {
  const std::int64_t channels = x[-1] / groups, width = filters / groups;
  const Shape kernel = kernel_of(axes, channels, filters);
  return {"conv",
          name_of(axes, groups == 1 ? "" : ", groups"),
          {x, kernel, Shape{filters}},
          [axes](const Inputs& in) { return conv(in[0], in[1], in[2], options_of(axes)); },
          [=](const Arrays& in) {
            return build(counted(axes, x, filters), [&](const Place& at) {
              Real sum = in[2].at({at.back()});
              see(axes, x, at, [&](const Place& k, const Place& place) {
                for (std::int64_t c = 0; c < channels; ++c) {
                  Place weight = k;
                  weight.insert(weight.end(), {c, at.back()});
                  sum += in[0].at(joined(at[0], place, {at.back() / width * channels + c})) *
                         in[1].at(weight);
                }
              });
              return sum;
            });
          },
          sums(axes, channels)};
}

Case depthwise_case(const Shape& x, const Axis& axes, std::int64_t multiplier) {
  return {"depthwise_conv",
          name_of(axes, ""),
          {x, kernel_of(axes, x[-1], multiplier)},
          [axes](const Inputs& in) { return depthwise_conv(in[0], in[1], options_of(axes)); },
          [=](const Arrays& in) {
            return build(counted(axes, x, x[-1] * multiplier), [&](const Place& at) {
              Real sum = 0;
              const std::int64_t c = at.back() / multiplier;
              see(axes, x, at, [&](const Place& k, const Place& place) {
                Place weight = k;
                weight.insert(weight.end(), {c, at.back() % multiplier});
                sum += in[0].at(joined(at[0], place, {c})) * in[1].at(weight);
              });
              return sum;
            });
          },
          sums(axes, 1)};
}

// y spreads over x as x is seen by y: y (batch, m..., channels) to x (batch, n..., filters).
Case transpose_case(const Shape& y, const Shape& x, const Axis& axes) {
  const Shape kernel = kernel_of(axes, x[-1], y[-1]);
  return {"conv_transpose",
          name_of(axes, ""),
          {y, kernel},
          [axes](const Inputs& in) { return conv_transpose(in[0], in[1], options_of(axes)); },
          [=](const Arrays& in) {
            Array result = build(x, [](const Place&) { return Real(0); });
            build(y, [&](const Place& at) {
              see(axes, x, at, [&](const Place& k, const Place& place) {
                for (std::int64_t f = 0; f < x[-1]; ++f) {
                  Place weight = k;
                  weight.insert(weight.end(), {f, at.back()});
                  std::int64_t offset = at[0];
                  for (std::size_t i = 0; i < place.size(); ++i)
                    offset = offset * extent(x, i + 1) + place[i];
                  result.values[static_cast<std::size_t>(offset * x[-1] + f)] +=
                      in[0].at(at) * in[1].at(weight);
                }
              });
              return Real(0);
            });
            return result;
          },
          sums(axes, y[-1])};
}

Case pool_case(const char* op, const Shape& x, const Axis& axes) {
  const bool largest = op == std::string("max_pool");
  return {op,
          name_of(axes, ""),
          {x},
          [axes, largest](const Inputs& in) {
            const PoolOptions options{numbers(axes, &Steps::stride), axes[0].padding};
            const PerAxis size = numbers(axes, &Steps::size);
            return largest ? max_pool(in[0], size, options) : average_pool(in[0], size, options);
          },
          [=](const Arrays& in) {
            return build(counted(axes, x, x[-1]), [&](const Place& at) {
              Real top = -std::numeric_limits<Real>::infinity(), sum = 0, count = 0;
              see(axes, x, at, [&](const Place&, const Place& place) {
                const Real value = in[0].at(joined(at[0], place, {at.back()}));
                top = std::max(top, value);
                sum += value;
                ++count;
              });
              return largest ? top : sum / count;
            });
          },
          largest ? Traits{} : Traits{.ulps = 3, .floor = 1}};
}

// --- images

// How much each of n old pixels counts in new pixel i of `size`.
std::vector<Real> shares(std::int64_t n, std::int64_t size, std::int64_t i,
                         const ResizeOptions& options) {
  std::vector<Real> share(static_cast<std::size_t>(n), 0);
  auto of = [&](std::int64_t j) -> Real& {
    return share[static_cast<std::size_t>(std::clamp<std::int64_t>(j, 0, n - 1))];
  };
  const Real middle =
      (static_cast<Real>(i) + 0.5L) * static_cast<Real>(n) / static_cast<Real>(size);
  if (options.interpolation == "nearest") {
    std::int64_t j = 0;
    while (2 * (j + 1) * size <= (2 * i + 1) * n) ++j;
    of(j) = 1;
  } else if (options.antialias && n > size) {
    const Real width = static_cast<Real>(n) / static_cast<Real>(size);
    Real total = 0;
    for (std::int64_t j = 0; j < n; ++j) {
      of(j) = std::max(1 - std::fabs(static_cast<Real>(j) + 0.5L - middle) / width, Real(0));
      total += of(j);
    }
    for (Real& part : share) part /= total;
  } else {  // a straight line between the two nearest
    const Real left = std::floor(middle - 0.5L);
    of(static_cast<std::int64_t>(left)) += left + 1.5L - middle;
    of(static_cast<std::int64_t>(left) + 1) += middle - 0.5L - left;
  }
  return share;
}

// The part of the plane that is resized: where it begins in the image, and its height and width.
struct Frame {
  std::int64_t top, left, height, width;
};

Case resize_case(const Shape& x, std::array<std::int64_t, 2> size,
                 const ResizeOptions& options = {}, std::optional<Frame> part = {}) {
  const bool last = options.data_format == "channels_last";
  const std::size_t axis = static_cast<std::size_t>(x.rank()) - (last ? 3 : 2);
  const std::int64_t h = extent(x, axis), w = extent(x, axis + 1);
  const Frame frame = part.value_or(Frame{0, 0, h, w});
  Shape to = x;
  to[static_cast<int>(axis)] = size[0];
  to[static_cast<int>(axis) + 1] = size[1];
  return {"resize",
          options.interpolation + (last ? "" : ", channels first") +
              (options.antialias ? ", antialias" : "") + (part ? ", frame" : "") + " to " +
              to.str(),
          {x},
          [=](const Inputs& in) { return resize(in[0], size, options); },
          [=](const Arrays& in) {
            return build(to, [&](const Place& at) {
              const auto rows = shares(frame.height, size[0], at[axis], options);
              const auto columns = shares(frame.width, size[1], at[axis + 1], options);
              Real sum = 0;
              Place from = at;
              for (std::int64_t r = 0; r < frame.height; ++r) {
                for (std::int64_t c = 0; c < frame.width; ++c) {
                  from[axis] = frame.top + r;
                  from[axis + 1] = frame.left + c;
                  const bool inside = from[axis] >= 0 && from[axis] < h && from[axis + 1] >= 0 &&
                                      from[axis + 1] < w;
                  sum += rows[static_cast<std::size_t>(r)] * columns[static_cast<std::size_t>(c)] *
                         (inside ? in[0].at(from) : static_cast<Real>(options.fill_value));
                }
              }
              return sum;
            });
          },
          options.interpolation == "nearest" ? Traits{.whole = true}
                                             : Traits{.ulps = 4, .floor = 2, .bits = false}};
}

}  // namespace

std::vector<Case> window_table() {
  const Steps plain{3}, dilated{2, 1, 3}, same{3, 2, 1, "same"}, even{4, 3, 1, "same"};
  const Steps causal{3, 1, 2, "causal"}, strided{2, 2};
  return {
      conv_case({2, 7, 3}, {plain}, 5),
      conv_case({2, 8, 3}, {dilated}, 2),
      conv_case({1, 7, 2}, {causal}, 3),
      conv_case({2, 1, 2}, {{3, 1, 1, "same"}}, 1),
      conv_case({2, 6, 4}, {same}, 6, 2),
      conv_case({0, 6, 4}, {same}, 2),
      conv_case({2, 5, 6, 3}, {plain, strided}, 4),
      conv_case({2, 5, 6, 2}, {same, even}, 3),
      conv_case({2, 5, 7, 2}, {dilated, dilated}, 3),
      conv_case({1, 5, 4, 6}, {plain, {1}}, 6, 3),
      conv_case({2, 3, 4, 3, 2}, {strided, {3}, {1}}, 3),
      depthwise_case({2, 7, 3}, {same}, 1),
      depthwise_case({2, 5, 4, 3}, {plain, strided}, 2),
      transpose_case({2, 3, 3}, {2, 6, 2}, {same}),
      transpose_case({2, 3, 3}, {2, 9, 2}, {even}),
      transpose_case({2, 4, 3}, {2, 6, 2}, {plain}),
      transpose_case({2, 3, 2}, {2, 9, 2}, {{2, 3}}),
      transpose_case({2, 2, 3, 2}, {2, 4, 6, 3}, {plain, {2, 2}}),
      transpose_case({1, 2, 3, 2}, {1, 4, 6, 2}, {same, same}),
      pool_case("max_pool", {2, 7, 3}, {strided}),
      pool_case("max_pool", {2, 7, 3}, {same}),
      pool_case("max_pool", {2, 5, 6, 2}, {same, even}),
      pool_case("max_pool", {1, 4, 3, 4, 2}, {strided, {1}, {3}}),
      pool_case("average_pool", {2, 7, 3}, {strided}),
      pool_case("average_pool", {2, 7, 3}, {same}),
      pool_case("average_pool", {2, 5, 6, 2}, {same, even}),
      pool_case("average_pool", {1, 4, 3, 4, 2}, {strided, {1}, {3}}),
      resize_case({2, 4, 3, 2}, {6, 7}),
      resize_case({2, 5, 4, 2}, {3, 1}),
      resize_case({5, 4, 3}, {5, 4}),
      resize_case({1, 1, 3}, {2, 3}),
      resize_case({0, 2, 3, 1}, {3, 2}),
      resize_case({2, 3, 4, 5}, {8, 3}, {.data_format = "channels_first"}),
      resize_case({2, 7, 5}, {3, 9}, {.data_format = "channels_first"}),
      resize_case({2, 7, 5, 2}, {3, 2}, {.antialias = true}),
      resize_case({9, 2, 1}, {4, 5}, {.antialias = true}),
      resize_case({2, 7, 6}, {2, 4}, {.antialias = true, .data_format = "channels_first"}),
      resize_case({2, 4, 3, 2}, {6, 7}, {.interpolation = "nearest"}),
      resize_case({7, 6, 2}, {3, 2}, {.interpolation = "nearest"}),
      resize_case({2, 1, 4, 5}, {2, 7},
                  {.interpolation = "nearest", .data_format = "channels_first"}),
      resize_case({2, 4, 9, 1}, {4, 4}, {.crop_to_aspect_ratio = true}, Frame{0, 2, 4, 4}),
      resize_case({7, 3, 2}, {2, 3}, {.crop_to_aspect_ratio = true}, Frame{2, 0, 2, 3}),
      resize_case({2, 4, 9, 1}, {4, 4}, {.pad_to_aspect_ratio = true, .fill_value = -1.5},
                  Frame{-2, 0, 8, 9}),
      resize_case({1, 8, 3}, {4, 4},
                  {.interpolation = "nearest",
                   .pad_to_aspect_ratio = true,
                   .data_format = "channels_first"},
                  Frame{0, -2, 8, 7}),
  };
}

// Large enough for several threads and blocks; the references are slow.
std::vector<Case> large_window_table() {
  const Steps plain{3}, same{3, 1, 1, "same"}, strided{2, 2};
  return {
      conv_case({13, 13, 15, 3}, {plain, plain}, 8),
      depthwise_case({7, 14, 14, 16}, {same, same}, 1),
      pool_case("max_pool", {8, 25, 26, 16}, {strided, strided}),
      pool_case("average_pool", {8, 25, 26, 16}, {strided, strided}),
      resize_case({4, 20, 21, 3}, {67, 131}),
  };
}

}  // namespace keratin::test
