// The attention drawing of a report: bars of weights above a heat map of the features.

#include <algorithm>
#include <cmath>
#include <iterator>

#include <keratin/core/internal/message.h>
#include <keratin/training/internal/report_parts.h>
#include <keratin/training/internal/svg.h>

namespace keratin::drawing {

namespace {

constexpr int shades = 32;

}  // namespace

// From nearly white to dark blue, steadily darker: also without colour.
std::string shade(double share) {
  constexpr double stops[][3] = {{247, 251, 255}, {158, 202, 225}, {66, 146, 198}, {8, 48, 107}};
  const double place = std::clamp(share, 0.0, 1.0) * 3;
  const int i = std::min(2, static_cast<int>(place));
  std::string color = "#";
  for (int c = 0; c < 3; ++c)
    add(color, "{:02x}",
        static_cast<int>(std::lround(stops[i][c] + (place - i) * (stops[i + 1][c] - stops[i][c]))));
  return color;
}

namespace {

// Values by row and column of a picture.
struct Grid {
  std::int64_t rows = 0, columns = 0;
  std::vector<double> values;
  double at(std::int64_t row, std::int64_t column) const {
    return values[static_cast<std::size_t>(row * columns + column)];
  }
};

// Each block of (rows, columns) replaced by its mean.
Grid averaged(const Grid& grid, std::int64_t rows, std::int64_t columns) {
  if (rows == 1 && columns == 1) return grid;
  Grid result{(grid.rows + rows - 1) / rows, (grid.columns + columns - 1) / columns, {}};
  for (std::int64_t i = 0; i < result.rows; ++i)
    for (std::int64_t j = 0; j < result.columns; ++j) {
      double total = 0, count = 0;
      for (std::int64_t r = i * rows; r < std::min((i + 1) * rows, grid.rows); ++r)
        for (std::int64_t c = j * columns; c < std::min((j + 1) * columns, grid.columns); ++c)
          total += grid.at(r, c), ++count;
      result.values.push_back(total / count);
    }
  return result;
}

std::pair<double, double> range_of(const Grid& grid) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (double value : grid.values)
    if (std::isfinite(value)) low = std::min(low, value), high = std::max(high, value);
  return low <= high ? std::pair{low, high} : std::pair{0.0, 0.0};
}

// One path for each shade, in which equal neighbours are one stroke: small files.
void add_heat_map(std::string& svg, const Grid& grid, double low, double high) {
  std::vector<std::string> paths(shades);
  auto level = [&](std::int64_t row, std::int64_t column) {
    const double value = grid.at(row, column);
    if (!std::isfinite(value)) return -1;
    const double share = high > low ? (value - low) / (high - low) : 0.5;
    return std::min(shades - 1, static_cast<int>(share * shades));
  };
  for (std::int64_t row = 0; row < grid.rows; ++row)
    for (std::int64_t column = 0, end; column < grid.columns; column = end) {
      const int here = level(row, column);
      for (end = column + 1; end < grid.columns && level(row, end) == here; ++end) {
      }
      if (here >= 0)
        add(paths[static_cast<std::size_t>(here)], "M{} {}h{}v1h-{}z", column, row, end - column,
            end - column);
    }
  for (int i = 0; i < shades; ++i)
    if (const auto& path = paths[static_cast<std::size_t>(i)]; !path.empty())
      add(svg, "<path fill=\"{}\" d=\"{}\"/>\n", shade((i + 0.5) / shades), path);
}

// The features as rows, the steps that are not padding as columns; and the weights as one row.
struct AttentionData {
  std::int64_t time = 0, length = 0;
  Grid features, weights;
};

AttentionData check(const AttentionExample& example) {
  const Tensor &x = example.features, &a = example.weights;
  auto shape = [](const Tensor& t) { return t.defined() ? t.shape().str() : "nothing"; };
  if (!x.defined() || x.rank() != 2 || x.numel() == 0)
    fail("attention \"{}\": expected features of shape (time, features), got {}", example.title,
         shape(x));
  AttentionData data;
  data.time = x.size(0);
  data.length = example.length == 0 ? data.time : example.length;
  if (!a.defined() || a.rank() == 0 || a.rank() > 2 || a.size(0) != data.time ||
      a.numel() != data.time)
    fail("attention \"{}\": expected a weight for each of {} time steps, got {}", example.title,
         data.time, shape(a));
  if (data.length < 0 || data.length > data.time)
    fail("attention \"{}\": a length of {} among {} time steps", example.title, example.length,
         data.time);
  const auto names = static_cast<std::int64_t>(example.feature_names.size());
  if (names != 0 && names != x.size(1))
    fail("attention \"{}\": {} feature names for {} features", example.title, names, x.size(1));

  data.features = {x.size(1), data.length, {}};
  const auto values = x.to_vector<double>();
  for (std::int64_t row = 0; row < x.size(1); ++row)
    for (std::int64_t step = 0; step < data.length; ++step)
      data.features.values.push_back(values[static_cast<std::size_t>(step * x.size(1) + row)]);
  data.weights = {1, data.length, a.to_vector<double>()};
  data.weights.values.resize(static_cast<std::size_t>(data.length));
  return data;
}

// What a cell stands for, when it is not one step of one feature.
std::string averaging(std::int64_t steps, std::int64_t features) {
  if (steps == 1 && features == 1) return "";
  return fmt::format(" (each cell the mean of {} steps and {} features)", steps, features);
}

// Code points: the bytes that do not continue one.
std::size_t visible_length(const std::string& text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string row_name(const AttentionExample& example, std::int64_t feature) {
  if (example.feature_names.empty()) return std::to_string(feature);
  std::string name = example.feature_names[static_cast<std::size_t>(feature)];
  if (visible_length(name) <= 20) return name;
  while (visible_length(name) > 19) name.pop_back();
  return name + "…";
}

}  // namespace

// A picture of at most so many cells.
std::string draw_attention(const AttentionExample& example, std::int64_t cells) {
  const AttentionData data = check(example);
  const std::int64_t most_rows = std::min<std::int64_t>(48, std::max<std::int64_t>(8, cells / 40));
  const std::int64_t merged_rows = (data.features.rows + most_rows - 1) / most_rows;
  const std::int64_t rows = (data.features.rows + merged_rows - 1) / merged_rows;
  const std::int64_t most_columns = std::clamp<std::int64_t>(cells / rows, 40, 300);
  const std::int64_t merged = (data.time + most_columns - 1) / most_columns;
  const Grid features = averaged(data.features, merged_rows, merged);
  const Grid weights = averaged(data.weights, 1, merged);
  const auto [low, high] = range_of(features);

  std::vector<std::string> names;
  std::size_t longest = 3;
  for (std::int64_t row = 0; row < rows; ++row) {
    names.push_back(row_name(example, row * merged_rows));
    longest = std::max(longest, visible_length(names.back()));
  }

  constexpr double width = 860, top = 46, bars = 110;
  const double left = 52 + 7.0 * static_cast<double>(longest);
  const double columns = static_cast<double>(data.time) / static_cast<double>(merged);
  const double cell_width = std::max(1.0, std::floor((width - left - 124) / columns));
  const double cell_height =
      std::max(std::clamp(std::floor(220.0 / static_cast<double>(rows)), 4.0, 18.0),
               std::floor(132.0 / static_cast<double>(rows)));
  const double right = left + cell_width * columns;
  const double valid =
      left + cell_width * static_cast<double>(data.length) / static_cast<double>(merged);
  const double middle = top + bars, map = middle + 12;
  const double bottom = map + cell_height * static_cast<double>(rows), height = bottom + 44;

  std::string svg;
  open_svg(svg, width, height, "Attention: " + example.title);
  add_text(svg, left, 20, example.title, heading);

  // Weights: the highest bar leaves room for its label.
  const double highest = std::max(range_of(weights).second, 1.0 / static_cast<double>(data.length));
  const double step = tick_step(1.15 * highest, 4);
  const Axis y{0, step * std::ceil(1.15 * highest / step), middle, top};
  for (double value : ticks(0, y.high, 4)) {
    add_line(svg, left, y(value), right, y(value), faint);
    add_text(svg, left - 8, y(value) + 4, number(value), at_end);
  }
  add_vertical_text(svg, 16, (top + middle) / 2, "attention weight");
  const double gap = cell_width > 5 ? 1 : 0;
  std::int64_t peak = 0;
  std::string path;
  for (std::int64_t i = 0; i < weights.columns; ++i) {
    const double value = weights.at(0, i);
    if (!std::isfinite(value)) continue;
    if (!(weights.at(0, peak) >= value)) peak = i;
    const double x = left + cell_width * static_cast<double>(i);
    add(path, "M{:g} {:g}V{:.1f}h{:g}V{:g}z", x + gap, middle, y(value),
        std::min(cell_width, valid - x) - 2 * gap, middle);
  }
  add(svg, "<path fill=\"#444\" d=\"{}\"/>\n", path);
  add_line(svg, left, middle, right, middle, "#888");
  const double uniform = 1.0 / static_cast<double>(data.length);
  add_line(svg, left, y(uniform), right + 6, y(uniform), validation_color,
           "stroke-width=\"1.4\" stroke-dasharray=\"6 3.5\"");
  add_text(svg, right + 10, y(uniform) + 4, fmt::format("all equal: 1/{}", data.length));
  const double peak_value = weights.at(0, peak);
  if (std::isfinite(peak_value)) {
    const double x = left + cell_width * (static_cast<double>(peak) + 0.5);
    const std::string steps = merged == 1
                                  ? fmt::format("step {}", peak)
                                  : fmt::format("steps {} to {}", peak * merged,
                                                std::min((peak + 1) * merged, data.length) - 1);
    add_text(svg, std::clamp(x, left + 50, std::max(left + 50, right - 50)), y(peak_value) - 5,
             fmt::format("{}: {:.3g}", steps, peak_value),
             std::string(centred) + " font-weight=\"600\"");
  }

  // Features.
  add(svg,
      "<g transform=\"translate({:g} {:g}) scale({:g} {:g})\" shape-rendering=\"crispEdges\">\n",
      left, map, cell_width, cell_height);
  add_heat_map(svg, features, low, high);
  svg += "</g>\n";
  if (data.length < data.time) {
    add(svg, "<rect x=\"{:g}\" y=\"{:g}\" width=\"{:g}\" height=\"{:g}\" fill=\"#f2f2f2\"/>\n",
        valid, map, right - valid, bottom - map);
    if (right - valid > 60)
      add_text(svg, (valid + right) / 2, (map + bottom) / 2 + 4, "padding",
               std::string(centred) + " fill=\"#777\"");
  }
  add(svg,
      "<rect x=\"{:g}\" y=\"{:g}\" width=\"{:g}\" height=\"{:g}\" fill=\"none\" "
      "stroke=\"#888\"/>\n",
      left, map, right - left, bottom - map);
  const auto every = static_cast<std::int64_t>(std::ceil(14 / cell_height));
  for (std::int64_t row = 0; row < rows; row += every)
    add_text(svg, left - 8, map + cell_height * (static_cast<double>(row) + 0.5) + 4,
             names[static_cast<std::size_t>(row)], at_end);
  add_vertical_text(svg, 16, (map + bottom) / 2, example.feature_axis);
  for (double value : ticks(0, static_cast<double>(data.time - 1), 10, 1)) {
    const double x =
        left + cell_width * (value / static_cast<double>(merged) + (merged == 1 ? 0.5 : 0));
    add_line(svg, x, bottom, x, bottom + 4, "#888");
    add_text(svg, x, bottom + 18, fmt::format("{:.0f}", value), centred);
  }
  add_text(svg, (left + right) / 2, height - 6, example.time_axis + averaging(merged, merged_rows),
           centred);

  // What the shades mean.
  const double scale = right + 16, part = (bottom - map) / shades;
  add(svg, "<g shape-rendering=\"crispEdges\">\n");
  for (int i = 0; i < shades; ++i)
    add(svg, "<rect x=\"{:g}\" y=\"{:.2f}\" width=\"14\" height=\"{:.2f}\" fill=\"{}\"/>\n", scale,
        bottom - part * (i + 1), part + 0.3, shade((i + 0.5) / shades));
  add(svg,
      "</g>\n<rect x=\"{:g}\" y=\"{:g}\" width=\"14\" height=\"{:g}\" fill=\"none\" "
      "stroke=\"#888\"/>\n",
      scale, map, bottom - map);
  const Axis shade_axis{low, high, bottom, map};
  for (double value : high > low ? ticks(low, high, 5) : std::vector{low})
    add_text(svg, scale + 20, shade_axis(value) + 4, number(value));
  add_vertical_text(svg, scale + 64, (map + bottom) / 2, example.value_axis);
  return svg + "</svg>\n";
}

}  // namespace keratin::drawing
