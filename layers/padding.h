// Layers that make the axes between batch and channels longer or shorter: zeros around, margins cut
// off, entries repeated (keras/src/layers/reshaping). There are one, two or three such axes; what
// the number means is written once, and the classes 1D, 2D and 3D say which it is. With data_format
// channels_first the channels come before these axes.
#pragma once

#include <string>
#include <vector>

#include <keratin/layers/layer.h>

namespace keratin {

/// Entries before the first of an axis and after its last.
struct Margin {
  Margin() = default;
  Margin(int both) : before(both), after(both) {}
  Margin(int at_start, int at_end) : before(at_start), after(at_end) {}
  int total() const { return before + after; }
  int before = 0, after = 0;
};

/// One margin for all axes, or one for each: 1, {1, 2} or {{1, 0}, {2, 3}}.
struct Margins : std::vector<Margin> {
  using std::vector<Margin>::vector;
  Margins(int all) : std::vector<Margin>{Margin(all)} {}
};

/// One factor for all axes, or one for each.
struct Factors : std::vector<int> {
  using std::vector<int>::vector;
  Factors(int all) : std::vector<int>{all} {}
};

/// The base: a layer that changes the sizes of the axes between batch and channels.
class SpatialLayer : public Layer {
 public:
  Shape compute_output_shape(const Shape& input_shape) override;

 protected:
  explicit SpatialLayer(int axes) : axes_(axes) {}
  /// What becomes of a size of one of these axes, which are counted from 0; at most 0 is an error.
  virtual std::int64_t new_size(std::int64_t size, std::size_t axis) const = 0;
  /// The place of these axes in the input.
  int first_axis() const { return data_format_ == "channels_first" ? 2 : 1; }

  int axes_;
  std::string data_format_ = "channels_last";
};

// --- zeros around

struct ZeroPadding1DOptions {
  Margin padding = 1;
  std::string data_format = "channels_last";
  std::string name = {};
  Shape input_shape = {};
};
struct ZeroPaddingOptions {
  Margins padding = 1;
  std::string data_format = "channels_last";
  std::string name = {};
  Shape input_shape = {};
};

/// Zeros before the first entry and after the last.
class ZeroPadding : public SpatialLayer {
 public:
  std::vector<Field> fields() override;
  Tensor call(const Tensor& inputs) override;

 protected:
  ZeroPadding(int axes, const ZeroPaddingOptions& options);
  std::int64_t new_size(std::int64_t size, std::size_t axis) const override {
    return size + padding_[axis].total();
  }

 private:
  std::vector<Margin> padding_;
};

/// (batch, time, channels); padding = {2, 0} is two before the first step.
class ZeroPadding1D : public ZeroPadding {
 public:
  explicit ZeroPadding1D(const ZeroPadding1DOptions& o = {})
      : ZeroPadding(1, {{o.padding}, o.data_format, o.name, o.input_shape}) {}
};
/// (batch, rows, columns, channels); padding = {2, 0} is two rows on either side.
class ZeroPadding2D : public ZeroPadding {
 public:
  explicit ZeroPadding2D(const ZeroPaddingOptions& options = {}) : ZeroPadding(2, options) {}
};
/// (batch, depth, rows, columns, channels)
class ZeroPadding3D : public ZeroPadding {
 public:
  explicit ZeroPadding3D(const ZeroPaddingOptions& options = {}) : ZeroPadding(3, options) {}
};

// --- margins cut off

struct Cropping1DOptions {
  Margin cropping = 1;
  std::string name = {};
  Shape input_shape = {};
};
struct CroppingOptions {
  Margins cropping = 1;
  std::string data_format = "channels_last";
  std::string name = {};
  Shape input_shape = {};
};

/// Without the first entries and the last; some must be left.
class Cropping : public SpatialLayer {
 public:
  std::vector<Field> fields() override;
  Tensor call(const Tensor& inputs) override;

 protected:
  Cropping(int axes, const CroppingOptions& options);
  std::int64_t new_size(std::int64_t size, std::size_t axis) const override {
    return size - cropping_[axis].total();
  }

 private:
  std::vector<Margin> cropping_;
};

/// (batch, time, channels)
class Cropping1D : public Cropping {
 public:
  explicit Cropping1D(const Cropping1DOptions& o = {})
      : Cropping(1, {.cropping = {o.cropping}, .name = o.name, .input_shape = o.input_shape}) {}
};
/// (batch, rows, columns, channels)
class Cropping2D : public Cropping {
 public:
  explicit Cropping2D(const CroppingOptions& options = {}) : Cropping(2, options) {}
};
/// (batch, depth, rows, columns, channels)
class Cropping3D : public Cropping {
 public:
  explicit Cropping3D(const CroppingOptions& options = {}) : Cropping(3, options) {}
};

// --- more entries of the same

struct UpSampling1DOptions {
  int size = 2;
  std::string name = {};
  Shape input_shape = {};
};
struct UpSampling2DOptions {
  Factors size = 2;
  std::string data_format = "channels_last";
  std::string interpolation = "nearest";  ///< or bilinear
  std::string name = {};
  Shape input_shape = {};
};
struct UpSampling3DOptions {
  Factors size = 2;
  std::string data_format = "channels_last";
  std::string name = {};
  Shape input_shape = {};
};

/// Each entry `size` times, or straight lines between the entries.
class UpSampling : public SpatialLayer {
 public:
  std::vector<Field> fields() override;
  Tensor call(const Tensor& inputs) override;

 protected:
  UpSampling(int axes, const UpSampling2DOptions& options);
  std::int64_t new_size(std::int64_t size, std::size_t axis) const override {
    return size * size_[axis];
  }

 private:
  std::vector<int> size_;
  std::string interpolation_;
};

/// (batch, time, channels)
class UpSampling1D : public UpSampling {
 public:
  explicit UpSampling1D(const UpSampling1DOptions& o = {})
      : UpSampling(1, {.size = o.size, .name = o.name, .input_shape = o.input_shape}) {}
};
/// (batch, rows, columns, channels)
class UpSampling2D : public UpSampling {
 public:
  explicit UpSampling2D(const UpSampling2DOptions& options = {}) : UpSampling(2, options) {}
};
/// (batch, depth, rows, columns, channels)
class UpSampling3D : public UpSampling {
 public:
  explicit UpSampling3D(const UpSampling3DOptions& o = {})
      : UpSampling(3, {.size = o.size,
                       .data_format = o.data_format,
                       .name = o.name,
                       .input_shape = o.input_shape}) {}
};

}  // namespace keratin
