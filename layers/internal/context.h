// What a layer's call can see of the call it is part of.
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

/// Sets a thread's variable for a while.
template <class T>
class Swap {
 public:
  Swap(T& place, T value) : place_(place), saved_(std::exchange(place, value)) {}
  ~Swap() { place_ = saved_; }
  Swap(const Swap&) = delete;
  Swap& operator=(const Swap&) = delete;

 private:
  T& place_;
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
