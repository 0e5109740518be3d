// How an op puts itself on the tape. An op computes its result y, then returns
//
//   record("multiply", y, wrt(a, [b = save(b)](const Tensor& g) { return g * *b; }),
//                         wrt(b, [a = save(a)](const Tensor& g) { return g * *a; }));
//
// `wrt` (with respect to) pairs an input with the function that takes the gradient of y to that of
// the input. The function is written with ops and is called only when somebody needs its result.
#pragma once

#include <algorithm>
#include <iterator>
#include <span>
#include <utility>

#include <keratin/autograd/internal/backward.h>
#include <keratin/autograd/internal/recording.h>
#include <keratin/autograd/tape.h>

namespace keratin {

/// A tensor kept for the backward pass. Reading it fails when it was overwritten in the meantime.
class Saved {
 public:
  Saved() = default;
  explicit Saved(const Tensor& tensor)
      : tensor_(tensor), version_(tensor.defined() ? version_of(tensor) : 0) {}
  const Tensor& operator*() const {
    check();
    return tensor_;
  }
  const Tensor* operator->() const { return &**this; }
  bool defined() const { return tensor_.defined(); }
  /// Throws when the tensor was overwritten.
  void check() const {
    if (tensor_.defined() && version_of(tensor_) != version_) overwritten();
  }

 private:
  [[noreturn]] void overwritten() const;
  Tensor tensor_;
  std::uint32_t version_ = 0;
};
inline Saved save(const Tensor& tensor) { return Saved(tensor); }

template <class F>
struct Wrt {
  const Tensor& input;
  F gradient;
};
template <class F>
Wrt<F> wrt(const Tensor& input, F gradient) {
  return {input, std::move(gradient)};
}

/// Whether the tape follows any of these.
inline bool follows(std::span<const Tensor> tensors) {
  if (recording == nullptr) return false;
  return std::any_of(tensors.begin(), tensors.end(), [](const Tensor& tensor) {
    return tensor.defined() && recording->variable_of(tensor) != 0;
  });
}

/// Puts an op with any number of inputs and outputs on the tape; `vjp` is called with a Backward.
template <class F>
void record_node(const char* op, std::span<const Tensor> inputs, std::span<const Tensor> outputs,
                 F vjp) {
  std::size_t first = recording->inputs.size();
  for (const Tensor& input : inputs)
    recording->inputs.push_back(input.defined() ? recording->variable_of(input) : 0);
  recording->append(op, first, outputs, Closure(std::move(vjp)));
}

template <class... F>
Tensor record(const char* op, const Tensor& y, Wrt<F>... inputs) {
  if (recording == nullptr) return y;
  VariableId ids[] = {recording->variable_of(inputs.input)...};
  if (std::all_of(std::begin(ids), std::end(ids), [](VariableId id) { return id == 0; })) return y;
  std::size_t first = recording->inputs.size();
  recording->inputs.insert(recording->inputs.end(), std::begin(ids), std::end(ids));
  recording->append(op, first, {&y, 1},
                    Closure([... gradient = std::move(inputs.gradient)](Backward& backward) {
                      const Tensor& g = backward.output_gradient(0);
                      std::uint32_t i = 0;
                      ((backward.wants(i) ? backward.add(i, gradient(g)) : void(), ++i), ...);
                    }));
  return y;
}

}  // namespace keratin
