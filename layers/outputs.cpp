#include <keratin/core/internal/message.h>
#include <keratin/layers/outputs.h>

namespace keratin {

Tensor Outputs::operator[](std::int64_t index) const {
  if (several_.empty()) return Tensor::operator[](index);
  const auto n = static_cast<std::int64_t>(several_.size());
  if (index < -n || index >= n) fail("output {} of {} was asked for", index, n);
  return several_[static_cast<std::size_t>(index < 0 ? index + n : index)];
}

void Outputs::copy_to(Tensor* values, std::size_t count) const {
  const Tensors all = *this;
  if (all.size() != count) fail("unpack<{}>: there are {} outputs", count, all.size());
  for (std::size_t i = 0; i < count; ++i) values[i] = all[i];
}

}  // namespace keratin
