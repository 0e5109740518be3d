// Connectionist temporal classification (Graves and others), with the two kinds of states of Keras'
// JAX backend: after n labels, `blank` before the next one and `emit` within the last.
// Probabilities are logarithms.

#include <keratin/autograd/internal/indices.h>
#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/optim/internal/loss_support.h>
#include <keratin/optim/loss.h>

namespace keratin {
namespace {

constexpr double impossible = -1e5;  // as in Keras; not infinite, so that it has a gradient

/// log(exp(a) + exp(b)).
Tensor log_add(const Tensor& a, const Tensor& b) { return maximum(a, b) + softplus(-abs(a - b)); }

/// blank (batch, length + 1), reached from the labels before, too: emit (batch, length).
Tensor reached(const Tensor& blank, const Tensor& emit) {
  const Tensor first = slice(blank, {all, range(0, 1)});
  return concatenate({first, log_add(slice(blank, {all, range(1, Range::open)}), emit)});
}

}  // namespace

Tensor ctc(const Tensor& y_true, const Tensor& y_pred) {
  const Tensor p = as_float(y_pred);
  if (y_true.rank() != 2 || p.rank() != 3 || y_true.size(0) != p.size(0))
    fail("ctc: expected y_true (batch, length) and y_pred (batch, time, classes), got {} and {}",
         y_true.shape(), y_pred.shape());
  const std::int64_t batch = p.size(0), time = p.size(1), classes = p.size(2);
  const std::int64_t length = y_true.size(1);
  const Tensor whole = y_true.astype(int32);
  // What is no whole number is no class.
  const Tensor labels =
      checked_indices("ctc", where(equal(whole, y_true), whole, -1), 0, classes, p.device());
  const Tensor count = sum(cast(not_equal(labels, 0), int32), -1);  // (batch)

  const Tensor log_p = log_softmax(p);
  const Tensor log_blank = slice(log_p, {all, all, range(0, 1)});  // (batch, time, 1)
  const Tensor log_emit =
      take_along_axis(log_p, broadcast_to(expand_dims(labels, 1), {batch, time, length}), -1);
  // Between equal labels there is a blank, between others there need be none.
  const Tensor next = slice(labels, {all, range(1, Range::open)});
  const Tensor repeats = pad(
      cast(equal(slice(labels, {all, range(0, length - 1)}), next), p.dtype()), {{0, 0}, {0, 1}});
  const Tensor skip = impossible * repeats, wait = impossible * (1 - repeats);

  Tensor emit = full({batch, length}, impossible, p.dtype(), p.device());
  Tensor blank = pad(emit, {{0, 0}, {1, 0}});
  for (std::int64_t t = 0; t < time; ++t) {
    const Tensor at_blank = slice(log_blank, {all, t}), at_emit = slice(log_emit, {all, t});
    const Tensor before = reached(blank, emit + skip);
    blank = reached(before + at_blank, emit + at_blank + wait);
    emit = log_add(slice(before, {all, range(0, length)}), emit) + at_emit;
  }
  const Tensor last = one_hot(count, length + 1, p.dtype());
  return -sum(reached(blank, emit) * last, -1);
}

}  // namespace keratin
