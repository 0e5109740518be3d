// Layers that make one tensor of several (keras/src/layers/merging). They are called on lists:
//
//   Tensor z = Add()({x, y});
//   auto h = Concatenate()({a, b});   // in a functional model
//
// Inputs broadcast. Of inputs of different rank the batch axes meet, and the smaller ones get axes
// of size 1 behind theirs: (batch, 4) meets (batch, time, 4) as (batch, 1, 4).
#pragma once

#include <string>
#include <vector>

#include <keratin/layers/layer.h>

namespace keratin {

struct MergeOptions {
  std::string name = {};
};

/// What the merges have in common. A step of the output counts if it counts in any input; where an
/// input has no mask, neither has the output.
class Merge : public Layer {
 public:
  explicit Merge(const MergeOptions& options = {});
  void build(const Shapes& input_shapes) override;
  Tensors call(const Tensors& inputs) override;
  Tensors compute_mask(const Tensors& inputs, const Tensors& masks) override;
  Shapes compute_output_shape(const Shapes& input_shapes) override;
  bool supports_masking() const override { return true; }

 protected:
  /// Throws std::invalid_argument when the shapes do not fit; else the shape of the output.
  virtual Shape merged_shape(const Shapes& shapes) const;

 private:
  virtual Tensor merge(const Tensors& inputs) const = 0;
};

/// The sum of all inputs.
class Add : public Merge {
  using Merge::Merge;
  Tensor merge(const Tensors& inputs) const override;
};

/// The first input less the second; there are two.
class Subtract : public Merge {
  using Merge::Merge;
  Shape merged_shape(const Shapes& shapes) const override;
  Tensor merge(const Tensors& inputs) const override;
};

/// The product of all inputs, number by number. Where masks leave a step out of some inputs, the
/// others are the factors; where all have masks, a step that counts in none is 0.
class Multiply : public Merge {
  using Merge::Merge;
  Tensor merge(const Tensors& inputs) const override;
};

/// The mean of all inputs.
class Average : public Merge {
  using Merge::Merge;
  Tensor merge(const Tensors& inputs) const override;
};

/// The largest of all inputs, number by number. Where masks leave a step out of one input alone,
/// the others decide.
class Maximum : public Merge {
  using Merge::Merge;
  Tensor merge(const Tensors& inputs) const override;
};

/// The smallest of all inputs, number by number. Where masks leave a step out of one input alone,
/// the others decide.
class Minimum : public Merge {
  using Merge::Merge;
  Tensor merge(const Tensors& inputs) const override;
};

/// The inputs side by side along an axis; their other axes have the same sizes. A step counts if
/// it counts in any input; an input without a mask counts everywhere.
class Concatenate : public Merge {
 public:
  explicit Concatenate(int axis = -1, const MergeOptions& options = {});
  Tensors compute_mask(const Tensors& inputs, const Tensors& masks) override;
  std::vector<Field> fields() override;

 private:
  Shape merged_shape(const Shapes& shapes) const override;
  Tensor merge(const Tensors& inputs) const override;
  int axis_;
};

struct DotOptions {
  bool normalize = false;  ///< divides by the lengths along the axes: the product is a cosine
  std::string name = {};
};

/// The products of two inputs, summed over one axis of each: with axes {2, 1}, (batch, a, n) and
/// (batch, n, b) give (batch, a, b). Vectors give (batch, 1). The output has no mask.
class Dot : public Merge {
 public:
  /// One axis for both inputs, or one for each; not the batch axis.
  explicit Dot(int axes, const DotOptions& options = {});
  explicit Dot(std::vector<int> axes, const DotOptions& options = {});
  Tensors compute_mask(const Tensors& inputs, const Tensors& masks) override;
  std::vector<Field> fields() override;

 private:
  Shape merged_shape(const Shapes& shapes) const override;
  Tensor merge(const Tensors& inputs) const override;
  int axis_of(std::size_t input, int rank) const;
  std::vector<int> axes_;
  bool normalize_;
};

}  // namespace keratin
