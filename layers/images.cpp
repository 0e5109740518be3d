#include <algorithm>
#include <cmath>
#include <numbers>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/pointwise.h>
#include <keratin/core/create.h>
#include <keratin/core/random.h>
#include <keratin/layers/images.h>
#include <keratin/layers/internal/options.h>

namespace keratin {

double RandomRange::low() const {
  return given_.size() == 1 ? -std::abs(given_[0]) : std::min(given_[0], given_[1]);
}
double RandomRange::high() const {
  return given_.size() == 1 ? std::abs(given_[0]) : std::max(given_[1], given_[0]);
}
Option to_option(const RandomRange& range) {
  return range.given().size() == 1 ? Option(range.given()[0]) : to_option(range.given());
}
bool from_option(const Option& option, RandomRange& range) {
  if (double one = 0; from_option(option, one)) {
    range.given_ = {one};
    return true;
  }
  std::vector<double> both;
  if (!from_option(option, both) || both.size() != 2) return false;
  range.given_ = both;
  return true;
}

namespace {

/// A rule for the numbers of a range as they were given. None is good: a range may be left out.
Check each(const std::string& rule, const std::function<bool(double)>& is_good) {
  return {rule, [is_good](const Option& option) {
            RandomRange range = 0;
            return option.is_none() ||
                   (from_option(option, range) && std::ranges::all_of(range.given(), is_good));
          }};
}
Check within(double least, double most) {
  return each(fmt::format("from {} to {}", least, most),
              [least, most](double x) { return x >= least && x <= most; });
}

/// A factor that Keras writes as a list. It refuses one number outside of these limits, and a list
/// that begins beyond the upper one or ends below the lower one.
Field factor_field(RandomRange& range, double least, double most) {
  auto low = [&range, least] {
    const double given = range.given().size() == 2 ? range.low()
                         : least < 0               ? -std::abs(range.given()[0])
                                                   : 0;
    // Where no factor is negative, Keras makes one number x the list [0, x], whose 0 is whole.
    return least == 0 && given == 0 && !std::signbit(given) ? Option(0) : Option(given);
  };
  auto written = [&range, low]() -> Option { return std::vector<Option>{low(), range.high()}; };
  auto read = [&range](const Option& value) { return from_option(value, range); };
  auto holds = [&range, least, most](const Option&) {
    const std::vector<double>& given = range.given();
    return given[0] <= most && given.back() >= least && std::isfinite(range.high() - range.low());
  };
  return {"factor", written, read, {fmt::format("from {} to {}", least, most), holds}};
}

Field value_range_field(std::array<double, 2>& range) {
  auto written = [&range]() -> Option {
    // Keras's default, in whole numbers.
    if (range == RandomColorOptions().value_range) return std::vector<Option>{0, 255};
    return std::vector<Option>{range[0], range[1]};
  };
  auto read = [&range](const Option& value) {
    std::vector<double> list;
    if (!from_option(value, list) || list.size() != 2) return false;
    range = {std::min(list[0], list[1]), std::max(list[0], list[1])};
    return true;
  };
  auto holds = [&range](const Option&) {
    return range[0] <= range[1] && std::isfinite(range[1] - range[0]);
  };
  return {"value_range", written, read, {"of two numbers, the smaller one first", holds}};
}

}  // namespace

// --- the base

Tensor ImageLayer::call(const Tensor& inputs) {
  compute_output_shape(inputs.shape());
  const bool first = data_format_ == "channels_first";
  const Tensor images = inputs.astype(is_floating(inputs.dtype()) ? inputs.dtype() : dtype());
  const Tensor result = changed(first ? moveaxis(images, 1, -1) : images);
  return first ? moveaxis(result, -1, 1) : result;
}

Shape ImageLayer::compute_output_shape(const Shape& input_shape) {
  if (input_shape.rank() != 4)
    fail("expected images (batch, height, width, channels), got {}", input_shape);
  const int height = data_format_ == "channels_first" ? 2 : 1;
  const auto size = new_size({input_shape[height], input_shape[height + 1]});
  return input_shape.with(height, size[0]).with(height + 1, size[1]);
}

Tensor ImageLayer::draw(const Tensor& images, double low, double high,
                        const std::optional<std::uint64_t>& seed) const {
  return random(seed).uniform({images.size(0), 1, 1, 1}, low, high, images.dtype(),
                              images.device());
}

// --- other sizes

Resizing::Resizing(int height, int width, const ResizingOptions& options)
    : height_(height), width_(width), options_(options) {
  data_format_ = options.data_format;
  check_fields("Resizing", fields());
  apply_common(*this, options);
}

std::vector<Field> Resizing::fields() {
  ResizingOptions& o = options_;
  return {data_format_field(data_format_),
          {"height", &height_, at_least(1)},
          {"width", &width_, at_least(1)},
          {"interpolation", &o.interpolation, one_of({"bilinear", "nearest"})},
          {"crop_to_aspect_ratio", &o.crop_to_aspect_ratio},
          {"pad_to_aspect_ratio", &o.pad_to_aspect_ratio},
          Field::fixed("fill_mode", "constant"),
          {"fill_value", &o.fill_value},
          {"antialias", &o.antialias}};
}

Tensor Resizing::changed(const Tensor& images) {
  const ResizingOptions& o = options_;
  return resize(images, {height_, width_},
                {.interpolation = o.interpolation,
                 .antialias = o.antialias,
                 .crop_to_aspect_ratio = o.crop_to_aspect_ratio,
                 .pad_to_aspect_ratio = o.pad_to_aspect_ratio,
                 .fill_value = o.fill_value});
}

CenterCrop::CenterCrop(int height, int width, const CenterCropOptions& options)
    : height_(height), width_(width) {
  data_format_ = options.data_format;
  check_fields("CenterCrop", fields());
  apply_common(*this, options);
}

std::vector<Field> CenterCrop::fields() {
  return {data_format_field(data_format_),
          {"height", &height_, at_least(1)},
          {"width", &width_, at_least(1)}};
}

Tensor CenterCrop::changed(const Tensor& images) {
  const std::int64_t top = images.size(1) - height_, left = images.size(2) - width_;
  if (top < 0 || left < 0) return resize(images, {height_, width_}, {.crop_to_aspect_ratio = true});
  return slice(images,
               {All(), range(top / 2, top / 2 + height_), range(left / 2, left / 2 + width_)});
}

// --- mirrored

RandomFlip::RandomFlip(const RandomFlipOptions& options)
    : mode_(options.mode), seed_(options.seed) {
  data_format_ = options.data_format;
  check_fields("RandomFlip", fields());
  apply_common(*this, options);
}

std::vector<Field> RandomFlip::fields() {
  return {data_format_field(data_format_),
          {"seed", &seed_},
          {"mode", &mode_, one_of({"horizontal", "vertical", "horizontal_and_vertical"})}};
}

Tensor RandomFlip::changed(const Tensor& images) {
  if (!training()) return images;
  const Axes axes = mode_ == "horizontal" ? Axes{2} : mode_ == "vertical" ? Axes{1} : Axes{1, 2};
  return where(draw(images, 0, 1, seed_) <= 0.5, flip(images, axes), images);
}

// --- moved

namespace {

/// Whole numbers that may lie beyond 0..n-1, as places within.
Tensor within_axis(const Tensor& place, std::int64_t n, const std::string& fill_mode) {
  const auto size = static_cast<double>(n);
  auto modulo = [](const Tensor& x, double y) { return x - y * floor(x / y); };
  if (fill_mode == "wrap") return modulo(place, size);
  if (fill_mode == "reflect") {
    const Tensor there_and_back = modulo(place, 2 * size);
    return minimum(there_and_back, 2 * size - 1 - there_and_back);
  }
  return clip(place, 0, size - 1);
}

/// Pixels (batch, height, width, channels) at whole places (batch, height, width).
Tensor pixels_at(const Tensor& images, const Tensor& x, const Tensor& y,
                 const RandomMotionOptions& options) {
  const std::int64_t batch = images.size(0), height = images.size(1), width = images.size(2);
  const Tensor row = within_axis(y, height, options.fill_mode).astype(int32),
               column = within_axis(x, width, options.fill_mode).astype(int32),
               image = reshape(arange(batch, int32, images.device()), {batch, 1, 1});
  const auto h = static_cast<int>(height), w = static_cast<int>(width);
  const Tensor pixels = take(reshape(images, {batch * height * width, images.size(3)}),
                             (image * h + row) * w + column, 0);
  if (options.fill_mode != "constant") return pixels;
  const Tensor inside = logical_and(logical_and(x >= 0.0, x <= static_cast<double>(w - 1)),
                                    logical_and(y >= 0.0, y <= static_cast<double>(h - 1)));
  return where(expand_dims(inside, -1), pixels, options.fill_value);
}

/// To the nearest whole number, halves away from 0.
Tensor nearest(const Tensor& x) { return where(x < 0.0, ceil(x - 0.5), floor(x + 0.5)); }

}  // namespace

std::vector<Field> RandomMotion::with_motion_fields(std::vector<Field> fields) {
  RandomMotionOptions& o = motion_;
  fields.insert(fields.begin(), data_format_field(data_format_));
  for (const Field& field :
       {Field("fill_mode", &o.fill_mode, one_of({"reflect", "wrap", "constant", "nearest"})),
        Field("interpolation", &o.interpolation, one_of({"bilinear", "nearest"})),
        Field("seed", &o.seed), Field("fill_value", &o.fill_value)})
    fields.push_back(field);
  return fields;
}

RandomMotion::RandomMotion(const RandomMotionOptions& options) : motion_(options) {
  data_format_ = options.data_format;
}

Tensor RandomMotion::draw_factor(const RandomRange& range, const Tensor& images) const {
  return squeeze(draw(images, range.low(), range.high(), motion_.seed), {3});
}

Tensor RandomMotion::changed(const Tensor& images) {
  if (!training()) return images;
  const std::int64_t height = images.size(1), width = images.size(2);
  if (images.size(0) * height * width > INT32_MAX)
    fail("expected at most {} pixels in all images, got {}", INT32_MAX, images.shape());
  const Tensor i = reshape(arange(height, images.dtype(), images.device()), {1, height, 1}),
               j = reshape(arange(width, images.dtype(), images.device()), {1, 1, width});
  const Sources from = sources(images);
  const Tensor x = from.a * j + from.b * i + from.c, y = from.d * j + from.e * i + from.f;
  if (motion_.interpolation == "nearest") return pixels_at(images, nearest(x), nearest(y), motion_);
  const Tensor left = floor(x), top = floor(y);
  const Tensor right_share = expand_dims(x - left, -1), bottom_share = expand_dims(y - top, -1);
  auto row_at = [&](const Tensor& row) {
    return (1 - right_share) * pixels_at(images, left, row, motion_) +
           right_share * pixels_at(images, left + 1, row, motion_);
  };
  return (1 - bottom_share) * row_at(top) + bottom_share * row_at(top + 1);
}

RandomRotation::RandomRotation(const RandomRange& factor, const RandomMotionOptions& options)
    : RandomMotion(options), factor_(factor) {
  check_fields("RandomRotation", fields());
  apply_common(*this, options);
}

std::vector<Field> RandomRotation::fields() {
  std::vector<Field> fields = with_motion_fields({factor_field(factor_, -1, 1)});
  std::rotate(fields.end() - 3, fields.end() - 1, fields.end());  // fill_value after fill_mode
  return fields;
}

RandomMotion::Sources RandomRotation::sources(const Tensor& images) {
  const Tensor angle = 2 * std::numbers::pi * draw_factor(factor_, images);
  const Tensor c = cos(angle), s = sin(angle);
  const double x = static_cast<double>(images.size(2) - 1) / 2,
               y = static_cast<double>(images.size(1) - 1) / 2;
  return {c, -s, x - x * c + y * s, s, c, y - x * s - y * c};
}

RandomZoom::RandomZoom(const RandomRange& height_factor, const RandomZoomOptions& o)
    : RandomMotion({o.fill_mode, o.interpolation, o.seed, o.fill_value, o.data_format}),
      height_factor_(height_factor),
      width_factor_(o.width_factor) {
  check_fields("RandomZoom", fields());
  apply_common(*this, o);
}

std::vector<Field> RandomZoom::fields() {
  const Check zoom = each("above -1 and at most 1", [](double x) { return x > -1 && x <= 1; });
  return with_motion_fields(
      {{"height_factor", &height_factor_, zoom},
       {"width_factor", [this] { return width_factor_ ? to_option(*width_factor_) : Option(); },
        [this](const Option& value) {
          width_factor_.reset();
          return value.is_none() || from_option(value, width_factor_.emplace(0.0));
        },
        zoom}});
}

RandomMotion::Sources RandomZoom::sources(const Tensor& images) {
  const Tensor down = 1 + draw_factor(height_factor_, images);
  const Tensor across = width_factor_ ? 1 + draw_factor(*width_factor_, images) : down;
  const double x = static_cast<double>(images.size(2) - 1) / 2,
               y = static_cast<double>(images.size(1) - 1) / 2;
  const Tensor none = zeros({1}, images.dtype(), images.device());
  return {across, none, x * (1 - across), none, down, y * (1 - down)};
}

RandomTranslation::RandomTranslation(const RandomRange& height_factor,
                                     const RandomRange& width_factor,
                                     const RandomMotionOptions& options)
    : RandomMotion(options), height_factor_(height_factor), width_factor_(width_factor) {
  check_fields("RandomTranslation", fields());
  apply_common(*this, options);
}

std::vector<Field> RandomTranslation::fields() {
  return with_motion_fields({{"height_factor", &height_factor_, within(-1, 1)},
                             {"width_factor", &width_factor_, within(-1, 1)}});
}

RandomMotion::Sources RandomTranslation::sources(const Tensor& images) {
  const Tensor down = draw_factor(height_factor_, images) * static_cast<double>(images.size(1)),
               right = draw_factor(width_factor_, images) * static_cast<double>(images.size(2));
  const Tensor one = ones({1}, images.dtype(), images.device()), none = zeros_like(one);
  return {one, none, -right, none, one, -down};
}

// --- colours

RandomColor::RandomColor(const char* class_name, const RandomRange& factor, double least_factor,
                         const RandomColorOptions& options)
    : factor_(factor),
      least_factor_(least_factor),
      value_range_(options.value_range),
      seed_(options.seed) {
  data_format_ = options.data_format;
  check_fields(class_name, fields());
  apply_common(*this, options);
}

std::vector<Field> RandomColor::fields() {
  return {data_format_field(data_format_),
          factor_field(factor_, least_factor_, 1),
          value_range_field(value_range_),
          {"seed", &seed_}};
}

Tensor RandomBrightness::changed(const Tensor& images) {
  if (!training()) return images;
  const auto [low, high] = value_range_;
  return clip(images + draw(images, factor_.low(), factor_.high(), seed_) * (high - low), low,
              high);
}

Tensor RandomContrast::changed(const Tensor& images) {
  if (!training()) return images;
  const auto [low, high] = value_range_;
  const double least = factor_.given().size() == 1 ? 0 : factor_.low();
  const Tensor factor = draw(images, 1 - least, 1 + factor_.high(), seed_);
  const Tensor middle = mean(images, {1, 2}, /*keepdims=*/true);
  return clip((images - middle) * factor + middle, low, high);
}

}  // namespace keratin
