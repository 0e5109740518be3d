// A tensor as text, as NumPy 2.4 prints an array under its default options: at most 8 digits after
// the point, columns aligned, rows wrapped at 75 characters, the middle of more than 1000 elements
// left out. The rules are those of numpy/_core/arrayprint.py.
//
// Which digits stand for a number is left to std::to_chars; parsing numbers is not done here.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <ostream>
#include <string>
#include <type_traits>
#include <vector>

#include <keratin/core/internal/message.h>
#include <keratin/core/internal/tensor_data.h>

namespace keratin {
namespace {

constexpr int line_width = 75;
constexpr int precision = 8;
constexpr std::int64_t summary_threshold = 1000;
constexpr std::int64_t edge_items = 3;

template <class T>
std::string print(const Tensor& tensor);

}  // namespace

std::string Tensor::str() const {
  if (!defined()) return "Tensor()";
  if (numel() == 0) return "[]";
  if (device().is_meta()) return fmt::format("Tensor({} {}, on meta)", dtype(), shape());
  if (!device().is_cpu()) return on_host(*this).str();
  switch (dtype()) {
    case boolean:
      return print<bool>(*this);
    case int32:
      return print<std::int32_t>(*this);
    case float32:
      return print<float>(*this);
    case float64:
      return print<double>(*this);
  }
  return "";
}

std::ostream& operator<<(std::ostream& out, const Tensor& tensor) { return out << tensor.str(); }

namespace {

// --- which elements

bool summarised(const Tensor& tensor) { return tensor.numel() > summary_threshold; }

// Calls item(i) for each index of the axis that is shown, and gap() where some are left out.
template <class Item, class Gap>
void for_shown(const Tensor& tensor, int axis, const Item& item, const Gap& gap) {
  const std::int64_t size = tensor.shape()[axis];
  const bool has_gap = summarised(tensor) && size > 2 * edge_items;
  for (std::int64_t i = 0; i < size; ++i) {
    if (has_gap && i == edge_items) {
      gap();
      i = size - edge_items;
    }
    item(i);
  }
}

template <class T>
void collect(const Tensor& tensor, int axis, std::int64_t offset, std::vector<T>& values) {
  if (axis == tensor.rank()) {
    values.push_back(raw<T>(tensor)[offset]);
    return;
  }
  auto item = [&](std::int64_t i) {
    collect(tensor, axis + 1, offset + i * tensor.strides()[axis], values);
  };
  for_shown(tensor, axis, item, [] {});
}

template <class T>
std::vector<T> shown_values(const Tensor& tensor) {
  std::vector<T> values;
  collect(tensor, 0, 0, values);
  return values;
}

// --- elements

using Words = std::vector<std::string>;  // the elements shown, formatted, in row-major order

std::string format_scalar(bool value) { return value ? "True" : "False"; }
std::string format_scalar(std::int32_t value) { return std::to_string(value); }

Words format(const std::vector<bool>& values) {
  Words words;
  for (bool value : values) words.push_back(value ? " True" : "False");
  return words;
}

Words format(const std::vector<std::int32_t>& values) {
  Words words;
  std::size_t width = 0;
  for (std::int32_t value : values) {
    words.push_back(std::to_string(value));
    width = std::max(width, words.back().size());
  }
  for (std::string& word : words) word.insert(0, width - word.size(), ' ');
  return words;
}

template <class... Format>
std::string digits_of(std::floating_point auto value, Format... format) {
  char text[400];
  return {text, std::to_chars(text, text + sizeof text, value, format...).ptr};
}

// "-1", "25" and "+03" of -1.25e+03; the exponent is empty in positional notation.
struct Parts {
  std::string integer, fraction, exponent;
};

Parts split(const std::string& text) {
  Parts parts;
  const auto e = std::min(text.find('e'), text.size());
  const auto point = std::min(text.find('.'), e);
  parts.integer = text.substr(0, point);
  if (point < e) parts.fraction = text.substr(point + 1, e - point - 1);
  if (e < text.size()) parts.exponent = text.substr(e + 1);
  return parts;
}

// The shortest digits that read back as the same T; correctly rounded where there would be more
// than 8 of them after the point.
template <class T>
Parts shortest(T value, std::chars_format notation) {
  Parts parts = split(digits_of(value, notation));
  if (parts.fraction.size() > precision) {
    parts = split(digits_of(value, notation, precision));
    parts.fraction.erase(parts.fraction.find_last_not_of('0') + 1);
  }
  return parts;
}

// NumPy's rule: large, small or far-apart numbers are written with an exponent. Compared in T.
template <class T>
bool needs_exponent(const std::vector<T>& values) {
  T largest = 0, smallest = INFINITY;
  for (T value : values) {
    if (value == 0 || !std::isfinite(value)) continue;
    largest = std::max(largest, std::abs(value));
    smallest = std::min(smallest, std::abs(value));
  }
  constexpr T large = std::is_same_v<T, float> ? 1e6 : 1e8;
  return largest > 0 && (largest >= large || smallest < T(1e-4) || largest / smallest > T(1000));
}

template <class T>
std::string non_finite(T value) {
  return std::isnan(value) ? "nan" : value < 0 ? "-inf" : "inf";
}

template <std::floating_point T>
Words format(const std::vector<T>& values) {
  const bool exponential = needs_exponent(values);
  const auto notation = exponential ? std::chars_format::scientific : std::chars_format::fixed;

  std::size_t left = 0, right = 0, exponent = 0, width = 0;
  for (T value : values) {
    if (!std::isfinite(value)) {
      width = std::max(width, non_finite(value).size());
      continue;
    }
    const Parts parts = shortest(value, notation);
    left = std::max(left, parts.integer.size());
    right = std::max(right, parts.fraction.size());
    exponent = std::max(exponent, parts.exponent.size());
  }
  width = std::max(width, left + 1 + right + (exponential ? 1 + exponent : 0));

  Words words;
  for (T value : values) {
    std::string word;
    if (!std::isfinite(value)) {
      word = non_finite(value);
    } else if (exponential) {  // all with equally many digits, beyond the shortest where need be
      const Parts parts = split(digits_of(value, notation, static_cast<int>(right)));
      word = parts.integer + '.' + parts.fraction + 'e' + parts.exponent[0] +
             std::string(exponent - parts.exponent.size(), '0') + parts.exponent.substr(1);
    } else {
      const Parts parts = shortest(value, notation);
      word = parts.integer + '.' + parts.fraction + std::string(right - parts.fraction.size(), ' ');
    }
    words.push_back(std::string(width - word.size(), ' ') + word);
  }
  return words;
}

// A tensor of rank 0 prints as a Python number does: all its digits, and ".0" after an integer.
template <std::floating_point T>
std::string format_scalar(T value) {
  if (!std::isfinite(value)) return non_finite(value);
  constexpr double large = std::is_same_v<T, float> ? 1e6 : 1e16;
  const double size = std::abs(static_cast<double>(value));
  if (size != 0 && (size < 1e-4 || size >= large))
    return digits_of(value, std::chars_format::scientific);
  std::string text = digits_of(value, std::chars_format::fixed);
  return text.find('.') == std::string::npos ? text + ".0" : text;
}

// --- brackets and lines

class Layout {
 public:
  Layout(const Tensor& tensor, const Words& words) : tensor_(tensor), next_(words.begin()) {}

  std::string text(int axis = 0) {
    return '[' + (axis == tensor_.rank() - 1 ? row(axis) : blocks(axis)) + ']';
  }

 private:
  // The last axis: words, wrapped so that the closing brackets still fit.
  std::string row(int axis) {
    const std::string indent(axis + 1, ' ');
    const std::size_t width = line_width - axis - 1;
    std::string done, line = indent;
    bool first = true;
    auto add = [&](const std::string& word) {
      if (!first) line += ' ';
      first = false;
      if (line.size() + word.size() > width && line.size() > indent.size()) {
        done += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
        line = indent;
      }
      line += word;
    };
    for_shown(
        tensor_, axis, [&](std::int64_t) { add(*next_++); }, [&] { add("..."); });
    return (done + line).substr(indent.size());
  }

  // Another axis: its items on lines of their own, more of them the further out.
  std::string blocks(int axis) {
    const std::string separator =
        std::string(tensor_.rank() - axis - 1, '\n') + std::string(axis + 1, ' ');
    std::string out;
    auto add = [&](const std::string& item) { out += (out.empty() ? "" : separator) + item; };
    for_shown(
        tensor_, axis, [&](std::int64_t) { add(text(axis + 1)); }, [&] { add("..."); });
    return out;
  }

  const Tensor& tensor_;
  Words::const_iterator next_;
};

template <class T>
std::string print(const Tensor& tensor) {
  const auto values = shown_values<T>(tensor);
  if (tensor.rank() == 0) return format_scalar(static_cast<T>(values[0]));
  return Layout(tensor, format(values)).text();
}

}  // namespace
}  // namespace keratin
