// The op surface: one catalogue, names as in keras.ops. Every op below can be recorded by a
// GradientTape, and its gradient is made of ops, so that it can be differentiated again.
//
// Conventions. Operands broadcast as in NumPy. A plain number takes on the dtype of the tensor it
// meets; otherwise the larger dtype wins (bool < int32 < float32 < float64), and functions of real
// numbers turn integers into floatx(). Negative axes count from the end. Mistakes throw
// std::invalid_argument that names the op, the rule and what came.
#pragma once

#include <array>
#include <concepts>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <keratin/core/tensor.h>

namespace keratin {

/// Which axes to reduce over: none named means all. What is no whole number is no axis:
/// max(x, 0.0), meant as maximum, and sum(x, true), meant as keepdims, do not compile.
class Axes {
 public:
  Axes() = default;
  template <std::integral I>
  requires(!std::same_as<I, bool>) Axes(I axis) : axes_{static_cast<int>(axis)}, all_(false) {}
  Axes(std::initializer_list<int> axes) : axes_(axes), all_(false) {}
  Axes(std::initializer_list<bool>) = delete;
  Axes(std::vector<int> axes) : axes_(std::move(axes)), all_(false) {}
  bool all() const { return all_; }
  const std::vector<int>& list() const { return axes_; }

 private:
  std::vector<int> axes_;
  bool all_ = true;
};

// --- pointwise: core/catalogue.def lists them, core/functions.h defines them. The derivative at a
// kink: abs 0 at 0; relu, relu6, hard_sigmoid, sparse_sigmoid, hard_shrink, soft_shrink and
// threshold that of the flat side; clip and hard_tanh 1 at the bounds; maximum and minimum share
// equally at a tie; sign, floor, ceil and round 0 everywhere. round goes to the even neighbour.
// sqrt at 0 has the derivative inf. power(x, 0) has the derivative 0 with respect to x, and so have
// all derivatives of power(x, n) after the n-th; power(0, y > 0) has 0 with respect to y, a
// negative x gives NaN unless y is whole.

#define KERATIN_UNARY(name, Functor) Tensor name(const Tensor& x);
#define KERATIN_BINARY(name, Functor) Tensor name(const Tensor& x, const Tensor& y);
#define KERATIN_FUNCTOR(Functor)
#define KERATIN_STEP(Functor)
#include <keratin/core/catalogue.def>

Tensor add(const Tensor& x, const Tensor& y);
Tensor subtract(const Tensor& x, const Tensor& y);
inline Tensor mul(const Tensor& x, const Tensor& y) { return multiply(x, y); }
inline Tensor operator+(const Tensor& x, const Tensor& y) { return add(x, y); }
inline Tensor operator-(const Tensor& x, const Tensor& y) { return subtract(x, y); }
inline Tensor operator*(const Tensor& x, const Tensor& y) { return multiply(x, y); }
inline Tensor operator/(const Tensor& x, const Tensor& y) { return divide(x, y); }
inline Tensor operator-(const Tensor& x) { return negative(x); }

Tensor celu(const Tensor& x, double alpha = 1.0);
Tensor elu(const Tensor& x, double alpha = 1.0);
Tensor leaky_relu(const Tensor& x, double negative_slope = 0.2);
/// x Phi(x); approximate: by tanh. As an activation Keras uses the exact form.
Tensor gelu(const Tensor& x, bool approximate = true);
/// 0 where |x| is at most the threshold, x elsewhere.
Tensor hard_shrink(const Tensor& x, double threshold = 0.5);
/// x, nearer to 0 by the threshold, and 0 where |x| is at most that. Throws when it is negative.
Tensor soft_shrink(const Tensor& x, double threshold = 0.5);
/// (x + sqrt(x^2 + b)) / 2 (Barron, "Squareplus", arXiv:2112.11687). Throws unless b > 0.
Tensor squareplus(const Tensor& x, double b = 4.0);
/// x where it is above the threshold, default_value elsewhere.
Tensor threshold(const Tensor& x, double threshold, double default_value);
/// x limited to [low, high]. Throws when low > high.
Tensor clip(const Tensor& x, double low, double high);

// --- comparisons and logic: boolean results, no gradient

Tensor equal(const Tensor& x, const Tensor& y);
Tensor not_equal(const Tensor& x, const Tensor& y);
Tensor less(const Tensor& x, const Tensor& y);
Tensor less_equal(const Tensor& x, const Tensor& y);
Tensor greater(const Tensor& x, const Tensor& y);
Tensor greater_equal(const Tensor& x, const Tensor& y);
inline Tensor operator<(const Tensor& x, const Tensor& y) { return less(x, y); }
inline Tensor operator<=(const Tensor& x, const Tensor& y) { return less_equal(x, y); }
inline Tensor operator>(const Tensor& x, const Tensor& y) { return greater(x, y); }
inline Tensor operator>=(const Tensor& x, const Tensor& y) { return greater_equal(x, y); }
inline Tensor operator==(const Tensor& x, const Tensor& y) { return equal(x, y); }
inline Tensor operator!=(const Tensor& x, const Tensor& y) { return not_equal(x, y); }
Tensor logical_and(const Tensor& x, const Tensor& y);
Tensor logical_or(const Tensor& x, const Tensor& y);
Tensor logical_xor(const Tensor& x, const Tensor& y);
Tensor logical_not(const Tensor& x);
Tensor isnan(const Tensor& x);
Tensor isinf(const Tensor& x);
Tensor isfinite(const Tensor& x);

/// x where the condition holds, y elsewhere. The gradient is selected too: whatever the branch not
/// taken holds (NaN, inf), its gradient is exactly 0. But the gradient *through* that branch may
/// still be 0 * inf: where(x > 0, sqrt(x), 0) needs sqrt(where(x > 0, x, 1)) inside.
Tensor where(const Tensor& condition, const Tensor& x, const Tensor& y);

// --- reductions over any axes; keepdims leaves each reduced axis with size 1

Tensor sum(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
Tensor mean(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
/// Largest and smallest; entries that tie share the gradient equally. Not of nothing. NaN wins, and
/// is then the gradient of the entries that are NaN; that of the others is 0.
Tensor max(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
Tensor min(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
/// Product: a tree of multiplications, so that its derivatives are right where factors are 0.
Tensor prod(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
/// Population variance and its root: the mean of squared deviations from the mean, in two passes.
/// The gradient of std where all entries are equal is 0. (Next to `using namespace keratin`, write
/// keratin::std: std alone means the standard library.)
Tensor var(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
Tensor std(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
/// log(sum(exp(x))) without overflow; -inf, with gradient 0, where everything is -inf.
Tensor logsumexp(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
/// Euclidean norm; its gradient at 0 is 0.
Tensor norm(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
/// Euclidean norm of the entries of several tensors together, of rank 0; its gradient at 0 is 0.
Tensor global_norm(const std::vector<Tensor>& tensors);
/// int32 index of the first largest (smallest) entry; of the flattened tensor without an axis.
Tensor argmax(const Tensor& x, bool keepdims = false);
Tensor argmax(const Tensor& x, int axis, bool keepdims = false);
Tensor argmin(const Tensor& x, bool keepdims = false);
Tensor argmin(const Tensor& x, int axis, bool keepdims = false);
Tensor any(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
/// all(x, axes) reduces; the bare word `all` takes a whole axis in slice(x, {all, 0}).
struct All {
  Tensor operator()(const Tensor& x, const Axes& axes = {}, bool keepdims = false) const;
};
inline constexpr All all{};
/// Running sum and product along an axis. The product is made of multiplications, as prod is.
Tensor cumsum(const Tensor& x, int axis);
Tensor cumprod(const Tensor& x, int axis);
/// Sums x down to a shape that broadcasts to x's own.
Tensor sum_to(const Tensor& x, const Shape& shape);

// --- products

/// Keras' and NumPy's dot: the last axis of x with the last but one of y (the only one when y has
/// rank 1): (..., k) . (..., k, n) -> x's other axes, then y's.
Tensor dot(const Tensor& x, const Tensor& y);
/// dot(x, kernel) + bias without a pass over the result: (..., k), (k, n), (n) -> (..., n).
Tensor linear(const Tensor& x, const Tensor& kernel, const Tensor& bias);
/// Products of matrices in the last two axes; the others broadcast. Vectors as in NumPy.
Tensor matmul(const Tensor& x, const Tensor& y);
/// Sums of products by Einstein's rule: einsum("bij,bjk->bik", {x, y}). One or two operands; each
/// letter at most once in an operand.
Tensor einsum(std::string_view equation, const std::vector<Tensor>& operands);

// --- windows over the axes between the first, the batch, and the last, the channels: one to three
// axes. Options that say one thing for each axis take one number for all.

/// One number for all axes, or one for each: 2, or {2, 1}.
struct PerAxis : std::vector<std::int64_t> {
  using std::vector<std::int64_t>::vector;
  PerAxis(std::int64_t all) : std::vector<std::int64_t>{all} {}
  PerAxis(int all) : std::vector<std::int64_t>{all} {}
};

struct ConvOptions {
  PerAxis strides = 1;
  /// "valid": windows within x. "same": ceil(n / stride) of them; what they see beyond x is 0, an
  /// odd one at the end. "causal", of one axis: a window ends at its own element.
  std::string padding = "valid";
  PerAxis dilation_rate = 1;  ///< from one element of a window to the next
};

/// Each window of x (batch, n..., channels) times the kernel (size..., channels / groups, filters):
/// (batch, m..., filters). As many groups as make the two fit; a group of filters sees a group of
/// channels. As in Keras it is a correlation: the kernel is not flipped.
Tensor conv(const Tensor& x, const Tensor& kernel, const ConvOptions& options = {});
/// The same plus a bias (filters), which may be undefined.
Tensor conv(const Tensor& x, const Tensor& kernel, const Tensor& bias, const ConvOptions& options);
/// Each channel by itself, with its own kernel (size..., channels, multiplier): (batch, m...,
/// channels * multiplier).
Tensor depthwise_conv(const Tensor& x, const Tensor& kernel, const ConvOptions& options = {});
/// What the gradient of conv does: x (batch, m..., channels) and a kernel (size..., filters,
/// channels) make (batch, n..., filters), where a conv with these options leads from n to m. With
/// padding "same" n is m * stride; with "valid" (m - 1) * stride + max(size, stride), where the
/// size includes the dilation. With an output padding n is (m - 1) * stride + that padding + size,
/// or, with "same", + size mod 2.
Tensor conv_transpose(const Tensor& x, const Tensor& kernel, const ConvOptions& options = {},
                      const std::optional<PerAxis>& output_padding = std::nullopt);

struct PoolOptions {
  PerAxis strides = {};  ///< none: the size of the window
  std::string padding = "valid";
};
/// The largest element of each window in each channel; of several the first has the gradient.
Tensor max_pool(const Tensor& x, const PerAxis& pool_size, const PoolOptions& options = {});
/// The mean of each window in each channel, over the elements that are there.
Tensor average_pool(const Tensor& x, const PerAxis& pool_size, const PoolOptions& options = {});

// --- images: (height, width, channels) or a batch of them; (channels, height, width) with
// data_format "channels_first"

struct ResizeOptions {
  /// "nearest": each new pixel is the old one in which its middle lies. "bilinear": a weighted mean
  /// of the old ones around it, along each axis by distance.
  std::string interpolation = "bilinear";
  bool antialias = false;  ///< bilinear, where an image shrinks: of all that a pixel covers
  bool crop_to_aspect_ratio = false;  ///< first cut what is too high or too wide for the new shape
  bool pad_to_aspect_ratio = false;   ///< first add a margin of fill_value on the short sides
  double fill_value = 0.0;
  std::string data_format = "channels_last";
};
/// Images of another size {height, width}: the edges of old and new ones coincide, and a pixel lies
/// at its middle. Integers are rounded. NaN in the weighted means spreads over the whole image.
/// Throws when the rank is not 3 or 4, a size is below 1, or there are no pixels.
Tensor resize(const Tensor& images, const std::array<std::int64_t, 2>& size,
              const ResizeOptions& options = {});

// --- softmax over one axis, and its logarithm. A row of nothing but -inf gives zeros, whose
// logarithms are -inf; the gradient of both is 0.

Tensor softmax(const Tensor& x, int axis = -1);
Tensor log_softmax(const Tensor& x, int axis = -1);
/// The point nearest to x among those that are >= 0 and sum to 1: max(x - tau, 0) for the tau that
/// makes it so (Martins and Astudillo, arXiv:1602.02068). Rows of nothing but -inf as above.
Tensor sparsemax(const Tensor& x, int axis = -1);
/// The axis' first half times the sigmoid of its second half (Dauphin et al., arXiv:1612.08083).
/// Throws when its size is odd.
Tensor glu(const Tensor& x, int axis = -1);

// --- shape: views where the strides allow

/// One size may be -1: whatever is left.
Tensor reshape(const Tensor& x, const Shape& shape);
/// Axes in a new order; reversed without one.
Tensor transpose(const Tensor& x, std::vector<int> axes = {});
Tensor swapaxes(const Tensor& x, int axis1, int axis2);
Tensor moveaxis(const Tensor& x, int source, int destination);
Tensor expand_dims(const Tensor& x, int axis);
/// Removes axes of size 1: all of them, or those named.
Tensor squeeze(const Tensor& x, const Axes& axes = {});
/// Reverses the order along axes.
Tensor flip(const Tensor& x, const Axes& axes = {});
/// Each entry `shift` places further along an axis (of the flattened tensor without one); what
/// leaves at the end comes in at the beginning.
Tensor roll(const Tensor& x, std::int64_t shift);
Tensor roll(const Tensor& x, std::int64_t shift, int axis);
Tensor broadcast_to(const Tensor& x, const Shape& shape);
/// The diagonal of the last two axes.
Tensor diagonal(const Tensor& x, int offset = 0);
/// x (..., m, n) with zeros above (below) the k-th diagonal, counted to the right of the main one.
Tensor tril(const Tensor& x, int k = 0);
Tensor triu(const Tensor& x, int k = 0);
/// Windows of `size` neighbours along an axis, `step` apart; they become a new last axis.
Tensor sliding_window(const Tensor& x, int axis, std::int64_t size, std::int64_t step = 1);
Tensor concatenate(const std::vector<Tensor>& parts, int axis = -1);
/// Tensors of one shape along a new axis.
Tensor stack(const std::vector<Tensor>& parts, int axis = 0);
/// The views along an axis, without it.
std::vector<Tensor> unstack(const Tensor& x, int axis = 0);
/// Equal parts, or parts cut before each of the given indices.
std::vector<Tensor> split(const Tensor& x, int parts, int axis = 0);
std::vector<Tensor> split(const Tensor& x, const std::vector<std::int64_t>& indices, int axis = 0);
Tensor tile(const Tensor& x, const std::vector<std::int64_t>& repeats);
/// Each entry `repeats` times in a row.
Tensor repeat(const Tensor& x, std::int64_t repeats, int axis);
/// {before, after} for each axis, filled with a constant.
Tensor pad(const Tensor& x, const std::vector<std::array<std::int64_t, 2>>& widths,
           double constant = 0);
Tensor astype(const Tensor& x, DType dtype);

// --- indexing

/// Start, stop and step as in Python; negative numbers count from the end, the step may be
/// negative.
struct Range {
  static constexpr std::int64_t open = INT64_MIN;  // as left out in Python
  std::int64_t start = open, stop = open, step = 1;
};
inline Range range(std::int64_t stop) { return {Range::open, stop, 1}; }
inline Range range(std::int64_t start, std::int64_t stop, std::int64_t step = 1) {
  return {start, stop, step};
}
/// What slice takes of one axis: all of it, a range, or one index, which drops the axis.
class Index {
 public:
  Index(All) : range_{} {}
  Index(Range range) : range_(range) {}
  template <std::integral I>
  Index(I index) : range_{index, 0, 1}, single_(true) {}
  bool is_single() const { return single_; }
  const Range& range() const { return range_; }

 private:
  Range range_;
  bool single_ = false;
};
/// A view; axes not named are taken whole.
Tensor slice(const Tensor& x, const std::vector<Index>& indices);
/// x with the block that begins at `start` replaced.
Tensor slice_update(const Tensor& x, const std::vector<std::int64_t>& start, const Tensor& update);
/// Entries at int32 indices along an axis (of the flattened tensor without one); the indices' shape
/// takes the axis' place. Negative indices count from the end.
Tensor take(const Tensor& x, const Tensor& indices);
Tensor take(const Tensor& x, const Tensor& indices, int axis);
/// For each position an entry along the axis: the indices have x's rank.
Tensor take_along_axis(const Tensor& x, const Tensor& indices, int axis);
/// The entries along an axis in ascending order, NaN last; equal ones keep their order.
Tensor sort(const Tensor& x, int axis = -1);
/// The int32 indices that sort the axis: sort(x) is take_along_axis(x, argsort(x, axis), axis).
Tensor argsort(const Tensor& x, int axis = -1);
/// The k largest entries along the last axis (..., n), the largest first, and their int32 indices:
/// {values, indices}, both (..., k). Of equal ones the first comes first; NaN counts as larger than
/// all. Without `sorted` Keras leaves the order open; here it is the same. Throws unless k is in
/// 0..n.
std::array<Tensor, 2> top_k(const Tensor& x, std::int64_t k, bool sorted = true);
/// For each of the values the int32 index in 0..n at which it fits into a sequence (n) in ascending
/// order: before the entries that equal it with side "left", after them with "right". NaN is last.
Tensor searchsorted(const Tensor& sorted_sequence, const Tensor& values,
                    std::string_view side = "left");
/// 1 at the index in a new last axis; zeros where the index is out of range.
Tensor one_hot(const Tensor& indices, std::int64_t classes, DType dtype = float32);

// --- what the tape sees

/// The same values, seen by no tape.
Tensor stop_gradient(const Tensor& x);
/// x forward; backward, what `vjp` makes of the gradient.
Tensor custom_gradient(const Tensor& x, std::function<Tensor(const Tensor& g)> vjp);
/// y = forward(inputs) with a gradient of one's own: vjp(g) gives one tensor for each input, or
/// undefined ones for zero. What `forward` computes is not recorded.
Tensor custom_gradient(const std::vector<Tensor>& inputs,
                       const std::function<Tensor(const std::vector<Tensor>&)>& forward,
                       std::function<std::vector<Tensor>(const Tensor& g)> vjp);

}  // namespace keratin
