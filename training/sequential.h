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

  /// Appends a layer. The model is built at once when the first layer knows its input's shape.
  void add(AnyLayer layer);
  /// Removes the last layer.
  void pop();

  /// Builds all layers for inputs of this shape; axis 0 is the batch. Errors show the chain of
  /// shapes up to the layer that does not fit.
  void build(const Shape& input_shape) override;
  Tensor call(const Tensor& inputs) override;
  bool supports_masking() const override { return true; }
  Shape compute_output_shape(const Shape& input_shape) override;

  /// The output shape of each layer, as summary shows it; empty before the model is built.
  const std::vector<Shape>& output_shapes() const { return *output_shapes_; }

 private:
  std::string chain(std::size_t up_to) const;
  // Shared by all copies, like the layers; found when the model is built.
  std::shared_ptr<std::vector<Shape>> output_shapes_ = std::make_shared<std::vector<Shape>>();
};

}  // namespace keratin
