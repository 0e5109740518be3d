// The table that summary() prints, as Keras and its "rich" library lay it out
// (keras/src/utils/summary_utils.py).

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include <keratin/core/internal/message.h>
#include <keratin/training/internal/graph.h>
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

using Row = std::vector<std::string>;

/// One column: its header, where its right bar stands as a share of the line, and which side its
/// text leans to.
struct Column {
  const char* header;
  double end;
  bool right = false;
};

std::string rule(const char* left, const char* line, const char* middle, const char* right,
                 const std::vector<int>& widths) {
  std::string text = left;
  for (std::size_t i = 0; i < widths.size(); ++i)
    text += (i == 0 ? "" : middle) + repeated(line, widths[i] + 2);
  return text + right + "\n";
}

std::string cells(const Row& row, const char* bar, const std::vector<int>& widths,
                  const std::vector<Column>& table) {
  std::vector<std::vector<std::string>> columns;
  std::size_t height = 1;
  for (std::size_t i = 0; i < row.size(); ++i) {
    columns.push_back(wrapped(row[i], static_cast<std::size_t>(widths[i])));
    height = std::max(height, columns[i].size());
  }
  std::string text;
  for (std::size_t line = 0; line < height; ++line) {
    text += bar;
    for (std::size_t i = 0; i < row.size(); ++i) {
      std::string cell = line < columns[i].size() ? columns[i][line] : "";
      text += table[i].right ? fmt::format(" {:>{}} {}", cell, widths[i], bar)
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

int terminal_line_length(int wanted) {
  winsize size{};
  if (isatty(STDOUT_FILENO) == 0 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return wanted;
  return size.ws_col > 40 ? std::min(wanted, size.ws_col - 4) : wanted;
}

std::string str(const Shapes& shapes) {
  if (shapes.empty()) return "?";
  return shapes.size() == 1 ? shapes[0].str() : fmt::format("[{}]", fmt::join(shapes, ", "));
}

}  // namespace

// Where layers do not simply follow one another, a column says what each is connected to.
int Model::summary_width() const { return graph().empty() || graph().is_chain() ? 88 : 108; }

std::string Model::summary_text(int line_length) const {
  const bool connected = summary_width() == 108;
  if (line_length <= 0) line_length = summary_width();
  const bool sequential = graph().is_sequential;
  std::vector<Column> table{{"Layer (type)", 0.45}, {"Output Shape", 0.80}, {"Param #", 1.0, true}};
  if (connected)
    table = {{"Layer (type)", 0.3},
             {"Output Shape", 0.56},
             {"Param #", 0.74, true},
             {"Connected to", 1.0}};
  std::vector<Row> rows;
  for (std::size_t i = 0; i < sublayers().size(); ++i) {
    const Layer& layer = *sublayers()[i];
    if (sequential && layer.class_name() == "InputLayer") continue;
    const Shapes shapes = graph().empty() ? Shapes() : graph().output_shapes(i);
    rows.push_back({fmt::format("{} ({})", layer.name(), layer.class_name()), str(shapes),
                    layer.built() ? grouped(layer.count_params()) : "0 (unbuilt)"});
    if (connected) rows.back().push_back(graph().connections(i));
  }

  // Bars and blanks take three letters of each column, and one more of the line; rich takes the
  // remainders from the columns in turn, halves to even.
  std::vector<int> widths;
  int begin = 0, taken = 3 * static_cast<int>(table.size()) + 1;
  for (std::size_t i = 0; i < table.size(); ++i) {
    const int end = static_cast<int>(table[i].end * line_length);
    const int share =
        static_cast<int>(std::nearbyint(taken / static_cast<double>(table.size() - i)));
    widths.push_back(std::max(4, end - begin - share));
    begin = end;
    taken -= share;
  }

  Row headers;
  for (const Column& column : table) headers.emplace_back(column.header);
  std::string text = fmt::format("Model: \"{}\"\n", name());
  text += rule("┏", "━", "┳", "┓", widths);
  text += cells(headers, "┃", widths, table);
  text += rule("┡", "━", "╇", "┩", widths);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i > 0) text += rule("├", "─", "┼", "┤", widths);
    text += cells(rows[i], "│", widths, table);
  }
  text += rule("└", "─", "┴", "┘", widths);

  Sizes trainable, fixed, optimizer;
  for (const Weight& weight : trainable_weights()) trainable.add(weight);
  for (const Weight& weight : non_trainable_weights()) fixed.add(weight);
  if (compiled())
    for (const auto& variable : this->optimizer().variables()) optimizer.add(variable.second);
  Sizes total{trainable.count + fixed.count, trainable.bytes + fixed.bytes};
  bool started =
      compiled() && this->optimizer().built() && this->optimizer().variables().size() > 2;
  if (started) total = {total.count + optimizer.count, total.bytes + optimizer.bytes};
  text += fmt::format(" Total params: {}\n", total.text());
  text += fmt::format(" Trainable params: {}\n", trainable.text());
  text += fmt::format(" Non-trainable params: {}\n", fixed.text());
  if (started) text += fmt::format(" Optimizer params: {}\n", optimizer.text());
  if (!device().is_cpu()) text += fmt::format(" Device: {}\n", device().str());
  return text;
}

void Model::summary(int line_length) const {
  std::string text =
      summary_text(line_length > 0 ? line_length : terminal_line_length(summary_width()));
  std::fputs(text.c_str(), stdout);
}

}  // namespace keratin
