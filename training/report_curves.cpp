// The curves of a report: loss and metrics over the epochs.

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>
#include <set>

#include <keratin/core/internal/message.h>
#include <keratin/training/internal/report_parts.h>
#include <keratin/training/internal/svg.h>

namespace keratin::drawing {

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

namespace {

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

}  // namespace

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

}  // namespace keratin::drawing
