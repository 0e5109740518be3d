#include <keratin/core/create.h>
#include <keratin/core/kernels.h>
#include <keratin/optim/internal/finite.h>

namespace keratin {

void check_finite(const Tensor& finite, const std::vector<Tensor>& tensors) {
  for (DType dtype : {float32, float64}) {
    std::vector<Tensor> of_dtype;
    for (const Tensor& t : tensors)
      if (t.defined() && t.dtype() == dtype) of_dtype.push_back(t);
    if (!of_dtype.empty()) kernels_of(finite).check_finite(finite, of_dtype);
  }
}

bool is_finite(const Tensor& t) {
  if (!t.defined()) return true;
  const Tensor finite = full({}, 1, boolean, t.device());
  check_finite(finite, {t});
  return finite.item() != 0;
}

}  // namespace keratin
