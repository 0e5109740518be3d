// Tables as text: one row a line, values parted by a separator, quotes as in RFC 4180. Numbers
// become a tensor and text stays text, dates included: what it means is for its reader to say.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <keratin/core/tensor.h>

namespace keratin {

struct Csv {
  std::vector<std::string> columns = {};  ///< the names of the columns of values; see load_csv
  Tensor values = {};                     ///< float64, (rows, columns of numbers)
  /// The columns of text by name, a string for each row.
  std::map<std::string, std::vector<std::string>> text = {};
};

struct CsvOptions {
  /// Whether the first line holds the columns' names; std::nullopt: it does when none of its cells
  /// is a number.
  std::optional<bool> header = true;
  char separator = ',';
  std::vector<std::string> columns = {};       ///< only these, in this order; empty: all of them
  std::vector<std::string> text_columns = {};  ///< these hold text, though it may look like numbers
  /// Other columns hold text, too, if a cell is neither a number, nor empty, nor one of `missing`.
  bool detect_text = false;
  /// Cells that mean NaN, as {"", "NA"} for empty ones and NA; text keeps them as they are.
  std::vector<std::string> missing = {};
};

/// Reads a table of numbers in C notation ("1.5e-3", "nan", "-inf"), whatever the locale, and of
/// text where the options say so:
///
///   Csv csv = load_csv("weather.csv", {.text_columns = {"date"}, .missing = {""}});
///   csv.values;           // (rows, 2), float64; csv.columns is {"rain", "wind"}
///   csv.text.at("date");  // a string for each row
///
/// Without a header, columns are called by their number, from "1" on. `Csv::columns` holds these
/// where text or a choice of columns sets values apart from the file, and is empty elsewhere.
///
/// Lines end in \n, \r\n or \r; empty lines at the end are ignored. Spaces and tabs around a cell
/// do not belong to it. A cell that begins with a double quote ends with the next one, may hold
/// separators, spaces and line ends, and has "" for a quote.
///
/// Throws std::runtime_error naming file, line and column for a row of another length, a quote that
/// is not closed, and whatever is not a number where one is due: an empty cell, too, unless
/// `missing` names "". Throws std::invalid_argument for options that do not fit the file, as a
/// column that is not there. Columns that are not asked for may hold anything.
Csv load_csv(const std::string& path, const CsvOptions& options = {});

/// Writes values, (rows, columns), with as many digits as it takes to read back the same numbers.
/// Without `columns` no header is written. Throws std::invalid_argument when their number differs.
void save_csv(const std::string& path, const std::vector<std::string>& columns,
              const Tensor& values);

/// The same with text: the columns of values, then those of text by name, or `options.columns` in
/// their order. Cells are quoted where reading needs it. Of the options, columns, separator and
/// header count; no header is written where it is false. A table of text alone may leave values
/// undefined.
void save_csv(const std::string& path, const Csv& table, const CsvOptions& options = {});

/// load_csv of text in memory; `who` begins the error message.
Csv parse_csv(std::string_view text, std::string_view who, const CsvOptions& options = {});

/// The text that save_csv writes.
std::string format_csv(const std::vector<std::string>& columns, const Tensor& values);
std::string format_csv(const Csv& table, const CsvOptions& options = {});

}  // namespace keratin
