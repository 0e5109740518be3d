// Layers for batches of images (batch, height, width, channels), or with data_format
// "channels_first" (batch, channels, height, width): other sizes, and pictures that vary at random
// while a model is trained (keras/src/layers/preprocessing/image_preprocessing).
//
//   Sequential({RandomFlip({.mode = "horizontal"}), RandomRotation(0.1), Rescaling(1. / 255), ...})
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include <keratin/layers/layer.h>

namespace keratin {

/// A range in which numbers are drawn: two ends in any order, or from -x to x for one number x. The
/// layers say which numbers they take, and throw std::invalid_argument for others.
class RandomRange {
 public:
  RandomRange(double around_zero) : given_{around_zero} {}
  RandomRange(double low, double high) : given_{low, high} {}
  double low() const;
  double high() const;
  /// One number, or two.
  const std::vector<double>& given() const { return given_; }

 private:
  friend bool from_option(const Option& option, RandomRange& range);
  std::vector<double> given_;
};
Option to_option(const RandomRange& range);
bool from_option(const Option& option, RandomRange& range);

/// The base: changes the axes of the pixels.
class ImageLayer : public Layer {
 public:
  Tensor call(const Tensor& inputs) override;
  Shape compute_output_shape(const Shape& input_shape) override;

 protected:
  /// Gives what becomes of images (batch, height, width, channels).
  virtual Tensor changed(const Tensor& images) = 0;
  /// Gives what becomes of {height, width}.
  virtual std::array<std::int64_t, 2> new_size(const std::array<std::int64_t, 2>& size) const {
    return size;
  }
  /// Draws a number for each image, (batch, 1, 1, 1), from low to high.
  Tensor draw(const Tensor& images, double low, double high,
              const std::optional<std::uint64_t>& seed) const;

  std::string data_format_ = "channels_last";
};

struct ResizingOptions {
  std::string interpolation = "bilinear";  ///< or "nearest"
  bool crop_to_aspect_ratio = false;       ///< first cut what is too high or too wide
  bool pad_to_aspect_ratio = false;        ///< first add a margin of fill_value
  double fill_value = 0;
  bool antialias = false;
  std::string data_format = "channels_last";
  std::string name = {};
  Shape input_shape = {};
};

/// Images of this height and width; `resize` says how.
class Resizing : public ImageLayer {
 public:
  Resizing(int height, int width, const ResizingOptions& options = {});
  std::vector<Field> fields() override;

 protected:
  Tensor changed(const Tensor& images) override;
  std::array<std::int64_t, 2> new_size(const std::array<std::int64_t, 2>&) const override {
    return {height_, width_};
  }

 private:
  int height_, width_;
  ResizingOptions options_;
};

struct CenterCropOptions {
  std::string data_format = "channels_last";
  std::string name = {};
  Shape input_shape = {};
};

/// The middle of each image, of this height and width; where an image is smaller, its middle in
/// that shape is enlarged.
class CenterCrop : public ImageLayer {
 public:
  CenterCrop(int height, int width, const CenterCropOptions& options = {});
  std::vector<Field> fields() override;

 protected:
  Tensor changed(const Tensor& images) override;
  std::array<std::int64_t, 2> new_size(const std::array<std::int64_t, 2>&) const override {
    return {height_, width_};
  }

 private:
  int height_, width_;
};

// --- at random, in training only: each image of a batch in its own way

struct RandomFlipOptions {
  /// "horizontal": left and right change places. "vertical": top and bottom. Or
  /// "horizontal_and_vertical": both at once.
  std::string mode = "horizontal_and_vertical";
  std::optional<std::uint64_t> seed = {};
  std::string data_format = "channels_last";
  std::string name = {};
  Shape input_shape = {};
};

/// Each image is mirrored with a probability of one half.
class RandomFlip : public ImageLayer {
 public:
  explicit RandomFlip(const RandomFlipOptions& options = {});
  std::vector<Field> fields() override;

 protected:
  Tensor changed(const Tensor& images) override;

 private:
  std::string mode_;
  std::optional<std::uint64_t> seed_;
};

struct RandomMotionOptions {
  /// What is seen beyond an edge: "reflect" (b a | a b c), "wrap" (b c | a b c), "nearest"
  /// (a a | a b c), or "constant", which is fill_value.
  std::string fill_mode = "reflect";
  std::string interpolation = "bilinear";  ///< or "nearest"
  std::optional<std::uint64_t> seed = {};
  double fill_value = 0;
  std::string data_format = "channels_last";
  std::string name = {};
  Shape input_shape = {};
};

/// The base: a new place for each pixel.
class RandomMotion : public ImageLayer {
 protected:
  explicit RandomMotion(const RandomMotionOptions& options);
  Tensor changed(const Tensor& images) override;
  /// Pixel (x, y) of a result comes from (a x + b y + c, d x + e y + f). Each is (batch, 1, 1) or
  /// has one number.
  struct Sources {
    Tensor a, b, c, d, e, f;
  };
  virtual Sources sources(const Tensor& images) = 0;
  /// Draws a number for each image, (batch, 1, 1).
  Tensor draw_factor(const RandomRange& range, const Tensor& images) const;
  std::vector<Field> with_motion_fields(std::vector<Field> fields);

 private:
  RandomMotionOptions motion_;
};

/// Turns each image by a part of a full turn, from -1 to 1, counter-clockwise where it is positive.
class RandomRotation : public RandomMotion {
 public:
  explicit RandomRotation(const RandomRange& factor, const RandomMotionOptions& options = {});
  std::vector<Field> fields() override;

 protected:
  Sources sources(const Tensor& images) override;

 private:
  RandomRange factor_;
};

struct RandomZoomOptions {
  std::optional<RandomRange> width_factor = {};  ///< none: that of the height, number for number
  std::string fill_mode = "reflect";             ///< these are those of RandomMotionOptions
  std::string interpolation = "bilinear";
  std::optional<std::uint64_t> seed = {};
  double fill_value = 0;
  std::string data_format = "channels_last";
  std::string name = {};
  Shape input_shape = {};
};

/// Each image 1 + factor times as far away: smaller where the factor is positive. Factors are above
/// -1 and at most 1.
class RandomZoom : public RandomMotion {
 public:
  explicit RandomZoom(const RandomRange& height_factor, const RandomZoomOptions& options = {});
  std::vector<Field> fields() override;

 protected:
  Sources sources(const Tensor& images) override;

 private:
  RandomRange height_factor_;
  std::optional<RandomRange> width_factor_;
};

/// Moves each image down and to the right by parts of its height and width, from -1 to 1.
class RandomTranslation : public RandomMotion {
 public:
  RandomTranslation(const RandomRange& height_factor, const RandomRange& width_factor,
                    const RandomMotionOptions& options = {});
  std::vector<Field> fields() override;

 protected:
  Sources sources(const Tensor& images) override;

 private:
  RandomRange height_factor_, width_factor_;
};

struct RandomColorOptions {
  std::array<double, 2> value_range = {0, 255};  ///< results beyond it are cut off
  std::optional<std::uint64_t> seed = {};
  std::string data_format = "channels_last";
  std::string name = {};
  Shape input_shape = {};
};

/// The base: other numbers at the same places.
class RandomColor : public ImageLayer {
 public:
  std::vector<Field> fields() override;

 protected:
  /// The least factor is -1 or 0, the largest is 1.
  RandomColor(const char* class_name, const RandomRange& factor, double least_factor,
              const RandomColorOptions& options);

  RandomRange factor_;
  double least_factor_;
  std::array<double, 2> value_range_;
  std::optional<std::uint64_t> seed_;
};

/// Adds a part of the value range to each image, from -1 to 1.
class RandomBrightness : public RandomColor {
 public:
  explicit RandomBrightness(const RandomRange& factor, const RandomColorOptions& options = {})
      : RandomColor("RandomBrightness", factor, -1, options) {}

 protected:
  Tensor changed(const Tensor& images) override;
};

/// Numbers lie 1 + factor times as far from the mean of their channel: (x - mean) (1 + factor) +
/// mean. For {low, high}, from 0 to 1, the factor is drawn from -low to high; one number stands for
/// {0, high}.
class RandomContrast : public RandomColor {
 public:
  explicit RandomContrast(const RandomRange& factor, const RandomColorOptions& options = {})
      : RandomColor("RandomContrast", factor, 0, options) {}

 protected:
  Tensor changed(const Tensor& images) override;
};

}  // namespace keratin
