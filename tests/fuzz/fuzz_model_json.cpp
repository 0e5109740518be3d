#include <keratin/training/saving.h>

#include "fuzz.h"
#include "mutators.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return may_refuse([&] {
    const auto model = keratin::model_from_json(std::string(text_of(data, size)));
    const std::string written = model->to_json();
    require(keratin::model_from_json(written)->to_json() == written);
  });
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most,
                                    unsigned seed) {
  return mutate_json(data, size, most, seed);
}
