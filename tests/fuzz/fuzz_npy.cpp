#include <keratin/io/npy.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return may_refuse([&] {
    const std::string written =
        keratin::format_npy(keratin::parse_npy(text_of(data, size), "file"));
    require(keratin::format_npy(keratin::parse_npy(written, "again")) == written);
  });
}
