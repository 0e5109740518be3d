// What the constructors of the layers share.
#pragma once

#include <typeinfo>

#include <keratin/core/internal/message.h>
#include <keratin/layers/layer.h>

namespace keratin {

/// (10, 32) without the batch axis -> (None, 10, 32).
inline Shape batched(const Shape& shape) { return shape.inserted(0, None); }

/// The options every layer has.
template <class Options>
void apply_common(Layer& layer, const Options& options) {
  if (!options.name.empty()) layer.set_name(options.name);
  if constexpr (requires { options.activity_regularizer; })
    layer.set_activity_regularizer(options.activity_regularizer);
  if constexpr (requires { options.input_shape; })
    if (!options.input_shape.empty()) layer.set_input_shape(batched(options.input_shape));
}

/// Whether the layer's class is exactly L; a derived class may behave differently.
template <class L>
bool is_exactly(const Layer& layer) {
  return typeid(layer) == typeid(L);
}

/// The layer's last input axis, which must be known to make weights.
inline std::int64_t known_last_axis(const Shape& shape) {
  if (shape.rank() == 0 || shape[-1] == None)
    fail("the last axis of the input must be known, got {}", shape);
  return shape[-1];
}

}  // namespace keratin
