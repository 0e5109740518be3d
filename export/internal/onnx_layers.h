// How the layers become nodes: one function for each class, found by Keras's name of it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <keratin/core/config.h>
#include <keratin/core/internal/message.h>
#include <keratin/export/internal/onnx_value.h>
#include <keratin/layers/layer.h>

namespace keratin::onnx {

/// A layer that is called: what goes in, and its options and weights.
class Call {
 public:
  Call(Writer& writer, const Layer& layer, Values inputs, Values masks);

  /// Throws std::invalid_argument when the layer has no such option.
  template <class T>
  T option(const std::string& name) const {
    T value{};
    using keratin::from_option;
    if (!from_option(option(name), value)) fail("option {} has an unexpected value", name);
    return value;
  }
  const Option& option(const std::string& name) const;
  bool has_option(const std::string& name) const;
  bool flag(const std::string& name) const { return has_option(name) && option<bool>(name); }
  bool channels_first() const;
  /// The option axis, one or several; none where it is None.
  std::vector<int> axes() const;

  /// Of the layer itself, by name; a value that is not defined where there is none.
  Value weight(const std::string& name) const;
  std::optional<Tensor> weight_tensor(const std::string& name) const;
  /// A constant of this layer, made once.
  Value constant(const std::string& name, const std::function<Tensor()>& make) const;

  const Value& x() const { return inputs[0]; }
  const Value& mask(std::size_t input = 0) const { return masks[input]; }
  void set_output_masks(Values given) { output_masks = std::move(given); }

  Writer& writer;
  const Layer& layer;
  Values inputs, masks;  ///< as many masks as inputs; not defined where there is none
  std::optional<Values> output_masks = {};  ///< where that is not what supports_masking() says

 private:
  Config config_;
};

using Export = Values (*)(Call& call);
using ExportTable = std::map<std::string, Export>;

// Each file states its part of the table.
const ExportTable& core_exports();
const ExportTable& merge_exports();
const ExportTable& normalization_exports();
const ExportTable& preprocessing_exports();
const ExportTable& convolution_exports();
const ExportTable& recurrent_exports();
const ExportTable& attention_exports();
/// Images of this size, with the options of `resize` or Resizing.
Values resize(Call& call, int height, int width);
/// By the names of the ops. Their attributes are the options of the call.
const ExportTable& operation_exports();

/// Outputs and their masks. Throws std::invalid_argument for what has no form in ONNX.
std::pair<Values, Values> export_layer(Writer& writer, const Layer& layer, const Values& inputs,
                                       const Values& masks);
Values export_operation(Call& call);

/// An activation as an option states it: a name, a layer, or None.
Value activate(const Option& activation, const Value& x);
/// By what the op of that name is told besides.
Value elu(const Value& x, double alpha);
Value celu(const Value& x, double alpha);
Value leaky_relu(const Value& x, double negative_slope);
Value gelu(const Value& x, bool approximate);
Value soft_shrink(const Value& x, double threshold);
Value hard_shrink(const Value& x, double threshold);
Value squareplus(const Value& x, double b);
Value glu(const Value& x, int axis);
Value log_softmax(const Value& x, int axis);
Value sparsemax(const Value& x, int axis);

/// x with 0 where the mask says that its first axes are padding, which may hold anything.
Value without_padding(const Value& x, const Value& mask);
/// The softmax of those that count, and 0 where none does; `counts` may be undefined.
Value shares(const Value& scores, const Value& counts, const std::vector<int>& axes);
/// The lengths of vectors along the axes.
Value root_of_squares(const Value& x, const std::vector<int>& axes, bool keepdims);
/// (batch...) -> (batch..., depth): 1 where the last axis has the number of the id.
Value one_hot(const Value& ids, std::int64_t depth, Type type);
/// {values, int32 indices}: the k largest along an axis, or the smallest, in their order.
Values top_k(const Value& x, const Size& k, int axis, bool largest);
/// The sums so far along an axis.
Value cumsum(const Value& x, int axis);
/// Each entry n times along an axis.
Value repeat(const Value& x, std::int64_t n, int axis);

/// What a convolution or a pooling says of its windows, with a number for each axis.
struct WindowOptions {
  std::vector<int> size, strides, dilation;
  std::string padding;  ///< valid, same or causal
};
/// x (batch, channels, n...) by a kernel as Keras has it, (size..., channels / groups, filters).
Value convolve(const Value& x, const Value& kernel, const WindowOptions& windows, int groups = 1);

}  // namespace keratin::onnx
