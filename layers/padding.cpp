#include <algorithm>
#include <cmath>

#include <keratin/autograd/ops.h>
#include <keratin/layers/internal/options.h>
#include <keratin/layers/padding.h>

namespace keratin {
namespace {

// [before, after], or one number for both.
Option to_option(const Margin& margin) { return std::vector<Option>{margin.before, margin.after}; }
bool from_option(const Option& option, Margin& margin) {
  std::vector<int> ends;
  if (!keratin::from_option(option, ends) || ends.empty() || ends.size() > 2) return false;
  margin = {ends.front(), ends.back()};
  return true;
}
using keratin::from_option;
using keratin::to_option;

bool holds_everywhere(const Check& check, const Option& option) {
  auto* list = std::get_if<std::vector<Option>>(&option);
  if (list == nullptr) return check.holds(option);
  return std::ranges::all_of(*list,
                             [&](const Option& one) { return holds_everywhere(check, one); });
}

// One value for each of the axes. Of a single axis it stands alone.
template <class T>
Field per_axis_field(const std::string& name, std::vector<T>& values, int axes, double least) {
  auto read = [&values, axes]() -> Option {
    if (axes == 1) return to_option(values[0]);
    std::vector<Option> list;
    for (const T& value : values) list.push_back(to_option(value));
    return list;
  };
  auto write = [&values, axes](const Option& option) {
    T all{};
    auto* list = std::get_if<std::vector<Option>>(&option);
    if (axes == 1 || list == nullptr)
      return from_option(option, all) && (std::ranges::fill(values, all), true);
    return list->size() == values.size() &&
           std::ranges::equal(*list, values,
                              [](const Option& one, T& value) { return from_option(one, value); });
  };
  Check check = at_least(least);
  return {name, read, write, {check.rule, [=](const Option& option) {
                                return holds_everywhere(check, option);
                              }}};
}

template <class T>
std::vector<T> one_for_each(const std::vector<T>& given, int axes, const std::string& who,
                            const char* option) {
  const auto count = static_cast<std::size_t>(axes);
  if (given.size() == 1) return std::vector<T>(count, given[0]);
  if (given.size() != count)
    fail("{}{}D: expected {} for all axes or for each of {}, got {}", who, axes, option, axes,
         given.size());
  return given;
}

}  // namespace

Shape SpatialLayer::compute_output_shape(const Shape& input_shape) {
  auto refuse = [&](const std::string& what) {
    throw LayerError(fmt::format("{} ({}): {}, got {}", name(), class_name(), what, input_shape));
  };
  if (input_shape.rank() != axes_ + 2)
    refuse(fmt::format("expected an input of rank {}", axes_ + 2));
  Shape shape = input_shape;
  for (int i = 0; i < axes_; ++i) {
    std::int64_t& size = shape[first_axis() + i];
    if (size == None) continue;
    size = new_size(size, static_cast<std::size_t>(i));
    if (size <= 0)
      refuse(fmt::format("expected more along axis {} than is cut off", first_axis() + i));
  }
  ensure_built(input_shape);
  return shape;
}

// --- zeros around

ZeroPadding::ZeroPadding(int axes, const ZeroPaddingOptions& options)
    : SpatialLayer(axes), padding_(one_for_each(options.padding, axes, "ZeroPadding", "padding")) {
  data_format_ = options.data_format;
  check_fields(fmt::format("ZeroPadding{}D", axes), fields());
  apply_common(*this, options);
}

std::vector<Field> ZeroPadding::fields() {
  return {per_axis_field("padding", padding_, axes_, 0), data_format_field(data_format_)};
}

Tensor ZeroPadding::call(const Tensor& x) {
  compute_output_shape(x.shape());  // checks it
  std::vector<std::array<std::int64_t, 2>> widths(static_cast<std::size_t>(x.rank()));
  for (std::size_t i = 0; i < padding_.size(); ++i)
    widths[i + static_cast<std::size_t>(first_axis())] = {padding_[i].before, padding_[i].after};
  return pad(x, widths);
}

// --- margins cut off

Cropping::Cropping(int axes, const CroppingOptions& options)
    : SpatialLayer(axes), cropping_(one_for_each(options.cropping, axes, "Cropping", "cropping")) {
  data_format_ = options.data_format;
  check_fields(fmt::format("Cropping{}D", axes), fields());
  apply_common(*this, options);
}

std::vector<Field> Cropping::fields() {
  std::vector<Field> fields{per_axis_field("cropping", cropping_, axes_, 0)};
  if (axes_ > 1) fields.push_back(data_format_field(data_format_));
  return fields;
}

Tensor Cropping::call(const Tensor& x) {
  const Shape shape = compute_output_shape(x.shape());
  std::vector<Index> kept(static_cast<std::size_t>(x.rank()), all);
  for (int i = 0; i < axes_; ++i) {
    const int axis = first_axis() + i, before = cropping_[static_cast<std::size_t>(i)].before;
    kept[static_cast<std::size_t>(axis)] = range(before, before + shape[axis]);
  }
  return slice(x, kept);
}

// --- more entries of the same

UpSampling::UpSampling(int axes, const UpSampling2DOptions& options)
    : SpatialLayer(axes),
      size_(one_for_each<int>(options.size, axes, "UpSampling", "size")),
      interpolation_(options.interpolation) {
  data_format_ = options.data_format;
  check_fields(fmt::format("UpSampling{}D", axes), fields());
  apply_common(*this, options);
}

std::vector<Field> UpSampling::fields() {
  std::vector<Field> fields{per_axis_field("size", size_, axes_, 1)};
  if (axes_ > 1) fields.push_back(data_format_field(data_format_));
  if (axes_ == 2)
    fields.push_back({"interpolation", &interpolation_, one_of({"nearest", "bilinear"})});
  return fields;
}

Tensor UpSampling::call(const Tensor& x) {
  const Shape shape = compute_output_shape(x.shape());
  if (interpolation_ == "bilinear")
    return resize(x, {shape[first_axis()], shape[first_axis() + 1]}, {.data_format = data_format_});
  Tensor y = x;
  for (int i = 0; i < axes_; ++i)
    y = repeat(y, size_[static_cast<std::size_t>(i)], first_axis() + i);
  return y;
}

}  // namespace keratin
