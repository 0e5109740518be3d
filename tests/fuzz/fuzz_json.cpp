#include <keratin/io/json.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return may_refuse([&] {
    const keratin::Option value = keratin::parse_json(text_of(data, size), "file");
    require(keratin::parse_json(keratin::format_json(value), "again") == value);
  });
}
