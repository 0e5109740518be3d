// Poolings over one, two or three axes between the batch and the channels
// (keras/src/layers/pooling): of windows, and of whole samples. data_format is "channels_last",
// (batch, n..., channels), or "channels_first".
#pragma once

#include <string>

#include <keratin/autograd/ops.h>
#include <keratin/layers/layer.h>

namespace keratin {

struct PoolingOptions {
  PerAxis strides = {};           ///< none: the size of the window
  std::string padding = "valid";  ///< or "same"
  std::string data_format = "channels_last";
  std::string name = {};
  Shape input_shape = {};
};

/// The largest, or the mean, of each window in each channel; what is missing does not count.
class Pooling : public Layer {
 public:
  Tensor call(const Tensor& inputs) override;
  Shape compute_output_shape(const Shape& input_shape) override;
  std::vector<Field> fields() override;
  void configured() override;

 protected:
  using Op = Tensor (*)(const Tensor&, const PerAxis&, const PoolOptions&);
  Pooling(int axes, Op op, const PerAxis& pool_size, const PoolingOptions& options);

 private:
  int axes_;
  Op op_;
  PerAxis pool_size_;
  PoolingOptions options_;
};

class MaxPooling1D : public Pooling {
 public:
  explicit MaxPooling1D(const PerAxis& pool_size = 2, const PoolingOptions& options = {})
      : Pooling(1, max_pool, pool_size, options) {
    configured();
  }
};
class MaxPooling2D : public Pooling {
 public:
  explicit MaxPooling2D(const PerAxis& pool_size = 2, const PoolingOptions& options = {})
      : Pooling(2, max_pool, pool_size, options) {
    configured();
  }
};
class MaxPooling3D : public Pooling {
 public:
  explicit MaxPooling3D(const PerAxis& pool_size = 2, const PoolingOptions& options = {})
      : Pooling(3, max_pool, pool_size, options) {
    configured();
  }
};
class AveragePooling1D : public Pooling {
 public:
  explicit AveragePooling1D(const PerAxis& pool_size = 2, const PoolingOptions& options = {})
      : Pooling(1, average_pool, pool_size, options) {
    configured();
  }
};
class AveragePooling2D : public Pooling {
 public:
  explicit AveragePooling2D(const PerAxis& pool_size = 2, const PoolingOptions& options = {})
      : Pooling(2, average_pool, pool_size, options) {
    configured();
  }
};
class AveragePooling3D : public Pooling {
 public:
  explicit AveragePooling3D(const PerAxis& pool_size = 2, const PoolingOptions& options = {})
      : Pooling(3, average_pool, pool_size, options) {
    configured();
  }
};

struct GlobalPoolingOptions {
  std::string data_format = "channels_last";
  bool keepdims = false;  ///< leaves the axes with size 1
  std::string name = {};
  Shape input_shape = {};
};

/// The largest, or the mean, of each channel: (batch, channels). The mean over one axis heeds a
/// mask (batch, time); where it leaves nothing the mean is 0.
class GlobalPooling : public Layer {
 public:
  Tensor call(const Tensor& inputs) override;
  Tensor compute_mask(const Tensor&, const Tensor&) override { return {}; }
  bool supports_masking() const override { return is_mean_ && axes_ == 1; }
  std::vector<Field> fields() override;
  void configured() override;

 protected:
  GlobalPooling(int axes, bool is_mean, const GlobalPoolingOptions& options);

 private:
  int axes_;
  bool is_mean_;
  GlobalPoolingOptions options_;
};

class GlobalMaxPooling1D : public GlobalPooling {
 public:
  explicit GlobalMaxPooling1D(const GlobalPoolingOptions& options = {})
      : GlobalPooling(1, false, options) {
    configured();
  }
};
class GlobalMaxPooling2D : public GlobalPooling {
 public:
  explicit GlobalMaxPooling2D(const GlobalPoolingOptions& options = {})
      : GlobalPooling(2, false, options) {
    configured();
  }
};
class GlobalMaxPooling3D : public GlobalPooling {
 public:
  explicit GlobalMaxPooling3D(const GlobalPoolingOptions& options = {})
      : GlobalPooling(3, false, options) {
    configured();
  }
};
class GlobalAveragePooling1D : public GlobalPooling {
 public:
  explicit GlobalAveragePooling1D(const GlobalPoolingOptions& options = {})
      : GlobalPooling(1, true, options) {
    configured();
  }
};
class GlobalAveragePooling2D : public GlobalPooling {
 public:
  explicit GlobalAveragePooling2D(const GlobalPoolingOptions& options = {})
      : GlobalPooling(2, true, options) {
    configured();
  }
};
class GlobalAveragePooling3D : public GlobalPooling {
 public:
  explicit GlobalAveragePooling3D(const GlobalPoolingOptions& options = {})
      : GlobalPooling(3, true, options) {
    configured();
  }
};

}  // namespace keratin
