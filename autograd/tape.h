// The tape: a flat list of what was computed, read backward to differentiate it.
//
//   Tensor x = tensor({0.5, 1.0, 2.0});
//   GradientTape tape;
//   tape.watch(x);
//   Tensor y = sum(tanh(x) * x);
//   Tensor g = tape.gradient(y, x);
//
// While a tape lives, every op on something it watches appends one node. Recording order is already
// a topological order, so the backward pass is one loop from the end. Nested tapes give higher
// derivatives: the backward pass of the inner one is recorded by the outer one.
#pragma once

#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <iosfwd>
#include <string>
#include <utility>
#include <vector>

#include <keratin/core/tensor.h>

namespace keratin {

struct Record;

/// Records the ops of the thread that made it, from its construction to its end.
class GradientTape {
 public:
  GradientTape();
  ~GradientTape();
  GradientTape(const GradientTape&) = delete;
  GradientTape& operator=(const GradientTape&) = delete;

  /// Follow this tensor of floats from here on. Trainable weights are watched unasked.
  void watch(const Tensor& x);

  /// dy/dx, of the shape of x: zeros where y does not depend on x. When y is not a scalar, the
  /// gradient of its sum, or of sum(y * output_gradient) when that is given. The tape stays as it
  /// was: asking again gives the same answer. std::invalid_argument when x was not watched, or when
  /// y was not recorded because it depends on nothing that is watched.
  /// Gradients may share memory with each other: copy one before writing into it.
  Tensor gradient(const Tensor& y, const Tensor& x, const Tensor& output_gradient = {}) const&;
  std::vector<Tensor> gradient(const Tensor& y, const std::vector<Tensor>& x,
                               const Tensor& output_gradient = {}) const&;
  /// gradient(y, {x, w}): braces always mean a list.
  std::vector<Tensor> gradient(const Tensor& y, std::initializer_list<Tensor> x,
                               const Tensor& output_gradient = {}) const& {
    return gradient(y, std::vector<Tensor>(x), output_gradient);
  }
  /// gradient(loss, model.trainable_weights())
  template <std::convertible_to<const Tensor&> W>
  std::vector<Tensor> gradient(const Tensor& y, const std::vector<W>& x,
                               const Tensor& output_gradient = {}) const& {
    return gradient(y, std::vector<Tensor>(x.begin(), x.end()), output_gradient);
  }
  /// Of several results at once: the gradient of the sum of all of them.
  std::vector<Tensor> gradient(const std::vector<Tensor>& y, const std::vector<Tensor>& x,
                               const std::vector<Tensor>& output_gradients = {}) const&;

  /// The same of a tape that is not needed again, std::move(tape).gradient(...): what each node
  /// kept is released as soon as it has been used.
  Tensor gradient(const Tensor& y, const Tensor& x, const Tensor& output_gradient = {}) &&;
  std::vector<Tensor> gradient(const Tensor& y, const std::vector<Tensor>& x,
                               const Tensor& output_gradient = {}) &&;
  std::vector<Tensor> gradient(const Tensor& y, std::initializer_list<Tensor> x,
                               const Tensor& output_gradient = {}) && {
    return std::move(*this).gradient(y, std::vector<Tensor>(x), output_gradient);
  }
  template <std::convertible_to<const Tensor&> W>
  std::vector<Tensor> gradient(const Tensor& y, const std::vector<W>& x,
                               const Tensor& output_gradient = {}) && {
    return std::move(*this).gradient(y, std::vector<Tensor>(x.begin(), x.end()), output_gradient);
  }
  std::vector<Tensor> gradient(const std::vector<Tensor>& y, const std::vector<Tensor>& x,
                               const std::vector<Tensor>& output_gradients = {}) &&;

  /// Whether y is watched or was computed from something that is: whether it has gradients.
  bool follows(const Tensor& y) const;

  /// Ops recorded since this tape began.
  std::size_t size() const;

  /// The recorded ops as a graph in Graphviz' DOT language.
  std::string dot() const;

  /// One line for each op: its number, name, shapes in and out, and the layer it ran in.
  friend std::ostream& operator<<(std::ostream& out, const GradientTape& tape);

 private:
  class Pause;
  std::vector<Tensor> gradients(const std::vector<Tensor>& y, const std::vector<Tensor>& x,
                                const std::vector<Tensor>& output_gradients, bool spend) const;
  Record& record() const;

  Record* record_;
  const void* thread_;  // an address that no other thread has
  std::size_t first_node_;
  mutable bool spent_ = false;
};

/// While it lives, the tapes this thread has record nothing. A tape made inside the scope does.
class NoGradient {
 public:
  NoGradient();
  ~NoGradient();
  NoGradient(const NoGradient&) = delete;
  NoGradient& operator=(const NoGradient&) = delete;

 private:
  Record* record_;
};

}  // namespace keratin
