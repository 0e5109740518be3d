// One time step of a recurrent cell on a block of rows, forward and backward.
#pragma once

#include <keratin/autograd/internal/factor.h>
#include <keratin/autograd/internal/scan.h>

namespace keratin::scan {

/// One matrix for each time step. at(t) moves one of two headers instead of making a new one, so
/// that a loop over time allocates nothing: the view is valid until step t - 2 or t + 2 is asked
/// for.
class Steps {
 public:
  Steps() = default;
  /// The steps of a matrix, each with `count` rows. Where it has fewer rows than the steps need,
  /// they take turns: step t is in slot t % slots.
  Steps(const Tensor& all, std::int64_t count)
      : Steps(all, rows(all, 0, count), count * all.strides()[0]) {
    if (count > 0) slots_ = all.size(0) / count;
  }
  /// The steps of x (time, rows, columns).
  explicit Steps(const Tensor& x)
      : Steps(x, make_view(x, {x.size(1), x.size(2)}, {x.strides()[1], x.strides()[2]}),
              x.strides()[0]) {}

  bool defined() const { return all_.defined(); }
  /// The steps in their memory: (slots * rows, columns).
  const Tensor& all() const { return all_; }
  const Tensor& at(std::int64_t t) const {
    const Tensor& view = views_[t & 1];
    TensorData::of(view).data = data_ + t % slots_ * bytes_;
    return view;
  }

 private:
  Steps(const Tensor& all, const Tensor& first, std::int64_t distance)
      : all_(all),
        views_{first, make_view(first, first.shape(), first.strides())},
        data_(TensorData::of(first).data),
        bytes_(distance * static_cast<std::int64_t>(size_of(all.dtype()))) {}

  Tensor all_, views_[2];
  std::byte* data_ = nullptr;
  std::int64_t bytes_ = 0, slots_ = INT64_MAX;
};

/// What is the same in every step.
struct Cell {
  FusedCell kind;
  std::int64_t units, steps;
  bool at_rest;       // the states before the first step are 0
  Tensor state_bias;  // of h times the recurrent kernel, for a GRU with reset_after; or undefined
  Tensor zero;
  Tensor whole_kernel;  // the recurrent one, for a device that has a kernel for the whole step
  bool is(FusedCell other) const { return kind == other; }
};

/// The kernels of a pass. A GRU whose reset gate acts before the product multiplies h by the
/// columns of the gates z and r, and r h by those of the candidate.
struct Factors {
  Factor kernel, recurrent, candidate;
};

/// Rows first..first + count - 1 of the batch, with the memory of all their steps.
struct Block {
  std::int64_t first, count;
  Steps x;       // the inputs
  Steps z;       // the gates: the inputs' share first, then activated in place
  Steps hz;      // GRU: the state's share of the gates (reset_after), or r h
  Steps h, c;    // the states before the first step and after each
  Steps tanh_c;  // LSTM
  Steps valid;   // where there is a mask: (rows, 1)
  Tensors input_masks, recurrent_masks, candidate_masks;  // of dropout
};

/// The gradients of a block while its steps are walked backward.
struct BlockGradients {
  Steps z, hz;            // of the two shares of the gates; one tensor where they are equal
  Steps y;                // of the outputs; undefined where only the last one is an output
  Tensor h, c;            // of the states after the step at hand
  Tensor past_h, past_c;  // the part of these that goes past a masked step
};

/// The states after step t, from those before it and the inputs' share of the gates.
void step(const Cell& cell, const Block& b, std::int64_t t, const Factors& factors);

/// Fills in the gradients of step t's gates, given those of the steps after it; g.h and g.c go from
/// the states after step t to what reaches the states before it beside the gates.
void step_back(const Cell& cell, const Block& b, std::int64_t t, const BlockGradients& g,
               const Factors& transposed);
/// Makes g.h the gradient of the state before step t: adds what goes through the gates, or takes
/// that alone where nothing else reaches the state. step_back(t - 1) does so itself.
void product_back(const Cell& cell, const Block& b, std::int64_t t, const BlockGradients& g,
                  const Factors& transposed);

}  // namespace keratin::scan
