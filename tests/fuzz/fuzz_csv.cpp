#include <keratin/io/csv.h>

#include "fuzz.h"

// The first byte chooses the options.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text = text_of(data + 1, size - 1);
  const unsigned bits = data[0];
  keratin::CsvOptions options{.detect_text = (bits & 4) != 0};
  options.header = (bits & 3) == 2 ? std::nullopt : std::optional((bits & 1) != 0);
  options.separator = ",;\t|"[bits >> 3 & 3];
  if (bits & 32) options.missing = {"", "NA"};
  if (bits & 64) options.text_columns = {"1"};
  if (bits & 128) options.columns = {"2", "1"};
  return may_refuse([&] {
    const keratin::Csv table = keratin::parse_csv(text, "file", options);
    const std::string written = keratin::format_csv(table);
    keratin::CsvOptions again{.header = !table.columns.empty() || !table.text.empty()};
    for (const auto& [name, cells] : table.text) again.text_columns.push_back(name);
    require(keratin::format_csv(keratin::parse_csv(written, "again", again)) == written);
  });
}
