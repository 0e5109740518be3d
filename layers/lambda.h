// Lambda: a function as a layer (keras/src/layers/core/lambda_layer.py).
#pragma once

#include <functional>
#include <string>

#include <keratin/layers/layer.h>

namespace keratin {

struct LambdaOptions {
  /// Of a sample, without the batch axis; by default it is found by trying.
  Shape output_shape = {};
  /// The mask of the output; by default there is none.
  std::function<Tensor(const Tensors& inputs, const Tensors& masks)> mask = {};
  std::string name = {};
  Shape input_shape = {};  ///< without the batch axis, for the first layer of a model
};

/// A function of the input, or of the list of inputs, as a layer; as a second argument it may take
/// what it is called with, training and masks:
///
///   Lambda([](const Tensor& x) { return x * x; })
///   Lambda([](const Tensors& inputs) { return inputs[0] - inputs[1]; })
///   Lambda([](const Tensor& x, const CallOptions& call) { return call.training ? x : 2 * x; })
///
/// What Keras calls arguments is captured by the function. A function has no config: a layer that
/// is to be stored is a class of its own (layer.h). Layers that the function calls are no part of
/// this one, so that they may have no weights.
class Lambda : public Layer {
 public:
  using Function = std::function<Outputs(const Tensors& inputs, const CallOptions& call)>;

  template <class F>
  requires std::is_invocable_r_v<Outputs, F, const Tensor&>
  explicit Lambda(F function, const LambdaOptions& options = {})
      : Lambda(Function([this_one = std::move(function)](const Tensors& inputs,
                                                         const CallOptions&) mutable -> Outputs {
                 return this_one(the_only(inputs));
               }),
               options) {}
  template <class F>
  requires std::is_invocable_r_v<Outputs, F, const Tensor&, const CallOptions&>
  explicit Lambda(F function, const LambdaOptions& options = {})
      : Lambda(Function([this_one = std::move(function)](
                            const Tensors& inputs, const CallOptions& call) mutable -> Outputs {
                 return this_one(the_only(inputs), call);
               }),
               options) {}
  template <class F>
  requires std::is_invocable_r_v<Outputs, F, const Tensors&>
  explicit Lambda(F function, const LambdaOptions& options = {})
      : Lambda(Function([this_one = std::move(function)](const Tensors& inputs,
                                                         const CallOptions&) mutable -> Outputs {
                 return this_one(inputs);
               }),
               options) {}
  explicit Lambda(Function function, const LambdaOptions& options = {});

  Tensors call(const Tensors& inputs) override;
  Tensors compute_mask(const Tensors& inputs, const Tensors& masks) override;
  Shapes compute_output_shape(const Shapes& input_shapes) override;
  bool supports_masking() const override { return options_.mask != nullptr; }
  std::vector<Field> fields() override;

 private:
  static const Tensor& the_only(const Tensors& inputs);
  Function function_;
  LambdaOptions options_;
};

}  // namespace keratin
