#include <algorithm>

#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/layers/internal/named.h>
#include <keratin/layers/internal/options.h>
#include <keratin/layers/merge.h>

namespace keratin {

// --- what the merges have in common

Merge::Merge(const MergeOptions& options) { apply_common(*this, options); }

void Merge::build(const Shapes& input_shapes) { merged_shape(input_shapes); }

Shapes Merge::compute_output_shape(const Shapes& input_shapes) {
  ensure_built(input_shapes);
  return {named(*this, [&] { return merged_shape(input_shapes); })};
}

Tensors Merge::call(const Tensors& inputs) {
  merged_shape(shapes_of(inputs));
  return {merge(inputs)};
}

namespace {

int common_rank(const Shapes& shapes) {
  int rank = 0;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    if (shapes[i].rank() == 0) fail("input {} of {} is missing", i + 1, shapes.size());
    rank = std::max(rank, shapes[i].rank());
  }
  return rank;
}

void expect_two(const Shapes& shapes) {
  if (shapes.size() != 2) fail("expected 2 inputs, got {}", shapes.size());
}

// With axes of size 1 behind the batch axis.
Tensor of_rank(int rank, const Tensor& x) {
  Shape shape = x.shape();
  while (shape.rank() < rank) shape = shape.inserted(1, 1);
  return shape == x.shape() ? x : reshape(x, shape);
}

// A mask is about the first axes.
Tensor mask_of_rank(int rank, const Tensor& mask) {
  Shape shape = mask.shape();
  while (shape.rank() < rank) shape.push_back(1);
  return reshape(mask, shape);
}

// Of an input that gets this rank, which numbers count; undefined where all do.
Tensor mask_of_numbers(int rank, int input_rank, const Tensor& mask) {
  return mask.defined() ? of_rank(rank, mask_of_rank(input_rank, mask)) : mask;
}

template <class F>
Tensor fold(const Tensors& inputs, const F& f) {
  const int rank = common_rank(shapes_of(inputs));
  Tensor y = of_rank(rank, inputs[0]);
  for (std::size_t i = 1; i < inputs.size(); ++i) y = f(y, of_rank(rank, inputs[i]));
  return y;
}

// What does not count is replaced by what does before the two are compared.
template <class F, class Mask>
Tensor fold_what_counts(const Tensors& inputs, const F& f, const Mask& mask) {
  const int rank = common_rank(shapes_of(inputs));
  Tensor y, y_counts;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    Tensor x = of_rank(rank, inputs[i]);
    const Tensor x_counts = mask_of_numbers(rank, inputs[i].rank(), mask(i));
    if (i == 0) {
      y = x;
      y_counts = x_counts;
      continue;
    }
    if (x_counts.defined()) x = where(x_counts, x, y);
    if (y_counts.defined()) y = where(y_counts, y, x);
    y = f(y, x);
    y_counts = x_counts.defined() && y_counts.defined() ? logical_or(y_counts, x_counts) : Tensor();
  }
  return y;
}

}  // namespace

Shape Merge::merged_shape(const Shapes& shapes) const {
  const int rank = common_rank(shapes);
  Shape merged = Shape::filled(rank, 1).with(0, shapes[0][0]);
  for (Shape shape : shapes) {
    while (shape.rank() < rank) shape = shape.inserted(1, 1);
    if (!may_equal(merged[0], shape[0]))
      fail("expected inputs of one batch size, got {}", fmt::join(shapes, ", "));
    if (merged[0] == None) merged[0] = shape[0];
    for (int axis = 1; axis < rank; ++axis) {
      if (shape[axis] == 1) continue;
      if (merged[axis] != 1 && !may_equal(merged[axis], shape[axis]))
        fail("expected inputs that broadcast, got {}", fmt::join(shapes, ", "));
      merged[axis] = merged[axis] == None ? None : shape[axis];
    }
  }
  return merged;
}

Tensors Merge::compute_mask(const Tensors&, const Tensors& masks) {
  if (!std::ranges::all_of(masks, &Tensor::defined)) return {};
  int rank = 0;
  for (const Tensor& mask : masks) rank = std::max(rank, mask.rank());
  Tensor counts = mask_of_rank(rank, masks[0]);
  for (std::size_t i = 1; i < masks.size(); ++i)
    counts = logical_or(counts, mask_of_rank(rank, masks[i]));
  return {counts};
}

// --- number by number

Tensor Add::merge(const Tensors& inputs) const { return fold(inputs, add); }
Tensor Average::merge(const Tensors& inputs) const {
  return fold(inputs, add) / static_cast<double>(inputs.size());
}
// What does not count is a factor of 1, and 0 where nothing does.
Tensor Multiply::merge(const Tensors& inputs) const {
  const int rank = common_rank(shapes_of(inputs));
  Tensors factors, all_masks;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Tensor counts = mask_of_numbers(rank, inputs[i].rank(), mask(i));
    factors.push_back(counts.defined() ? where(counts, of_rank(rank, inputs[i]), 1.0) : inputs[i]);
    if (counts.defined()) all_masks.push_back(counts);
  }
  const Tensor product = fold(factors, multiply);
  return all_masks.size() < inputs.size() ? product
                                          : where(fold(all_masks, logical_or), product, 0.0);
}
Tensor Maximum::merge(const Tensors& inputs) const {
  return fold_what_counts(inputs, maximum, [this](std::size_t i) { return mask(i); });
}
Tensor Minimum::merge(const Tensors& inputs) const {
  return fold_what_counts(inputs, minimum, [this](std::size_t i) { return mask(i); });
}

Shape Subtract::merged_shape(const Shapes& shapes) const {
  expect_two(shapes);
  return Merge::merged_shape(shapes);
}
Tensor Subtract::merge(const Tensors& inputs) const { return fold(inputs, subtract); }

// --- Concatenate

Concatenate::Concatenate(int axis, const MergeOptions& options) : Merge(options), axis_(axis) {}

std::vector<Field> Concatenate::fields() { return {{"axis", &axis_}}; }

Shape Concatenate::merged_shape(const Shapes& shapes) const {
  const int rank = common_rank(shapes), along = normalize_axis(axis_, rank, "axis");
  Shape merged = shapes[0];
  for (std::size_t i = 1; i < shapes.size(); ++i) {
    bool fits = shapes[i].rank() == merged.rank();
    for (int axis = 0; fits && axis < rank; ++axis) {
      const std::int64_t extent = shapes[i][axis];
      std::int64_t& so_far = merged[axis];
      if (axis == along)
        so_far = so_far == None || extent == None ? None : so_far + extent;
      else if ((fits = may_equal(so_far, extent)) && so_far == None)
        so_far = extent;
    }
    if (!fits)
      fail("expected inputs of one shape apart from axis {}, got {}", axis_,
           fmt::join(shapes, ", "));
  }
  return merged;
}

Tensor Concatenate::merge(const Tensors& inputs) const { return concatenate(inputs, axis_); }

Tensors Concatenate::compute_mask(const Tensors& inputs, const Tensors& masks) {
  if (std::ranges::none_of(masks, &Tensor::defined)) return {};
  Tensors wide;  // a mask for each number
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& x = inputs[i];
    wide.push_back(masks[i].defined() ? broadcast_to(mask_of_rank(x.rank(), masks[i]), x.shape())
                                      : ones(x.shape(), boolean, x.device()));
  }
  return {any(concatenate(wide, axis_), -1)};
}

// --- Dot

Dot::Dot(int axes, const DotOptions& options) : Dot(std::vector<int>{axes}, options) {}
Dot::Dot(std::vector<int> axes, const DotOptions& options)
    : axes_(std::move(axes)), normalize_(options.normalize) {
  check_fields("Dot", fields());
  apply_common(*this, options);
}

// One axis for both is a number.
std::vector<Field> Dot::fields() {
  auto axes = [this] { return axes_.size() == 1 ? to_option(axes_[0]) : to_option(axes_); };
  auto set_axes = [this](const Option& value) {
    int one = 0;
    if (!from_option(value, one)) return from_option(value, axes_);
    axes_ = {one};
    return true;
  };
  auto one_or_two = [](const Option& value) {
    auto* list = std::get_if<std::vector<Option>>(&value);
    return list == nullptr || list->size() == 2;
  };
  return {{"axes", axes, set_axes, {"one axis or two", one_or_two}}, {"normalize", &normalize_}};
}

int Dot::axis_of(std::size_t input, int rank) const {
  const int axis = normalize_axis(axes_[axes_.size() == 1 ? 0 : input], rank, "axes");
  if (axis == 0) fail("axes: the batch axis cannot be summed over, got {}", fmt::join(axes_, ", "));
  return axis;
}

Shape Dot::merged_shape(const Shapes& shapes) const {
  expect_two(shapes);
  common_rank(shapes);
  for (const Shape& shape : shapes)
    if (shape.rank() < 2)
      fail("expected inputs of rank 2 or more, got {}", fmt::join(shapes, ", "));
  const Shape &x = shapes[0], &y = shapes[1];
  const int of_x = axis_of(0, x.rank()), of_y = axis_of(1, y.rank());
  if (!may_equal(x[0], y[0])) fail("expected inputs of one batch size, got {} and {}", x, y);
  if (!may_equal(x[of_x], y[of_y]))
    fail("expected axis {} of the first input as long as axis {} of the second, got {} and {}",
         of_x, of_y, x, y);
  Shape product = x.without(of_x);
  if (product[0] == None) product[0] = y[0];
  for (int axis = 1; axis < y.rank(); ++axis)
    if (axis != of_y) product.push_back(y[axis]);
  if (product.rank() == 1) product.push_back(1);
  return product;
}

// einsum with a letter for each axis: "ab" and "acb" give "ac" for axes {1, 2}.
Tensor Dot::merge(const Tensors& inputs) const {
  const int of_x = axis_of(0, inputs[0].rank()), of_y = axis_of(1, inputs[1].rank());
  Tensor x = inputs[0], y = inputs[1];
  if (normalize_) {
    x = x / maximum(norm(x, of_x, true), 1e-7);
    y = y / maximum(norm(y, of_y, true), 1e-7);
  }
  char next = 'b';
  std::string in_x = "a", in_y = "a", out = "a";
  for (int axis = 1; axis < x.rank(); ++axis) {
    in_x += next++;
    if (axis != of_x) out += in_x.back();
  }
  for (int axis = 1; axis < y.rank(); ++axis) {
    in_y += axis == of_y ? in_x[static_cast<std::size_t>(of_x)] : next++;
    if (axis != of_y) out += in_y.back();
  }
  const Tensor product = einsum(in_x + "," + in_y + "->" + out, {x, y});
  return product.rank() == 1 ? expand_dims(product, -1) : product;
}

Tensors Dot::compute_mask(const Tensors&, const Tensors&) { return {}; }

}  // namespace keratin
