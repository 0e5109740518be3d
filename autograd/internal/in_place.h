// Ops that write their results into memory their caller provides. They are for a layer that made
// the memory itself and knows who reads it: nothing here checks that.
#pragma once

#include <array>

#include <keratin/core/tensor.h>

namespace keratin {

/// c + a . b, written over c. For matrices of one dtype.
Tensor add_dot_over(const Tensor& c, const Tensor& a, const Tensor& b);

/// lstm_cell(z, c) with h written into `h_place` (batch, units) and, where the backward pass does
/// not need z itself, the activated gates and later the gradient of z over z.
std::array<Tensor, 2> lstm_cell_over(const Tensor& z, const Tensor& c, const Tensor& h_place);

/// gru_cell(x, h_share, h) likewise; the gates and their gradients go over x and h_share.
Tensor gru_cell_over(const Tensor& x, const Tensor& h_share, const Tensor& h,
                     const Tensor& h_place);

/// stack(parts, 0), which is a view where the parts already lie side by side.
Tensor joined(const std::vector<Tensor>& parts);

}  // namespace keratin
