// Tables of numbers as text: one row a line, values parted by a separator. No dates, no words, no
// guessing of types; a table that needs those is read elsewhere.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <keratin/core/tensor.h>

namespace keratin {

struct Csv {
  std::vector<std::string> columns;  ///< the names in the first line; empty without a header
  Tensor values;                     ///< float64, (rows, columns)
};

struct CsvOptions {
  bool header = true;  ///< the first line holds the columns' names
  char separator = ',';
};

/// Reads a table of numbers in C notation ("1.5e-3", "nan", "-inf"), whatever the locale. Lines end
/// in \n or \r\n; values may stand in double quotes and between spaces; empty lines at the end are
/// ignored. Throws std::runtime_error naming file, line and column for a row of another length and
/// for whatever is not a number, an empty value included.
Csv load_csv(const std::string& path, const CsvOptions& options = {});

/// Writes values, (rows, columns), with as many digits as it takes to read back the same numbers.
/// Without `columns` no header is written. Throws std::invalid_argument when their number differs.
void save_csv(const std::string& path, const std::vector<std::string>& columns,
              const Tensor& values);

/// load_csv of text in memory; `who` begins the error message.
Csv parse_csv(std::string_view text, std::string_view who, const CsvOptions& options = {});

/// The text that save_csv writes.
std::string format_csv(const std::vector<std::string>& columns, const Tensor& values);

}  // namespace keratin
