// A step of an optimizer as one functor of core/functions.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

#include <keratin/core/catalogue.h>
#include <keratin/core/tensor.h>

namespace keratin {

struct FusedStep {
  Pointwise op;
  alignas(double) std::array<std::byte, 48> functor = {};
  std::vector<Tensor> tensors;  // weight, slots, and last the gradient, which alone is not written

  template <class F>
  FusedStep(const F& f, std::vector<Tensor> tensors)
      : op(pointwise_id<F>), tensors(std::move(tensors)) {
    static_assert(std::is_trivially_copyable_v<F> && sizeof(F) <= sizeof(functor) &&
                  alignof(F) <= alignof(double));
    std::memcpy(functor.data(), &f, sizeof(F));
  }
};

}  // namespace keratin
