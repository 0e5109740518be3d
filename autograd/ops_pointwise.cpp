// The pointwise ops: most are one line of the catalogue. Written out are those whose gradient needs
// no arithmetic at all.

#include <keratin/autograd/internal/cross_entropy.h>
#include <keratin/autograd/internal/pointwise_op.h>
#include <keratin/core/internal/message.h>

namespace keratin {

DType common_dtype(std::span<const Tensor> inputs, bool real) {
  DType strong = boolean, weak = boolean;
  bool any_strong = false;
  for (const Tensor& input : inputs) {
    DType own = input.dtype();  // throws when there is no tensor
    bool number = TensorData::of(input).weak;
    any_strong |= !number;
    (number ? weak : strong) = promote(number ? weak : strong, own);
  }
  // A number with a fraction turns integers into floats; otherwise it follows.
  DType dtype = strong;
  if (!any_strong) dtype = is_floating(weak) ? floatx() : weak;
  if (any_strong && is_floating(weak) && !is_floating(strong)) dtype = floatx();
  if (any_strong && weak == int32 && strong == boolean) dtype = int32;
  if (dtype == boolean) dtype = int32;
  return real && !is_floating(dtype) ? floatx() : dtype;
}

namespace {

/// Both operands in their common dtype.
std::array<Tensor, 2> operands(const Tensor& x, const Tensor& y, bool real = false) {
  Tensor both[] = {x, y};
  DType dtype = common_dtype(both, real);
  return {x.astype(dtype), y.astype(dtype)};
}

template <class F>
Tensor values_of(const char* name, const Tensor& x, const Tensor& y) {
  Tensor inputs[] = {x, y};
  Tensor z = empty_in_order(broadcast_shapes(x.shape(), y.shape(), name), x.dtype(), inputs);
  F f;
  kernels_of(z).pointwise(pointwise_id<F>, &f, {&z, 1}, inputs);
  return z;
}

Tensor pass(const Tensor& g) { return g; }

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  auto [x, y] = operands(a, b);
  return record("add", values_of<fn::Add>("add", x, y), wrt(x, pass), wrt(y, pass));
}

Tensor subtract(const Tensor& a, const Tensor& b) {
  auto [x, y] = operands(a, b);
  return record("subtract", values_of<fn::Subtract>("subtract", x, y), wrt(x, pass),
                wrt(y, negative));
}

#define KERATIN_UNARY(name, Functor) \
  Tensor name(const Tensor& x) { return pointwise_op(#name, fn::Functor{}, x); }
#define KERATIN_BINARY(name, Functor) \
  Tensor name(const Tensor& x, const Tensor& y) { return pointwise_op(#name, fn::Functor{}, x, y); }
#define KERATIN_FUNCTOR(Functor)
#define KERATIN_STEP(Functor)
#include <keratin/core/catalogue.def>

Tensor celu(const Tensor& x, double alpha) { return pointwise_op("celu", fn::Celu{alpha}, x); }
Tensor elu(const Tensor& x, double alpha) { return pointwise_op("elu", fn::Elu{alpha}, x); }
Tensor leaky_relu(const Tensor& x, double negative_slope) {
  return pointwise_op("leaky_relu", fn::LeakyRelu{negative_slope}, x);
}
Tensor gelu(const Tensor& x, bool approximate) {
  if (approximate) return pointwise_op("gelu", fn::GeluTanh{}, x);
  return pointwise_op("gelu", fn::GeluErf{}, x);
}
Tensor hard_shrink(const Tensor& x, double threshold) {
  return pointwise_op("hard_shrink", fn::HardShrink{threshold}, x);
}
Tensor soft_shrink(const Tensor& x, double threshold) {
  if (!(threshold >= 0)) fail("soft_shrink: expected a threshold >= 0, got {}", threshold);
  return pointwise_op("soft_shrink", fn::SoftShrink{threshold}, x);
}
Tensor cross_entropy(const Tensor& y, const Tensor& p, const Tensor& sum) {
  return pointwise_op("cross_entropy", fn::CrossEntropy{}, y, p, sum);
}

Tensor squareplus(const Tensor& x, double b) {
  if (!(b > 0)) fail("squareplus: expected b > 0, got {}", b);
  return pointwise_op("squareplus", fn::Squareplus{b}, x);
}
Tensor threshold(const Tensor& x, double threshold, double default_value) {
  return pointwise_op("threshold", fn::Threshold{threshold, default_value}, x);
}
Tensor clip(const Tensor& x, double low, double high) {
  if (!(low <= high)) fail("clip: expected low <= high, got {} and {}", low, high);
  return pointwise_op("clip", fn::Clip{{}, low, high}, x);
}

// --- comparisons

namespace {

Tensor compare(const char* name, Comparison comparison, const Tensor& a, const Tensor& b) {
  Tensor both[] = {a, b};
  DType dtype = a.dtype() == boolean && b.dtype() == boolean ? boolean : common_dtype(both, false);
  Tensor x = cast(a, dtype), y = cast(b, dtype);
  Tensor z = empty(broadcast_shapes(x.shape(), y.shape(), name), boolean, device_of(both));
  kernels_of(z).compare(comparison, z, x, y);
  return z;
}

}  // namespace

Tensor equal(const Tensor& x, const Tensor& y) { return compare("equal", Comparison::equal, x, y); }
Tensor not_equal(const Tensor& x, const Tensor& y) {
  return compare("not_equal", Comparison::not_equal, x, y);
}
Tensor less(const Tensor& x, const Tensor& y) { return compare("less", Comparison::less, x, y); }
Tensor less_equal(const Tensor& x, const Tensor& y) {
  return compare("less_equal", Comparison::less_equal, x, y);
}
Tensor greater(const Tensor& x, const Tensor& y) {
  return compare("greater", Comparison::greater, x, y);
}
Tensor greater_equal(const Tensor& x, const Tensor& y) {
  return compare("greater_equal", Comparison::greater_equal, x, y);
}
Tensor logical_and(const Tensor& x, const Tensor& y) {
  return compare("logical_and", Comparison::logical_and, x, y);
}
Tensor logical_or(const Tensor& x, const Tensor& y) {
  return compare("logical_or", Comparison::logical_or, x, y);
}
Tensor logical_xor(const Tensor& x, const Tensor& y) {
  return compare("logical_xor", Comparison::logical_xor, x, y);
}
Tensor logical_not(const Tensor& x) { return compare("logical_not", Comparison::equal, x, false); }

Tensor isnan(const Tensor& x) { return compare("isnan", Comparison::not_equal, x, x); }
// x - x is 0 for a finite x and NaN for the others.
Tensor isfinite(const Tensor& x) {
  NoGradient scope;
  return compare("isfinite", Comparison::equal, x - x, 0);
}
Tensor isinf(const Tensor& x) { return logical_not(logical_or(isfinite(x), isnan(x))); }

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  auto [x, y] = operands(a, b);
  Tensor c = cast(condition, boolean);
  Shape shape =
      broadcast_shapes(broadcast_shapes(c.shape(), x.shape(), "where"), y.shape(), "where");
  Tensor z = empty(shape, x.dtype(), device_of({condition, a, b}));
  kernels_of(z).select(z, c, x, y);
  return record("where", z, wrt(x, [c](const Tensor& g) { return where(c, g, 0.0); }),
                wrt(y, [c](const Tensor& g) { return where(c, 0.0, g); }));
}

// --- operators that rebind their left side

Tensor& Tensor::operator+=(const Tensor& other) & { return *this = *this + other; }
Tensor& Tensor::operator-=(const Tensor& other) & { return *this = *this - other; }
Tensor& Tensor::operator*=(const Tensor& other) & { return *this = *this * other; }
Tensor& Tensor::operator/=(const Tensor& other) & { return *this = *this / other; }

// --- what the tape sees

Tensor stop_gradient(const Tensor& x) { return make_view(x, x.shape(), x.strides()); }

namespace {

void check_shape_of_gradient(const Tensor& g, const Shape& shape, std::size_t input) {
  if (g.defined() && g.shape() != shape)
    fail("expected a gradient of shape {} for input {}, got {}", shape, input, g.shape());
}

}  // namespace

Tensor custom_gradient(const Tensor& x, std::function<Tensor(const Tensor& g)> vjp) {
  return record("custom_gradient", make_view(x, x.shape(), x.strides()),
                wrt(x, [vjp = std::move(vjp)](const Tensor& g) {
                  Tensor gx = vjp(g);
                  check_shape_of_gradient(gx, g.shape(), 0);
                  return gx;
                }));
}

Tensor custom_gradient(const std::vector<Tensor>& inputs,
                       const std::function<Tensor(const std::vector<Tensor>&)>& forward,
                       std::function<std::vector<Tensor>(const Tensor& g)> vjp) {
  if (!forward || !vjp) fail("custom_gradient: a function is empty");
  Tensor y;
  {
    NoGradient scope;
    y = forward(inputs);
  }
  if (!y.defined()) fail("custom_gradient: the forward function returned no tensor");
  y = make_view(y, y.shape(), y.strides());  // it may be one of the inputs
  if (!follows(inputs)) return y;
  std::vector<Shape> shapes;
  for (const Tensor& input : inputs) shapes.push_back(input.defined() ? input.shape() : Shape{});
  record_node("custom_gradient", inputs, {&y, 1},
              [vjp = std::move(vjp), shapes = std::move(shapes)](Backward& backward) {
                std::vector<Tensor> gradients = vjp(backward.output_gradient(0));
                if (gradients.size() != shapes.size())
                  fail("{} inputs, but the gradient function returned {} tensors", shapes.size(),
                       gradients.size());
                for (std::uint32_t i = 0; i < shapes.size(); ++i) {
                  if (!gradients[i].defined() || !backward.wants(i)) continue;
                  check_shape_of_gradient(gradients[i], shapes[i], i);
                  backward.add(i, gradients[i]);
                }
              });
  return y;
}

}  // namespace keratin
