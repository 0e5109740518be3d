// A layer's weight: a named tensor that outlives the steps of a training run. Keras calls it a
// Variable. Every tape watches a trainable weight unasked.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <keratin/core/tensor.h>

namespace keratin {

/// A handle: copies share the weight. Where a Tensor is wanted, its value is taken.
class Weight {
 public:
  /// No weight: defined() is false.
  Weight() = default;
  Weight(std::string name, const Tensor& value, bool trainable = true);

  bool defined() const { return state_ != nullptr; }
  operator const Tensor&() const { return value(); }
  const Tensor& value() const;
  const Shape& shape() const { return value().shape(); }
  std::int64_t numel() const { return value().numel(); }
  Device device() const { return value().device(); }

  /// Overwrites the value in place, converted to its dtype; a weight on meta moves to
  /// default_device(). Throws std::invalid_argument naming the weight when the shape differs.
  void assign(const Tensor& value);

  /// "kernel", and "sequential/lstm/lstm_cell/kernel".
  const std::string& name() const;
  const std::string& path() const;
  void set_path(std::string path);

  bool trainable() const;
  void set_trainable(bool trainable);

  /// What the weight adds to the loss; may be empty.
  using Function = std::function<Tensor(const Tensor&)>;
  const Function& regularizer() const;
  void set_regularizer(Function regularizer);
  /// What the weight is replaced by after each step of the optimizer; may be empty.
  const Function& constraint() const;
  void set_constraint(Function constraint);

  /// Puts another tensor, of any dtype, in the value's place: for checks in float64.
  void replace(const Tensor& value);

  /// Whether two handles mean the same weight.
  bool operator==(const Weight& other) const { return state_ == other.state_; }

 private:
  struct State;
  State& state() const;
  std::shared_ptr<State> state_;
};

}  // namespace keratin
