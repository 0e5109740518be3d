// The table that summary() prints, as Keras and its "rich" library lay it out
// (keras/src/utils/summary_utils.py).

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include <keratin/core/internal/message.h>
#include <keratin/training/sequential.h>

namespace keratin {
namespace {

std::string grouped(std::int64_t number) {
  std::string digits = std::to_string(number);
  for (auto i = static_cast<std::ptrdiff_t>(digits.size()) - 3; i > 0; i -= 3)
    digits.insert(static_cast<std::size_t>(i), ",");
  return digits;
}

std::string readable_size(double bytes) {
  for (const char* unit : {"B", "KB", "MB", "GB", "TB"}) {
    if (bytes < 1024) return fmt::format("{:.2f} {}", bytes, unit);
    bytes /= 1024;
  }
  return fmt::format("{:.2f} PB", bytes);
}

std::string repeated(const char* text, int times) {
  std::string result;
  for (int i = 0; i < times; ++i) result += text;
  return result;
}

// Lines of at most `width` letters, broken between words, or inside one that is longer.
std::vector<std::string> wrapped(const std::string& text, std::size_t width) {
  std::vector<std::string> lines{""};
  std::size_t at = 0;
  while (at < text.size()) {
    std::size_t end = std::min(text.find(' ', at), text.size());
    std::string word = text.substr(at, end - at);
    std::string& line = lines.back();
    if (!line.empty() && line.size() + 1 + word.size() > width) {
      lines.emplace_back();
      continue;
    }
    if (line.empty() && word.size() > width) {
      line = word.substr(0, width);
      lines.emplace_back();
      at += width;
      continue;
    }
    line += (line.empty() ? "" : " ") + word;
    at = end + 1;
  }
  if (lines.size() > 1 && lines.back().empty()) lines.pop_back();
  return lines;
}

using Row = std::array<std::string, 3>;

std::string rule(const char* left, const char* line, const char* middle, const char* right,
                 const std::array<int, 3>& widths) {
  return left + repeated(line, widths[0] + 2) + middle + repeated(line, widths[1] + 2) + middle +
         repeated(line, widths[2] + 2) + right + "\n";
}

std::string cells(const Row& row, const char* bar, const std::array<int, 3>& widths) {
  std::array<std::vector<std::string>, 3> columns;
  std::size_t height = 1;
  for (int i = 0; i < 3; ++i) {
    columns[i] = wrapped(row[i], static_cast<std::size_t>(widths[i]));
    height = std::max(height, columns[i].size());
  }
  std::string text;
  for (std::size_t line = 0; line < height; ++line) {
    text += bar;
    for (int i = 0; i < 3; ++i) {
      std::string cell = line < columns[i].size() ? columns[i][line] : "";
      text += i == 2 ? fmt::format(" {:>{}} {}", cell, widths[i], bar)
                     : fmt::format(" {:<{}} {}", cell, widths[i], bar);
    }
    text += "\n";
  }
  return text;
}

struct Sizes {
  std::int64_t count = 0;
  double bytes = 0;
  void add(const Tensor& tensor) {
    count += tensor.numel();
    bytes += static_cast<double>(tensor.numel()) * static_cast<double>(size_of(tensor.dtype()));
  }
  std::string text() const { return fmt::format("{} ({})", grouped(count), readable_size(bytes)); }
};

int terminal_line_length() {
  winsize size{};
  if (isatty(STDOUT_FILENO) == 0 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return 88;
  return size.ws_col > 40 ? std::min(88, size.ws_col - 4) : 88;
}

}  // namespace

std::string Model::summary_text(int line_length) const {
  const auto* sequential = dynamic_cast<const Sequential*>(this);
  std::vector<Row> rows;
  std::size_t index = 0;
  for (const Layer* layer : layers()) {
    std::string shape = "?";
    if (sequential != nullptr && index < sequential->output_shapes().size())
      shape = sequential->output_shapes()[index].str();
    ++index;
    if (sequential != nullptr && layer->class_name() == "InputLayer") continue;
    rows.push_back({fmt::format("{} ({})", layer->name(), layer->class_name()), shape,
                    layer->built() ? grouped(layer->count_params()) : "0 (unbuilt)"});
  }

  // Columns end at 45 %, 80 % and 100 % of the line; bars and blanks take ten of its letters.
  int first = line_length * 45 / 100, second = line_length * 80 / 100;
  std::array<int, 3> widths{first - 3, second - first - 4, line_length - second - 3};
  for (int& width : widths) width = std::max(width, 4);

  std::string text = fmt::format("Model: \"{}\"\n", name());
  text += rule("┏", "━", "┳", "┓", widths);
  text += cells({"Layer (type)", "Output Shape", "Param #"}, "┃", widths);
  text += rule("┡", "━", "╇", "┩", widths);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i > 0) text += rule("├", "─", "┼", "┤", widths);
    text += cells(rows[i], "│", widths);
  }
  text += rule("└", "─", "┴", "┘", widths);

  Sizes trainable, fixed, optimizer;
  for (const Weight& weight : trainable_weights()) trainable.add(weight);
  for (const Weight& weight : non_trainable_weights()) fixed.add(weight);
  if (compiled())
    for (const auto& variable : this->optimizer().variables()) optimizer.add(variable.second);
  Sizes total{trainable.count + fixed.count, trainable.bytes + fixed.bytes};
  bool started = compiled() && this->optimizer().variables().size() > 2;
  if (started) total = {total.count + optimizer.count, total.bytes + optimizer.bytes};
  text += fmt::format(" Total params: {}\n", total.text());
  text += fmt::format(" Trainable params: {}\n", trainable.text());
  text += fmt::format(" Non-trainable params: {}\n", fixed.text());
  if (started) text += fmt::format(" Optimizer params: {}\n", optimizer.text());
  return text;
}

void Model::summary(int line_length) const {
  std::string text = summary_text(line_length > 0 ? line_length : terminal_line_length());
  std::fputs(text.c_str(), stdout);
}

}  // namespace keratin
