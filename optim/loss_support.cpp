#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/optim/internal/loss_support.h>

namespace keratin {
namespace {

bool ends_in_one(const Tensor& x) { return x.rank() > 0 && x.shape()[-1] == 1; }

// `longer` has one axis more, of size 1 at its end.
void match(Tensor& longer, Tensor& shorter) {
  if (shorter.rank() == 1)
    shorter = expand_dims(shorter, -1);
  else
    longer = squeeze(longer, -1);
}

}  // namespace

Pair squeeze_or_expand(const Tensor& a, const Tensor& b) {
  Pair pair{a, b};
  if (a.rank() == b.rank() + 1 && ends_in_one(a)) match(pair.a, pair.b);
  if (b.rank() == a.rank() + 1 && ends_in_one(b)) match(pair.b, pair.a);
  return pair;
}

Tensor as_float(const Tensor& x) { return is_floating(x.dtype()) ? x : x.astype(floatx()); }

Pair same_shape(const char* who, const Tensor& y_true, const Tensor& y_pred) {
  Pair pair = squeeze_or_expand(y_true, y_pred);
  if (pair.a.shape() != pair.b.shape())
    fail("{}: y_true has shape {}, y_pred {}", who, y_true.shape(), y_pred.shape());
  return pair;
}

Pair fitted(const char* who, const Tensor& y_true, const Tensor& y_pred) {
  auto [y, p] = same_shape(who, y_true, y_pred);
  if (p.rank() == 0) fail("{}: expected tensors with a batch axis, got numbers", who);
  p = as_float(p);
  return {y.astype(p.dtype()), p};
}

Pair with_weights(const char* who, const Tensor& values, const Tensor& weights) {
  auto [v, w] = squeeze_or_expand(values, weights);
  bool fits = w.rank() <= v.rank();
  for (int axis = 0; fits && axis < w.rank(); ++axis)
    fits = w.shape()[axis] == v.shape()[axis] || w.shape()[axis] == 1;
  if (!fits)
    fail("{}: weights of shape {} do not fit values of shape {}", who, weights.shape(),
         values.shape());
  Shape shape = w.shape();
  while (shape.rank() < v.rank()) shape.push_back(1);
  return {v, w.reshape(shape)};
}

Tensor masked_weights(const char* who, const Tensor& weights, const Tensor& mask, DType dtype) {
  if (!mask.defined()) return weights.defined() ? weights.astype(dtype) : Tensor();
  Tensor counted = mask.astype(boolean).astype(dtype);
  if (!weights.defined()) return counted;
  auto [m, w] = with_weights(who, counted, weights.astype(dtype));
  return where(m != 0, w, zeros({}, dtype, w.device()));
}

Tensor counts_for(const Tensor& x, const Tensor& counts) {
  Tensor fitting = counts;
  while (fitting.rank() < x.rank()) fitting = expand_dims(fitting, -1);
  while (fitting.rank() > x.rank() && fitting.size(-1) == 1) fitting = squeeze(fitting, -1);
  // With classes on another axis than the last, weights may have other axes than x.
  bool fits = fitting.rank() == x.rank();
  for (int axis = 0; fits && axis < x.rank(); ++axis)
    fits = fitting.size(axis) == x.size(axis) || fitting.size(axis) == 1;
  return fits ? fitting : Tensor();
}

}  // namespace keratin
