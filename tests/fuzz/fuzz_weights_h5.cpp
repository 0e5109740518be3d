#include <keratin/keratin.h>

#include "fuzz.h"
#include "mutators.h"

// The model of tests/golden/hostile/good_dense.weights.h5.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static keratin::Sequential model = [] {
    return keratin::Sequential(
        keratin::load_model(KERATIN_SOURCE_DIR "/tests/golden/hostile/good_dense.keras"));
  }();
  return may_refuse([&] { model.load_weights(in_file(text_of(data, size), ".weights.h5")); });
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most,
                                    unsigned seed) {
  return mutate_hdf5(data, size, most, seed);
}
