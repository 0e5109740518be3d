#include <keratin/training/saving.h>

#include "fuzz.h"
#include "mutators.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return may_refuse([&] { keratin::load_model(in_file(text_of(data, size), ".h5")); });
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most,
                                    unsigned seed) {
  return mutate_hdf5(data, size, most, seed);
}
