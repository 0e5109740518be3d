// Ops that write their results into memory their caller provides. They are for a layer that made
// the memory itself and knows who reads it: nothing here checks that.
#pragma once

#include <array>
#include <memory>
#include <span>

#include <keratin/core/tensor.h>

namespace keratin {

/// c = a . b, or c += a . b. Not recorded. A bias (columns), if defined, is what c starts
/// from; there is none where c accumulates.
void product_into(const Tensor& c, const Tensor& a, const Tensor& b, bool accumulate,
                  const Tensor& bias = {});

/// A matrix that takes part in many products: it is packed for them once, and so is its transpose
/// for their gradients.
class SharedFactor {
 public:
  /// `products` of matrices with `rows` rows are to come.
  SharedFactor(const Tensor& matrix, std::int64_t rows, std::int64_t products);
  const Tensor& matrix() const;
  /// c += a . matrix
  void add_product(const Tensor& c, const Tensor& a) const;
  /// c = a . matrix^T, or c += a . matrix^T
  void multiply_transposed(const Tensor& c, const Tensor& a, bool accumulate) const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// c + a . b, written over c. For matrices of one dtype.
Tensor add_dot_over(const Tensor& c, const Tensor& a, const SharedFactor& b);

/// c + (a[0] . b[0] | a[1] . b[1] | ...), products side by side, written over c.
Tensor add_dots_over(const Tensor& c, std::span<const Tensor> a, std::span<const SharedFactor> b);

/// a * b, written into `place`, which has the shape of the result.
Tensor multiply_into(const Tensor& place, const Tensor& a, const Tensor& b);

/// lstm_cell(z, c) with h written into `h_place` (batch, units) and, where the backward pass does
/// not need z itself, the activated gates and later the gradient of z over z.
std::array<Tensor, 2> lstm_cell_over(const Tensor& z, const Tensor& c, const Tensor& h_place);

/// gru_cell(x, h_share, h) likewise; the gates and their gradients go over x and h_share.
Tensor gru_cell_over(const Tensor& x, const Tensor& h_share, const Tensor& h,
                     const Tensor& h_place);

/// where(condition, a, b), written over a. The condition is boolean, b has the dtype of a, and
/// neither makes the result larger than a.
Tensor where_over(const Tensor& condition, const Tensor& a, const Tensor& b);

/// stack(parts, 0), which is a view where the parts already lie side by side.
Tensor joined(const std::vector<Tensor>& parts);

/// concatenate(parts, axis), which is a view where parts of one shape already lie side by side.
Tensor adjoined(const std::vector<Tensor>& parts, int axis);

}  // namespace keratin
