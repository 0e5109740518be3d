// What the drawings of a report are made with: pieces of SVG appended to a string, axes, colours.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include <keratin/core/internal/message.h>

namespace keratin::drawing {

inline constexpr const char* ink = "#222";
inline constexpr const char* faint = "#e4e4e4";
inline constexpr const char* training_color = "#14508c";
inline constexpr const char* validation_color = "#c4560a";

// Text as content or attribute. Control characters cannot stand in XML at all.
inline std::string escape(std::string_view text) {
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

inline std::string number(double value) { return fmt::format("{:.4g}", value); }

// --- drawing

// Maps values of an axis to places in the drawing.
struct Axis {
  double low, high, begin, end;
  double operator()(double value) const {
    return high > low ? begin + (value - low) / (high - low) * (end - begin) : (begin + end) / 2;
  }
};

// A distance of ticks, 1, 2 or 5 times a power of ten, that gives about `count` of them.
inline double tick_step(double range, int count) {
  const double rough = range / count;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  for (double step : {1.0, 2.0, 5.0})
    if (rough <= step * power) return step * power;
  return 10 * power;
}

inline std::vector<double> ticks(double low, double high, int count, double smallest = 0) {
  const double step = std::max(tick_step(high > low ? high - low : 1, count), smallest);
  std::vector<double> values;
  for (double i = std::ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; ++i)
    values.push_back(i == 0 ? 0 : i * step);
  return values;
}

inline void open_svg(std::string& svg, double width, double height, const std::string& label) {
  add(svg,
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:g} {1:g}\" width=\"{0:g}\" "
      "height=\"{1:g}\" role=\"img\" aria-label=\"{2}\" font-family=\"system-ui, Segoe UI, "
      "Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"{3}\">\n"
      "<rect width=\"{0:g}\" height=\"{1:g}\" fill=\"#fff\"/>\n",
      width, height, escape(label), ink);
}

// Attributes are such as "text-anchor=\"end\"".
inline void add_text(std::string& svg, double x, double y, const std::string& text,
                     const std::string& attributes = "") {
  add(svg, "<text x=\"{:.1f}\" y=\"{:.1f}\" {}>{}</text>\n", x, y, attributes, escape(text));
}

inline constexpr const char* centred = "text-anchor=\"middle\"";
inline constexpr const char* at_end = "text-anchor=\"end\"";
inline constexpr const char* heading = "font-size=\"14\" font-weight=\"600\"";

inline void add_vertical_text(std::string& svg, double x, double y, const std::string& text) {
  add_text(svg, 0, 0, text,
           fmt::format("{} transform=\"translate({:.1f} {:.1f}) rotate(-90)\"", centred, x, y));
}

inline void add_line(std::string& svg, double x1, double y1, double x2, double y2,
                     const std::string& stroke, const std::string& attributes = "") {
  add(svg, "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\" {}/>\n", x1,
      y1, x2, y2, stroke, attributes);
}

}  // namespace keratin::drawing
