// Reader makes a table of the cells that csv_rows.h cuts, Writer makes text of a table.
#include <algorithm>
#include <charconv>
#include <limits>
#include <type_traits>

#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/suggest.h>
#include <keratin/core/internal/tensor_data.h>
#include <keratin/io/csv.h>
#include <keratin/io/file.h>
#include <keratin/io/internal/csv_rows.h>

namespace keratin {
namespace {

using Names = std::vector<std::string>;

// What columns without names are called.
Names numbers_up_to(std::size_t count) {
  Names names;
  for (std::size_t i = 1; i <= count; ++i) names.push_back(std::to_string(i));
  return names;
}

std::size_t find_column(std::string_view who, const std::string& name, const Names& known) {
  const auto count = std::ranges::count(known, name);
  if (count == 0) fail_unknown(fmt::format("{}: there is no column", who), name, known);
  if (count > 1) fail("{}: {} columns are called \"{}\", which one is not clear", who, count, name);
  return static_cast<std::size_t>(std::ranges::find(known, name) - known.begin());
}

// The positions of the columns asked for; of all columns when none is.
std::vector<std::size_t> choose_columns(std::string_view who, const Names& asked,
                                        const Names& known) {
  std::vector<std::size_t> chosen;
  for (const std::string& name : asked) {
    chosen.push_back(find_column(who, name, known));
    if (std::ranges::count(chosen, chosen.back()) > 1)
      fail("{}: the column \"{}\" is asked for twice", who, name);
  }
  if (asked.empty())
    for (std::size_t i = 0; i < known.size(); ++i) chosen.push_back(i);
  return chosen;
}

void check_separator(std::string_view who, char separator) {
  // Quotes and line ends have their own meaning, and the others are parts of numbers.
  if (std::string_view("\"\r\n+-.0123456789aefinAEFIN").find(separator) != std::string_view::npos)
    fail("{}: \"{}\" cannot separate cells", who, separator);
}

struct Number {
  double value = 0;
  std::errc fault = {};  // result_out_of_range, or invalid_argument for what is no number
};

Number parse_number(std::string_view text) {
  Number number;
  const bool plus = text.starts_with('+') && !text.starts_with("+-");
  const char* end = text.data() + text.size();
  const auto [stop, fault] = std::from_chars(text.data() + (plus ? 1 : 0), end, number.value);
  number.fault = stop == end ? fault : std::errc::invalid_argument;
  return number;
}

bool is_number(std::string_view text) {
  return parse_number(text).fault != std::errc::invalid_argument;
}

class Reader {
 public:
  Reader(std::string_view text, std::string_view who, const CsvOptions& options)
      : rows_(text, who, options.separator), who_(who), options_(options) {
    check_separator(who, options.separator);
    if (rows_.done()) fail_io("{}: an empty table", who);
    name_columns();
    chosen_ = choose_columns(who, options.columns, names_);
    is_text_.resize(names_.size());
    for (const std::string& name : options.text_columns)
      is_text_[find_column(who, name, names_)] = true;
    if (options.detect_text) detect_text();
  }

  Csv read() {
    Csv csv;
    const auto texts = add_columns(csv);
    std::vector<double> values;
    std::int64_t count = 0;
    for (; !rows_.done(); ++count) {
      const auto& row = rows_.next();
      for (std::size_t i : chosen_)
        if (texts[i] != nullptr)
          texts[i]->push_back(row[i].text());
        else
          values.push_back(number(row, i));
    }
    csv.values = tensor(values, {count, static_cast<std::int64_t>(csv.columns.size())});
    if (!header_ && csv.text.empty() && options_.columns.empty()) csv.columns.clear();
    return csv;
  }

 private:
  void name_columns() {
    CsvRows ahead = rows_;
    const auto& first = ahead.next();
    header_ = options_.header.value_or(
        std::ranges::none_of(first, [](const CsvCell& cell) { return is_number(trim(cell.raw)); }));
    if (!header_) {
      names_ = numbers_up_to(first.size());
      return;
    }
    for (const CsvCell& cell : first) names_.push_back(cell.text());
    rows_.next();
  }

  // Reads ahead to the end: the last row may be the first one with a word in it.
  void detect_text() {
    for (CsvRows ahead = rows_; !ahead.done();) {
      const auto& row = ahead.next();
      for (std::size_t i : chosen_) is_text_[i] = is_text_[i] || is_word(trim(row[i].raw));
    }
  }

  // Names the table's columns; where the text of each one goes.
  std::vector<Names*> add_columns(Csv& csv) const {
    std::vector<Names*> texts(names_.size());
    for (std::size_t i : chosen_) {
      if (!is_text_[i]) {
        csv.columns.push_back(names_[i]);
        continue;
      }
      const auto [place, added] = csv.text.try_emplace(names_[i]);
      if (!added) fail_io("{}: two columns of text are called \"{}\"", who_, names_[i]);
      texts[i] = &place->second;
    }
    return texts;
  }

  bool is_missing(std::string_view text) const {
    return std::ranges::find(options_.missing, text) != options_.missing.end();
  }

  bool is_word(std::string_view text) const {
    return !text.empty() && !is_missing(text) && !is_number(text);
  }

  double number(const std::vector<CsvCell>& row, std::size_t column) const {
    const std::string_view text = trim(row[column].raw);
    if (is_missing(text)) return std::numeric_limits<double>::quiet_NaN();
    if (text.empty()) rows_.error(column, "expected a number, found nothing");
    const auto [value, fault] = parse_number(text);
    if (fault == std::errc::result_out_of_range)
      rows_.error(column, fmt::format("{} is beyond the range of float64", text.substr(0, 40)));
    if (fault != std::errc())
      rows_.error(column, fmt::format("expected a number, found \"{}\"", text.substr(0, 40)));
    return value;
  }

  CsvRows rows_;
  std::string_view who_;
  const CsvOptions& options_;
  bool header_ = false;
  Names names_;
  std::vector<std::size_t> chosen_;
  std::vector<bool> is_text_;
};

// A column to write: text, or else the numbers in a column of values.
struct Column {
  std::string name;
  const Names* text;
  std::int64_t index;
};

// The values of a table, none of them if it has text alone.
Tensor values_of(const Csv& table) {
  Tensor values = table.values;
  if (!values.defined() && !table.text.empty()) {
    const auto rows = static_cast<std::int64_t>(table.text.begin()->second.size());
    values = empty({rows, 0}, float64, Device());
  }
  if (!values.defined() || values.rank() != 2)
    fail("save_csv: expected values of shape (rows, columns), got {}",
         values.defined() ? values.shape().str() : "an undefined tensor");
  if (!table.columns.empty() && static_cast<std::int64_t>(table.columns.size()) != values.size(1))
    fail("save_csv: {} column names for values of shape {}", table.columns.size(), values.shape());
  for (const auto& [name, cells] : table.text)
    if (static_cast<std::int64_t>(cells.size()) != values.size(0))
      fail("save_csv: the text column \"{}\" has {} rows, the table {}", name, cells.size(),
           values.size(0));
  return contiguous(values);
}

bool has_header(const Csv& table, std::int64_t numbers, const CsvOptions& options) {
  if (!options.header.value_or(true)) return false;
  if (table.columns.empty() && !table.text.empty() && numbers > 0)
    fail("save_csv: beside text, {} columns without names; name them, or set header to false",
         numbers);
  return !table.columns.empty() || !table.text.empty();
}

// The columns to write, in their order.
std::vector<Column> columns_of(const Csv& table, std::int64_t numbers, const CsvOptions& options) {
  Names names = table.columns.empty() ? numbers_up_to(numbers) : table.columns;
  std::vector<Column> all;
  for (std::int64_t i = 0; i < numbers; ++i) all.push_back({names[i], nullptr, i});
  for (const auto& [name, cells] : table.text) {
    names.push_back(name);
    all.push_back({name, &cells, 0});
  }
  std::vector<Column> chosen;
  for (std::size_t i : choose_columns("save_csv", options.columns, names)) chosen.push_back(all[i]);
  return chosen;
}

class Writer {
 public:
  Writer(std::vector<Column> columns, char separator)
      : columns_(std::move(columns)), separator_(separator) {}

  void add_header() {
    add_line([this](const Column& column) { add(column.name); });
  }

  template <class T>
  void add_rows(const Tensor& values) {
    const auto* row = raw<T>(values);
    for (std::int64_t i = 0; i < values.size(0); ++i, row += values.size(1))
      add_line([&](const Column& column) {
        if (column.text != nullptr)
          add((*column.text)[i]);
        else
          add(row[column.index]);
      });
  }

  std::string text() && { return std::move(text_); }

 private:
  template <class Add>
  void add_line(const Add& add_cell) {
    const std::size_t begin = text_.size();
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      if (i > 0) text_ += separator_;
      add_cell(columns_[i]);
    }
    // An empty line at the end of a file is not a row, an empty cell in quotes is one.
    if (text_.size() == begin) text_ += "\"\"";
    text_ += '\n';
  }

  void add(const std::string& cell) {
    // A mark at the beginning of a file would not be read as part of the cell.
    const bool plain = cell == trim(cell) && cell.find_first_of("\"\r\n") == cell.npos &&
                       cell.find(separator_) == cell.npos && !cell.starts_with(byte_order_mark);
    if (plain) {
      text_ += cell;
      return;
    }
    text_ += '"';
    for (char c : cell) text_.append(c == '"' ? 2 : 1, c);
    text_ += '"';
  }

  // The shortest digits that read back as the same element.
  template <class T>
  void add(T element) {
    char digits[32];
    if constexpr (std::is_same_v<T, bool>)
      text_ += element ? '1' : '0';
    else
      text_.append(digits, std::to_chars(digits, digits + sizeof digits, element).ptr);
  }

  std::string text_;
  std::vector<Column> columns_;
  char separator_;
};

}  // namespace

Csv parse_csv(std::string_view text, std::string_view who, const CsvOptions& options) {
  return Reader(text, who, options).read();
}

std::string format_csv(const Csv& table, const CsvOptions& options) {
  check_separator("save_csv", options.separator);
  const Tensor values = on_host(values_of(table));
  std::vector<Column> columns = columns_of(table, values.size(1), options);
  if (columns.empty()) return {};

  Writer writer(std::move(columns), options.separator);
  if (has_header(table, values.size(1), options)) writer.add_header();
  switch (values.dtype()) {
    case boolean:
      writer.add_rows<bool>(values);
      break;
    case int32:
      writer.add_rows<std::int32_t>(values);
      break;
    case float32:
      writer.add_rows<float>(values);
      break;
    case float64:
      writer.add_rows<double>(values);
      break;
  }
  return std::move(writer).text();
}

std::string format_csv(const std::vector<std::string>& columns, const Tensor& values) {
  return format_csv(Csv{columns, values});
}

Csv load_csv(const std::string& path, const CsvOptions& options) {
  return parse_csv(read_file(path), path, options);
}

void save_csv(const std::string& path, const Csv& table, const CsvOptions& options) {
  write_file(path, format_csv(table, options));
}

void save_csv(const std::string& path, const std::vector<std::string>& columns,
              const Tensor& values) {
  write_file(path, format_csv(columns, values));
}

}  // namespace keratin
