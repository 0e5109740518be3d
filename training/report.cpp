// The page is text put together with fmt. Drawings carry their style in attributes, so that they
// look the same in the page and alone, and use no ids, so that there may be many in one page.
#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>
#include <set>

#include <keratin/core/internal/message.h>
#include <keratin/io/file.h>
#include <keratin/training/report.h>

namespace keratin {
namespace {

constexpr const char* style = R"(
  body { font: 15px/1.5 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; color: #222;
         background: #fff; max-width: 900px; margin: 2.5rem auto; padding: 0 1.2rem;
         -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  h1 { font-size: 1.6rem; font-weight: 600; margin: 0 0 1rem; }
  h2 { font-size: 1.1rem; font-weight: 600; margin: 2.4rem 0 .8rem; padding-bottom: .3rem;
       border-bottom: 1px solid #ddd; }
  p { margin: .5rem 0; max-width: 45rem; }
  svg { display: block; width: 100%; height: auto; }
  .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(340px, 1fr));
            gap: 1.2rem; }
  .attention { margin: 0 0 1.6rem; break-inside: avoid; }
  .wide { overflow-x: auto; }
  table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
  th, td { padding: .25rem .7rem; text-align: right; }
  th { font-weight: 600; }
  .values { margin-top: 1.2rem; }
  .values th:first-child { text-align: left; }
  .values thead th { border-bottom: 1px solid #999; }
  .values tbody tr + tr > * { border-top: 1px solid #eee; }
  .matrix { font-size: .87rem; }
  .matrix td, .matrix th { padding: .25rem .45rem; min-width: 1.8rem; }
  .matrix tbody th, .matrix td { white-space: nowrap; }
  .matrix tbody td { border: 1px solid #ddd; text-align: center; }
  .matrix thead th { text-align: center; vertical-align: bottom; }
  .matrix .hit { font-weight: 700; border: 2px solid #222; }
  .matrix .none { color: #888; }
  .matrix .share { border: 0; color: #555; font-weight: 400; }
  .matrix .axis { color: #555; font-weight: 400; }
  @media print {
    body { margin: 0 auto; padding: 0; font-size: 11pt; }
    section:not(:last-child) { break-inside: avoid; }
    .wide { overflow: visible; }
    .matrix { font-size: 8pt; }
    .matrix td, .matrix th { padding: .2rem .25rem; min-width: 0; }
  }
)";

constexpr const char* ink = "#222";
constexpr const char* faint = "#e4e4e4";
constexpr const char* training_color = "#14508c";
constexpr const char* validation_color = "#c4560a";

// Text as content or attribute. Control characters cannot stand in XML at all.
std::string escape(std::string_view text) {
  std::string escaped;
  for (char c : text) switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      case '\n':
      case '\t':
        escaped += ' ';
        break;
      default:
        if (static_cast<unsigned char>(c) >= 0x20) escaped += c;
    }
  return escaped;
}

template <class... Args>
void add(std::string& text, fmt::format_string<Args...> format, Args&&... args) {
  fmt::format_to(std::back_inserter(text), format, std::forward<Args>(args)...);
}

std::string number(double value) { return fmt::format("{:.4g}", value); }

// --- drawing

// Maps values of an axis to places in the drawing.
struct Axis {
  double low, high, begin, end;
  double operator()(double value) const {
    return high > low ? begin + (value - low) / (high - low) * (end - begin) : (begin + end) / 2;
  }
};

// A distance of ticks, 1, 2 or 5 times a power of ten, that gives about `count` of them.
double tick_step(double range, int count) {
  const double rough = range / count;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  for (double step : {1.0, 2.0, 5.0})
    if (rough <= step * power) return step * power;
  return 10 * power;
}

std::vector<double> ticks(double low, double high, int count, double smallest = 0) {
  const double step = std::max(tick_step(high > low ? high - low : 1, count), smallest);
  std::vector<double> values;
  for (double i = std::ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; ++i)
    values.push_back(i == 0 ? 0 : i * step);
  return values;
}

void open_svg(std::string& svg, double width, double height, const std::string& label) {
  add(svg,
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:g} {1:g}\" width=\"{0:g}\" "
      "height=\"{1:g}\" role=\"img\" aria-label=\"{2}\" font-family=\"system-ui, Segoe UI, "
      "Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"{3}\">\n"
      "<rect width=\"{0:g}\" height=\"{1:g}\" fill=\"#fff\"/>\n",
      width, height, escape(label), ink);
}

// Attributes are such as "text-anchor=\"end\"".
void add_text(std::string& svg, double x, double y, const std::string& text,
              const std::string& attributes = "") {
  add(svg, "<text x=\"{:.1f}\" y=\"{:.1f}\" {}>{}</text>\n", x, y, attributes, escape(text));
}

constexpr const char* centred = "text-anchor=\"middle\"";
constexpr const char* at_end = "text-anchor=\"end\"";
constexpr const char* heading = "font-size=\"14\" font-weight=\"600\"";

void add_vertical_text(std::string& svg, double x, double y, const std::string& text) {
  add_text(svg, 0, 0, text,
           fmt::format("{} transform=\"translate({:.1f} {:.1f}) rotate(-90)\"", centred, x, y));
}

void add_line(std::string& svg, double x1, double y1, double x2, double y2,
              const std::string& stroke, const std::string& attributes = "") {
  add(svg, "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\" {}/>\n", x1,
      y1, x2, y2, stroke, attributes);
}

// --- curves

struct Point {
  double epoch, value;
};

// A log's values where they belong: epochs count from 1, as on the screen. Values that come in
// fewer epochs than there were are those of validation_freq.
std::vector<Point> points_of(const History& history, const std::string& name) {
  std::vector<Point> points;
  if (!history.contains(name)) return points;
  const auto& values = history[name];
  const auto& epochs = history.epoch();
  const std::size_t every = std::max<std::size_t>(1, epochs.size() / values.size());
  for (std::size_t i = 0; i < values.size() && (i + 1) * every <= epochs.size(); ++i)
    points.push_back({epochs[(i + 1) * every - 1] + 1.0, values[i]});
  return points;
}

struct Best {
  std::string name;
  Point point;
};

std::optional<Best> best_of(const History& history) {
  const std::string name = history.contains("val_loss") ? "val_loss" : "loss";
  std::optional<Best> best;
  for (const Point& point : points_of(history, name))
    if (std::isfinite(point.value) && (!best || point.value < best->point.value))
      best = Best{name, point};
  return best;
}

// Names without "val_": loss first, then by name, what callbacks added last.
std::vector<std::string> quantities(const History& history) {
  std::set<std::string> found;
  for (const std::string& name : history.names())
    found.insert(name.starts_with("val_") ? name.substr(4) : name);
  std::vector<std::string> names(found.begin(), found.end());
  auto rank = [](const std::string& name) {
    return name == "loss" ? 0 : name == "learning_rate" ? 2 : 1;
  };
  std::ranges::stable_sort(names, {}, rank);
  return names;
}

std::string title_of(std::string name) {
  std::ranges::replace(name, '_', ' ');
  if (name[0] >= 'a' && name[0] <= 'z') name[0] = static_cast<char>(name[0] - 'a' + 'A');
  return name;
}

std::string unit_of(const std::string& name) {
  if (name == "loss") return "loss (mean per sample)";
  if (name.ends_with("accuracy") || name == "acc") return name + " (share of 1)";
  if (name == "learning_rate") return "learning rate (per step)";
  return name;
}

// Training has round markers, validation square ones.
void add_marker(std::string& svg, double x, double y, bool validation, double size = 2.4) {
  if (validation)
    add(svg,
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:g}\" height=\"{:g}\" fill=\"#fff\" "
        "stroke=\"{}\" stroke-width=\"1.4\"/>\n",
        x - size, y - size, 2 * size, 2 * size, validation_color);
  else
    add(svg, "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{:g}\" fill=\"{}\"/>\n", x, y, size,
        training_color);
}

std::string stroke_of(bool validation) {
  return fmt::format("stroke-width=\"1.8\" fill=\"none\" stroke-linejoin=\"round\"{}",
                     validation ? " stroke-dasharray=\"6 3.5\"" : "");
}

void add_curve(std::string& svg, const std::vector<Point>& points, const Axis& x, const Axis& y,
               bool validation) {
  const char* color = validation ? validation_color : training_color;
  std::string path;
  bool pen_down = false;
  for (const Point& point : points) {
    const bool drawn = std::isfinite(point.value);
    if (drawn) add(path, "{}{:.1f} {:.1f}", pen_down ? 'L' : 'M', x(point.epoch), y(point.value));
    pen_down = drawn;
  }
  if (!path.empty())
    add(svg, "<path d=\"{}\" stroke=\"{}\" {}/>\n", path, color, stroke_of(validation));
  const std::size_t every = 1 + points.size() / 20;
  for (std::size_t i = 0; i < points.size(); i += every)
    if (std::isfinite(points[i].value))
      add_marker(svg, x(points[i].epoch), y(points[i].value), validation);
}

std::string curve_svg(const History& history, const std::string& name,
                      const std::optional<Best>& best) {
  const std::vector<Point> curves[] = {points_of(history, name), points_of(history, "val_" + name)};
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const auto& curve : curves)
    for (const Point& point : curve)
      if (std::isfinite(point.value)) {
        low = std::min(low, point.value);
        high = std::max(high, point.value);
      }
  if (low > high) low = high = 0;
  // Zero is shown unless that would press the curve together.
  if (low > 0 && low < high - low) low = 0;
  if (high - low < 1e-12 * std::abs(high) || high == low) {
    const double room = high == 0 ? 1 : std::abs(high) / 2;
    low -= room, high += room;
  }
  const double step = tick_step(high - low, 5);
  low = step * std::floor(low / step + 1e-9);
  high = step * std::ceil(high / step - 1e-9);

  constexpr double width = 430, height = 290, left = 62, right = 416, top = 52, bottom = 244;
  const double first = history.epoch().front() + 1.0, last = history.epoch().back() + 1.0;
  const Axis x{first, last, left + 8, right - 8}, y{low, high, bottom, top};

  std::string svg;
  open_svg(svg, width, height, title_of(name) + " by epoch");
  add_text(svg, left, 18, title_of(name), heading);
  for (double value : ticks(low, high, 5)) {
    add_line(svg, left, y(value), right, y(value), faint);
    add_text(svg, left - 8, y(value) + 4, number(value), at_end);
  }
  add_line(svg, left, bottom, right, bottom, "#888");
  for (double epoch : ticks(first, last, 6, 1)) {
    add_line(svg, x(epoch), bottom, x(epoch), bottom + 4, "#888");
    add_text(svg, x(epoch), bottom + 18, fmt::format("{:.0f}", epoch), centred);
  }
  add_text(svg, (left + right) / 2, height - 8, "epoch", centred);
  add_vertical_text(svg, 14, (top + bottom) / 2, unit_of(name));

  double legend = left;
  for (bool validation : {false, true}) {
    if (curves[validation].empty()) continue;
    add_line(svg, legend, 36, legend + 30, 36, validation ? validation_color : training_color,
             stroke_of(validation));
    add_marker(svg, legend + 15, 36, validation);
    add_text(svg, legend + 36, 40, validation ? "validation" : "training");
    legend += 106;
  }

  if (best) {
    const double at = x(best->point.epoch);
    add_line(svg, at, top, at, bottom, "#555", "stroke-dasharray=\"1.5 3\"");
    add_line(svg, legend, 36, legend + 22, 36, "#555", "stroke-dasharray=\"1.5 3\"");
    add_text(svg, legend + 28, 40, fmt::format("best epoch: {:.0f}", best->point.epoch));
  }
  for (bool validation : {false, true}) add_curve(svg, curves[validation], x, y, validation);
  if (best)
    for (bool validation : {false, true})
      for (const Point& point : curves[validation])
        if (point.epoch == best->point.epoch && std::isfinite(point.value))
          add_marker(svg, x(point.epoch), y(point.value), validation, 4.5);
  return svg + "</svg>\n";
}

// --- attention

constexpr int shades = 32;

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

// --- the page's parts

void add_values(std::string& html, const History& history, const std::optional<Best>& best) {
  auto cell = [&](const std::string& name, double epoch) {
    for (const Point& point : points_of(history, name))
      if (point.epoch == epoch) return number(point.value);
    return std::string("–");
  };
  const double last = history.epoch().back() + 1.0;
  html += "<div class=\"wide\">\n<table class=\"values\">\n<thead><tr><th></th>";
  if (best)
    add(html,
        "<th>training,<br/>best epoch ({0:.0f})</th><th>validation,<br/>best epoch ({0:.0f})</th>",
        best->point.epoch);
  add(html,
      "<th>training,<br/>last epoch ({0:.0f})</th><th>validation,<br/>last epoch "
      "({0:.0f})</th></tr></thead>\n<tbody>\n",
      last);
  for (const std::string& name : quantities(history)) {
    add(html, "<tr><th>{}</th>", escape(name));
    for (double epoch : {best ? best->point.epoch : last, last}) {
      add(html, "<td>{}</td><td>{}</td>", cell(name, epoch), cell("val_" + name, epoch));
      if (!best) break;
    }
    html += "</tr>\n";
  }
  html += "</tbody>\n</table>\n</div>\n";
  if (best)
    add(html, "<p>The best epoch is the one with the lowest {}.</p>\n",
        best->name == "val_loss" ? "loss in validation" : "loss in training");
}

void add_history(std::string& html, const History& history) {
  const auto best = best_of(history);
  html += "<section>\n<h2>Training</h2>\n<div class=\"charts\">\n";
  for (const std::string& name : quantities(history)) html += curve_svg(history, name, best);
  html += "</div>\n";
  add_values(html, history, best);
  html += "</section>\n";
}

std::string percent(double part, double whole) {
  return whole > 0 ? fmt::format("{:.1f} %", 100 * part / whole) : "–";
}

void add_confusion(std::string& html, const Tensor& confusion, std::vector<std::string> classes) {
  if (confusion.rank() != 2 || confusion.size(0) != confusion.size(1))
    fail("report: expected a confusion matrix of shape (classes, classes), got {}",
         confusion.shape());
  const auto n = static_cast<std::size_t>(confusion.size(0));
  if (classes.empty())
    for (std::size_t i = 0; i < n; ++i) classes.push_back(std::to_string(i));
  if (classes.size() != n)
    fail("report: {} class names for a confusion matrix of shape {}", classes.size(),
         confusion.shape());
  const auto counts = confusion.to_vector<double>();
  std::vector<double> truly(n), predicted(n);
  double hits = 0, total = 0;
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) {
      const double count = counts[i * n + j];
      truly[i] += count, predicted[j] += count, total += count;
      if (i == j) hits += count;
    }

  add(html,
      "<section>\n<h2>Confusion matrix</h2>\n<p>{:g} of {:g} correct ({}). Darker: a larger share "
      "of "
      "the row.</p>\n<div class=\"wide\">\n<table class=\"matrix\">\n<thead>\n"
      "<tr><th></th><th class=\"axis\" colspan=\"{}\">predicted class</th><th></th></tr>\n"
      "<tr><th class=\"axis\">true class</th>",
      hits, total, percent(hits, total), n);
  for (const std::string& name : classes) add(html, "<th>{}</th>", escape(name));
  html += "<th class=\"share\">recall</th></tr>\n</thead>\n<tbody>\n";
  for (std::size_t i = 0; i < n; ++i) {
    add(html, "<tr><th>{}</th>", escape(classes[i]));
    for (std::size_t j = 0; j < n; ++j) {
      const double count = counts[i * n + j];
      const double share = truly[i] > 0 ? count / truly[i] : 0;
      // Never so dark that black figures would not stand out.
      add(html, "<td{} style=\"background:{}\">{:g}</td>",
          i == j       ? " class=\"hit\""
          : count == 0 ? " class=\"none\""
                       : "",
          count == 0 ? "#fff" : shade(0.05 + 0.4 * share), count);
    }
    add(html, "<td class=\"share\">{}</td></tr>\n", percent(counts[i * n + i], truly[i]));
  }
  html += "<tr><th class=\"share\">precision</th>";
  for (std::size_t j = 0; j < n; ++j)
    add(html, "<td class=\"share\">{}</td>", percent(counts[j * n + j], predicted[j]));
  html += "<td class=\"share\"></td></tr>\n</tbody>\n</table>\n</div>\n</section>\n";
}

void add_attention(std::string& html, const std::vector<AttentionExample>& examples) {
  html +=
      "<section>\n<h2>Attention</h2>\n<p>Above, how much each time step counted; below, what the "
      "model saw at that step.</p>\n";
  const auto cells = 20000 / static_cast<std::int64_t>(examples.size());
  for (const AttentionExample& example : examples)
    html += "<figure class=\"attention\">\n" + draw_attention(example, cells) + "</figure>\n";
  html += "</section>\n";
}

}  // namespace

std::string report_html(const Report& report) {
  std::string html;
  add(html,
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
      "<title>{0}</title>\n<style>{1}</style>\n</head>\n<body>\n<h1>{0}</h1>\n",
      escape(report.title), style);
  for (const std::string& note : report.notes) add(html, "<p>{}</p>\n", escape(note));
  if (!report.history.epoch().empty()) add_history(html, report.history);
  if (report.confusion.defined()) add_confusion(html, report.confusion, report.classes);
  if (!report.attention.empty()) add_attention(html, report.attention);
  return html + "</body>\n</html>\n";
}

void write_report(const std::string& path, const Report& report) {
  write_file(path, report_html(report));
}

std::string attention_svg(const AttentionExample& example) {
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" + draw_attention(example, 12000);
}

}  // namespace keratin
