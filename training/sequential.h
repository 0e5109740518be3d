// Sequential: layers one after the other (keras/src/models/sequential.py).
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include <keratin/training/model.h>

namespace keratin {

class Sequential : public Model {
 public:
  Sequential() = default;
  Sequential(std::initializer_list<AnyLayer> layers, const std::string& name = "");
  Sequential(const Sequential& other);
  Sequential(Sequential&&) noexcept = default;
  Sequential& operator=(const Sequential&) = default;
  Sequential& operator=(Sequential&&) noexcept = default;

  /// Appends a layer. The model is built at once when the first layer knows its input's shape.
  void add(AnyLayer layer);
  /// Removes the last layer.
  void pop();

  /// Builds all layers for inputs of this shape; axis 0 is the batch. Errors show the chain of
  /// shapes up to the layer that does not fit.
  void build(const Shape& input_shape) override;
  void build(const Shapes& input_shapes) override;

  Config get_config() const override;

  /// The output shape of each layer, as summary shows it; empty before the model is built.
  std::vector<Shape> output_shapes() const;

 private:
  friend AnyLayer sequential_from_config(const Config& config);
  /// All at once, so that the model is built but once.
  void set_layers(const std::vector<AnyLayer>& layers);
  Tensors default_call(const Tensors& inputs) override;
  void connect();
  // The symbolic input, and the output of each layer, once the model is built. Shared by all
  // copies, like the layers.
  using Chain = std::vector<SymbolicTensor>;
  std::shared_ptr<Chain> chain_ = std::make_shared<Chain>();
};

}  // namespace keratin
