// What a layer returns: a tensor, or a list of them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <keratin/core/tensor.h>

namespace keratin {

using Tensors = std::vector<Tensor>;
using Shapes = std::vector<Shape>;

/// The output of a layer, which is used as the tensor that it is. Of a layer with several outputs
/// it is their list: outputs[1] is the second one, and as a tensor it is undefined.
///
///   Tensor y = dense(x);
///   auto [y, h, c] = LSTM(64, {.return_state = true})(x).unpack<3>();
class Outputs : public Tensor {
 public:
  Outputs(Tensor one) : Tensor(std::move(one)) {}
  Outputs(Tensors all) {
    if (all.size() == 1)
      Tensor::operator=(std::move(all[0]));
    else
      several_ = std::move(all);
  }

  /// How many there are.
  std::size_t count() const { return several_.empty() ? 1 : several_.size(); }
  /// Of several the one with this number, of one its part at this index of the first axis.
  Tensor operator[](std::int64_t index) const;
  operator Tensors() const { return several_.empty() ? Tensors{*this} : several_; }
  /// Throws std::invalid_argument when there are more or fewer.
  template <std::size_t N>
  std::array<Tensor, N> unpack() const {
    std::array<Tensor, N> values;
    copy_to(values.data(), N);
    return values;
  }

 private:
  void copy_to(Tensor* values, std::size_t count) const;
  Tensors several_;
};

}  // namespace keratin
