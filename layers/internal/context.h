// The state of one call of a layer.
#pragma once

#include <utility>

#include <keratin/core/random.h>
#include <keratin/core/tensor.h>

namespace keratin {

class Capture;

struct CallContext {
  bool training = false;
  Tensor mask;
  Tensor output_mask = {};  // what the call itself says of its outputs
  bool output_mask_known = false;
};

/// Sets a variable, and restores it at the end.
template <class T>
class Swap {
 public:
  Swap(T& variable, T value) : variable_(variable), saved_(std::exchange(variable, value)) {}
  ~Swap() { variable_ = saved_; }
  Swap(const Swap&) = delete;
  Swap& operator=(const Swap&) = delete;

 private:
  T& variable_;
  T saved_;
};

/// The innermost call of this thread, or null.
extern thread_local CallContext* current_call;

/// Where the layers of this thread put what they name, or null.
extern thread_local Capture* current_capture;

/// When set, all layers of this thread draw from it: a check calls the same function many times and
/// must see the same noise each time.
extern thread_local Random* shared_noise;

/// The shape with None replaced by `size`.
Shape filled_in(const Shape& shape, std::int64_t size);

}  // namespace keratin
