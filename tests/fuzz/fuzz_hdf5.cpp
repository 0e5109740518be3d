#include <keratin/io/hdf5.h>

#include "fuzz.h"
#include "mutators.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return may_refuse([&] { keratin::parse_hdf5(std::string(text_of(data, size)), "file"); });
}
