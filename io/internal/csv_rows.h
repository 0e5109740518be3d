// Text cut into rows of cells, in the form of RFC 4180. What a cell means is for csv.cpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <keratin/core/internal/message.h>

namespace keratin {

inline constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

/// Without the spaces and tabs at both ends.
inline std::string_view trim(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t");
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

struct CsvCell {
  std::string_view raw;  // without the spaces or quotes around it
  bool quoted;
  std::int64_t line;

  // In quotes, a doubled quote stands for one.
  std::string text() const {
    if (!quoted) return std::string(raw);
    std::string plain;
    for (std::size_t i = 0; i < raw.size(); ++i) {
      plain += raw[i];
      if (raw[i] == '"') ++i;
    }
    return plain;
  }
};

/// Cuts a text into rows of cells, all of one length.
class CsvRows {
 public:
  CsvRows(std::string_view text, std::string_view who, char separator)
      : rest_(text), who_(who), separator_(separator) {
    if (rest_.starts_with(byte_order_mark)) rest_.remove_prefix(byte_order_mark.size());
    const auto last = rest_.find_last_not_of("\r\n");
    rest_ = rest_.substr(0, last == rest_.npos ? 0 : last + 1);
  }

  bool done() const { return rest_.empty(); }

  /// The cells are valid until the next call.
  const std::vector<CsvCell>& next() {
    row_.clear();
    do take_cell();
    while (take_separator());
    if (width_ == 0) width_ = row_.size();
    if (row_.size() < width_)
      error(row_.size() - 1,
            fmt::format("the row ends here, the first one has {} columns", width_));
    if (row_.size() > width_)
      error(width_, fmt::format("one value more than the {} columns of the first line", width_));
    return row_;
  }

  /// Throws an error about the cell at this position of the last row.
  [[noreturn]] void error(std::size_t column, std::string_view reason) const {
    fail_io("{}: line {}, column {}: {}", who_, row_[column].line, column + 1, reason);
  }

 private:
  bool at_end_of_cell() const {
    return rest_.empty() || rest_[0] == separator_ || rest_[0] == '\n' || rest_[0] == '\r';
  }

  void skip_spaces() {
    while (!at_end_of_cell() && (rest_[0] == ' ' || rest_[0] == '\t')) rest_.remove_prefix(1);
  }

  void take_cell() {
    skip_spaces();
    row_.push_back({.raw = {}, .quoted = rest_.starts_with('"'), .line = line_});
    row_.back().raw = row_.back().quoted ? take_quoted() : take_plain();
  }

  std::string_view take_plain() {
    const char* begin = rest_.data();
    while (!at_end_of_cell()) rest_.remove_prefix(1);
    return trim({begin, static_cast<std::size_t>(rest_.data() - begin)});
  }

  std::string_view take_quoted() {
    rest_.remove_prefix(1);
    std::size_t end = rest_.find('"');  // the first quote that is not one of two
    while (rest_.substr(std::min(end, rest_.size())).starts_with("\"\""))
      end = rest_.find('"', end + 2);
    if (end == rest_.npos) error(row_.size() - 1, "a quote is not closed");
    const std::string_view raw = rest_.substr(0, end);
    line_ += std::ranges::count(raw, '\n');
    rest_.remove_prefix(end + 1);
    skip_spaces();
    if (!at_end_of_cell()) error(row_.size() - 1, "the cell goes on after the closing quote");
    return raw;
  }

  // Takes what ends a cell; false when it ends the row, too.
  bool take_separator() {
    if (rest_.empty()) return false;
    const bool more = rest_[0] == separator_;
    if (!more) ++line_;
    rest_.remove_prefix(rest_.starts_with("\r\n") ? 2 : 1);
    return more;
  }

  std::string_view rest_;
  std::string_view who_;
  char separator_;
  std::int64_t line_ = 1;
  std::size_t width_ = 0;
  std::vector<CsvCell> row_;
};

}  // namespace keratin
