// What the constructors of the layers share, and the options that several of them have.
#pragma once

#include <algorithm>
#include <string>
#include <typeinfo>
#include <vector>

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

// --- options that several layers have

inline Field data_format_field(std::string& format) {
  return {"data_format", &format, one_of({"channels_last", "channels_first"})};
}

/// One axis, which is written as a number, or several.
inline Field axis_field(std::vector<int>& axes) {
  return {"axis",
          [&] { return axes.size() == 1 ? to_option(axes[0]) : to_option(axes); },
          [&](const Option& value) { return from_option(value, axes); },
          {"of at least one number", [](const Option& value) { return !value.is_none(); }}};
}

/// A shape with None for sizes of the input; without axes it is None itself.
inline Field noise_shape_field(Shape& shape) {
  auto read = [&] { return shape.empty() ? Option() : to_option(shape); };
  auto write = [&](const Option& value) {
    if (!value.is_none()) return from_option(value, shape);
    shape = {};
    return true;
  };
  return {"noise_shape",
          read,
          write,
          {"of at least 1, or None, for each axis", [](const Option& value) {
             Shape sizes;
             return value.is_none() ||
                    (from_option(value, sizes) && std::ranges::all_of(sizes, [](std::int64_t size) {
                       return size == None || size > 0;
                     }));
           }}};
}

}  // namespace keratin
