// The state of one call of a layer.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include <keratin/core/random.h>
#include <keratin/core/tensor.h>

namespace keratin {

class Layer;

/// What a layer's call knows. A context without a layer sets noise or capture for the calls inside.
struct CallContext {
  CallContext* outer = nullptr;  // the call from which this one was made
  const Layer* layer = nullptr;
  bool training = false;
  std::vector<Tensor> masks = {};         // of the inputs
  bool mask_read = false;                 // by the call
  std::vector<Tensor> output_masks = {};  // what the call itself says of its outputs
  bool output_masks_known = false;
  // All layers inside draw from it: a check calls the same function many times and must see the
  // same noise each time.
  Random* noise = nullptr;
  std::map<std::string, Tensor>* capture = nullptr;  // of what layers name
  std::vector<Tensor>* losses = nullptr;             // what layers add to the loss
  bool weights_come_later = false;                   // weights made inside are on meta
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

/// While it lives, layers are called from inside this one, to which they belong.
class InsideOf {
 public:
  explicit InsideOf(const Layer& layer)
      : context_{.outer = current_call, .layer = &layer}, scope_(current_call, &context_) {}

 private:
  CallContext context_;
  Swap<CallContext*> scope_;
};

/// While it lives, the weights that layers make in this thread are on meta, until they are
/// assigned.
class WeightsComeLater {
 public:
  WeightsComeLater() : scope_(current_call, &context_) {}

 private:
  CallContext context_{.outer = current_call, .weights_come_later = true};
  Swap<CallContext*> scope_;
};
/// A layer with code of the user's gets its weights at once, and so do its parts: that code may
/// look at them.
bool weights_come_later();

/// Whether copies of layers made in this thread are new layers: inside while_cloning.
bool cloning();

}  // namespace keratin
