#include <keratin/io/npz.h>

#include "fuzz.h"
#include "mutators.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return may_refuse([&] {
    const auto arrays = keratin::parse_npz(std::string(text_of(data, size)), "file");
    const std::string written = keratin::format_npz({arrays.begin(), arrays.end()});
    require(keratin::parse_npz(written, "again").size() == arrays.size());
  });
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most,
                                    unsigned seed) {
  return seed % 2 == 0 ? mutate_archive(data, size, most, seed / 2)
                       : LLVMFuzzerMutate(data, size, most);
}
