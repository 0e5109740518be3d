#include <optional>
#include <utility>

#include <keratin/autograd/functional.h>
#include <keratin/autograd/internal/record.h>
#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>

namespace keratin {
namespace {

// A new handle, which only this tape watches. The reshape is recorded, so that outer tapes still
// follow it to x.
Tensor watched(GradientTape& tape, const Tensor& x) {
  Tensor own = x.reshape(x.shape());
  tape.watch(own);
  return own;
}

// The gradient of f's result, which need not depend on x.
Tensor gradient(const GradientTape& tape, const Tensor& y, const Tensor& x,
                const Tensor& output_gradient = {}) {
  return tape.follows(y) ? tape.gradient(y, x, output_gradient) : zeros_like(x);
}

}  // namespace

TensorFunction grad(TensorFunction f) {
  return [f = std::move(f)](const Tensor& x) {
    GradientTape tape;
    Tensor own = watched(tape, x);
    return gradient(tape, f(own), own);
  };
}

TensorFunction jacobian(TensorFunction f) {
  return [f = std::move(f)](const Tensor& x) {
    GradientTape tape;
    Tensor own = watched(tape, x);
    Tensor y = f(own);
    Shape shape = y.shape();
    for (std::int64_t extent : x.shape()) shape.push_back(extent);
    std::vector<Tensor> rows;
    Tensor units = eye(y.numel(), y.numel(), y.dtype(), y.device());
    for (std::int64_t i = 0; i < y.numel(); ++i)
      rows.push_back(gradient(tape, y, own, units[i].reshape(y.shape())));
    return rows.empty() ? zeros(shape, x.dtype(), x.device()) : stack(rows).reshape(shape);
  };
}

TensorFunction hessian(TensorFunction f) { return jacobian(grad(std::move(f))); }

Tensor hessian_vector_product(const TensorFunction& f, const Tensor& x, const Tensor& v) {
  if (v.shape() != x.shape())
    fail("hessian_vector_product: the vector has shape {}, x has {}", v.shape(), x.shape());
  return grad([&](const Tensor& at) { return sum(grad(f)(at) * v); })(x);
}

namespace {

/// The backward pass of remat: f again, on a tape of its own.
struct RematVjp {
  TensorsFunction f;
  std::vector<Saved> saved;

  void operator()(Backward& backward) const {
    // What f computes here ends with this scope, unless outer tapes record the backward pass.
    std::optional<NoGradient> apart;
    if (recording == nullptr) apart.emplace();
    std::vector<Tensor> x, wanted;
    for (std::uint32_t i = 0; i < saved.size(); ++i) {
      x.push_back(*saved[i]);
      if (x[i].defined())
        x[i] = x[i].reshape(x[i].shape());  // no weight any more, so not watched unasked
      if (backward.wants(i)) wanted.push_back(x[i]);
    }
    GradientTape tape;
    for (const Tensor& own : wanted) tape.watch(own);
    const Tensor y = f(x);
    if (apart && recording->watched.size() > wanted.size())
      fail("the function uses a trainable weight of shape {} that is not an argument",
           recording->watched_tensors.back().shape());
    if (!tape.follows(y)) return;
    std::vector<Tensor> gradients =
        std::move(tape).gradient(std::vector{y}, wanted, {backward.output_gradient(0)});
    for (std::uint32_t i = 0, k = 0; i < saved.size(); ++i)
      if (backward.wants(i)) backward.add(i, gradients[k++]);
  }
};

}  // namespace

TensorsFunction remat(TensorsFunction f) {
  return [f = std::move(f)](const std::vector<Tensor>& x) {
    if (!follows(x)) return f(x);
    Tensor y;
    {
      NoGradient scope;
      y = f(x);
      y = y.reshape(y.shape());  // f may return an argument, which the tape knows already
    }
    RematVjp vjp{f, {}};
    for (const Tensor& argument : x) vjp.saved.push_back(save(argument));
    record_node("remat", x, {&y, 1}, std::move(vjp));
    return y;
  };
}

}  // namespace keratin
