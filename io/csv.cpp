// The form of a row follows RFC 4180, but for line ends inside quotes, which numbers do not need.
#include <algorithm>
#include <charconv>
#include <type_traits>

#include <keratin/core/internal/message.h>
#include <keratin/core/internal/tensor_data.h>
#include <keratin/io/csv.h>
#include <keratin/io/file.h>

namespace keratin {
namespace {

std::string_view trim(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t");
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

// Cuts the first line off `text`.
std::string_view take_line(std::string_view& text) {
  const auto end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// The columns' names may hold anything; in quotes, a doubled quote stands for one.
std::string unquote(std::string_view cell) {
  if (cell.size() < 2 || cell.front() != '"' || cell.back() != '"') return std::string(cell);
  std::string text;
  for (std::size_t i = 1; i + 1 < cell.size(); ++i) {
    text += cell[i];
    if (cell[i] == '"' && cell[i + 1] == '"' && i + 2 < cell.size()) ++i;
  }
  return text;
}

std::string quote(const std::string& name, char separator) {
  if (name.find('\n') != name.npos || name.find('\r') != name.npos)
    fail("save_csv: the column name \"{}\" has a line end in it", name);
  if (name == trim(name) && name.find('"') == name.npos && name.find(separator) == name.npos)
    return name;
  std::string quoted = "\"";
  for (char c : name) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + '"';
}

class Reader {
 public:
  Reader(std::string_view text, std::string_view who, const CsvOptions& options)
      : rest_(text), who_(who), options_(options) {
    if (rest_.starts_with("\xEF\xBB\xBF")) rest_.remove_prefix(3);  // a byte order mark
    const auto last = rest_.find_last_not_of("\r\n");
    rest_ = rest_.substr(0, last == rest_.npos ? 0 : last + 1);
  }

  Csv read() {
    if (rest_.empty()) fail_io("{}: an empty table", who_);
    Csv csv;
    if (options_.header) {
      for_cells([&](std::string_view cell) { csv.columns.push_back(unquote(cell)); });
      width_ = csv.columns.size();
    }
    std::vector<double> values;
    std::int64_t rows = 0;
    for (; !rest_.empty(); ++rows) {
      for_cells([&](std::string_view cell) { values.push_back(number(cell)); });
      if (width_ == 0) width_ = values.size();
      if (column_ != width_)
        error(fmt::format("the row ends here, the first one has {} columns", width_));
    }
    csv.values = empty({rows, static_cast<std::int64_t>(width_)}, float64);
    std::ranges::copy(values, raw<double>(csv.values));
    return csv;
  }

 private:
  [[noreturn]] void error(const std::string& reason) const {
    fail_io("{}: line {}, column {}: {}", who_, line_, column_, reason);
  }

  // Calls each(cell) for the cells of the next line, spaces around them removed.
  template <class Each>
  void for_cells(const Each& each) {
    std::string_view line = take_line(rest_);
    ++line_;
    column_ = 0;
    for (bool more = true; more;) {
      ++column_;
      std::size_t end = 0;
      bool quoted = false;
      for (; end < line.size() && (quoted || line[end] != options_.separator); ++end)
        quoted ^= line[end] == '"';
      if (quoted) error("a quote is not closed");
      each(trim(line.substr(0, end)));
      more = end < line.size();
      line.remove_prefix(std::min(end + 1, line.size()));
    }
  }

  double number(std::string_view cell) const {
    if (width_ > 0 && column_ > width_)
      error(fmt::format("one value more than the {} columns of the first line", width_));
    if (cell.size() > 1 && cell.front() == '"' && cell.back() == '"')
      cell = trim(cell.substr(1, cell.size() - 2));
    if (cell.empty()) error("expected a number, found nothing");
    double value = 0;
    const bool plus = cell.front() == '+' && !cell.starts_with("+-");
    const char* end = cell.data() + cell.size();
    const auto [stop, fault] = std::from_chars(cell.data() + (plus ? 1 : 0), end, value);
    if (fault == std::errc::result_out_of_range)
      error(fmt::format("{} is beyond the range of float64", cell.substr(0, 40)));
    if (fault != std::errc() || stop != end)
      error(fmt::format("expected a number, found \"{}\"", cell.substr(0, 40)));
    return value;
  }

  std::string_view rest_;
  std::string_view who_;
  CsvOptions options_;
  std::int64_t line_ = 0;
  std::size_t column_ = 0;
  std::size_t width_ = 0;
};

// The shortest digits that read back as the same element.
template <class T>
void append_rows(std::string& text, const Tensor& values, char separator) {
  const auto* value = raw<T>(values);
  char digits[32];
  for (std::int64_t row = 0; row < values.size(0); ++row)
    for (std::int64_t column = 0; column < values.size(1); ++column, ++value) {
      if constexpr (std::is_same_v<T, bool>)
        text += *value ? '1' : '0';
      else
        text.append(digits, std::to_chars(digits, digits + sizeof digits, *value).ptr);
      text += column + 1 < values.size(1) ? separator : '\n';
    }
}

}  // namespace

Csv parse_csv(std::string_view text, std::string_view who, const CsvOptions& options) {
  return Reader(text, who, options).read();
}

std::string format_csv(const std::vector<std::string>& columns, const Tensor& values) {
  constexpr char separator = ',';
  if (!values.defined() || values.rank() != 2)
    fail("save_csv: expected values of shape (rows, columns), got {}",
         values.defined() ? values.shape().str() : "an undefined tensor");
  if (!columns.empty() && static_cast<std::int64_t>(columns.size()) != values.size(1))
    fail("save_csv: {} column names for values of shape {}", columns.size(), values.shape());

  std::string text;
  for (std::size_t i = 0; i < columns.size(); ++i)
    text += quote(columns[i], separator) + (i + 1 < columns.size() ? separator : '\n');
  const Tensor rows = contiguous(values);
  switch (rows.dtype()) {
    case boolean:
      append_rows<bool>(text, rows, separator);
      break;
    case int32:
      append_rows<std::int32_t>(text, rows, separator);
      break;
    case float32:
      append_rows<float>(text, rows, separator);
      break;
    case float64:
      append_rows<double>(text, rows, separator);
      break;
  }
  return text;
}

Csv load_csv(const std::string& path, const CsvOptions& options) {
  return parse_csv(read_file(path), path, options);
}

void save_csv(const std::string& path, const std::vector<std::string>& columns,
              const Tensor& values) {
  write_file(path, format_csv(columns, values));
}

}  // namespace keratin
