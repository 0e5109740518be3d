// What layers need that state the shapes of their outputs.
#pragma once

#include <stdexcept>

#include <keratin/core/internal/message.h>
#include <keratin/layers/layer.h>

namespace keratin {

/// f(), with the layer's name in front of mistakes, as in a call.
template <class F>
auto named(const Layer& layer, const F& f) {
  try {
    return f();
  } catch (const LayerError&) {
    throw;
  } catch (const std::invalid_argument& error) {
    throw LayerError(fmt::format("{} ({}): {}", layer.name(), layer.class_name(), error.what()));
  }
}

/// Of each tensor; of rank 0 where there is none.
inline Shapes shapes_of(const Tensors& tensors) {
  Shapes shapes;
  for (const Tensor& t : tensors) shapes.push_back(t.defined() ? t.shape() : Shape());
  return shapes;
}

/// Whether two extents may be the same: None may be any.
inline bool may_equal(std::int64_t a, std::int64_t b) { return a == None || b == None || a == b; }

}  // namespace keratin
