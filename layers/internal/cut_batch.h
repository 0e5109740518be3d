// A batch cut into parts, and what each part does: by_parts.h says why.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <vector>

#include <keratin/autograd/internal/record.h>
#include <keratin/core/internal/kernel_calls.h>
#include <keratin/core/internal/parallel.h>
#include <keratin/core/random.h>
#include <keratin/layers/internal/by_parts.h>

namespace keratin {

/// Multiplications of a part's weight gradients that are sooner done than the threads have met
/// again to share them.
inline constexpr std::int64_t small_products = 12 * products_per_thread;

/// Some samples of a batch, and what became of them.
struct Part {
  /// How to do the same with other samples: the kernel calls of the two passes, and the memory that
  /// they use. Inputs and output gradient are copied to where they are read each time.
  struct Repetition {
    LastingLists lists;
    KernelCalls forward, backward;
    Tensor inputs, outputs, output_gradient;
    bool masked = false;  // there is also a mask of the outputs, which is not computed again

    bool complete() const {
      return forward.complete() && backward.complete() && lists.complete() && !masked;
    }
  };

  std::int64_t begin = 0, end = 0;
  Tensor inputs, outputs, output_mask;
  std::optional<Random> noise;
  std::optional<WanderingTape> tape;
  GradientSums gradients;
  std::vector<Tensor> places;  // for the gradients
  bool waits = false;          // some are still to be computed
  PoolLists* lists = nullptr;
  std::unique_ptr<Repetition> repetition;  // where calls are noted, if they are

  Part() = default;
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;
  ~Part();

  Tensor rows_of(const Tensor& x) const;
  /// The same; a copy at `place` where calls are noted.
  Tensor rows_of(const Tensor& x, Tensor Repetition::*place) const;

  void forward(const MaskedFunction& f, const Tensor& mask, std::span<const Tensor> followed);
  /// Whether there is an output for each sample, and f used no trainable weight but those followed.
  bool is_complete(std::size_t followed) const;
  /// The gradients of `wanted`, but for products that wait when they are large.
  void backward(const Tensor& output_gradient, const std::vector<Tensor>& wanted, bool last);

  void drop_gradients();
  void forget();
};

/// A batch cut into parts, and the op that its tape sees. One that is `kept` notes what it does;
/// when it has done all of it once, it can repeat that with other inputs.
class CutBatch {
 public:
  CutBatch(int parts, const Tensor& inputs, std::span<const Weight> weights, bool kept);

  /// Random numbers of its own for each part.
  void seed(Random& random);

  /// Outputs and mask. False when the batch must be computed whole: for an error that speaks of all
  /// of it, or because f does more than these parts can.
  bool forward(const MaskedFunction& f, const Tensor& mask, std::pair<Tensor, Tensor>& result);
  void backward(Backward& backward);

  /// What f computes with and the tape follows.
  const std::vector<Tensor>& followed() const { return followed_; }

  /// Whether it was made for such inputs and these weights.
  bool fits(int parts, const Tensor& inputs, std::span<const Weight> weights) const;
  /// Whether it can be repeated: by who makes sure that no tape will ask for its gradients.
  bool repeats() const { return repeats_ == Repeats::yes; }
  /// Whether that is still open.
  bool may_repeat() const { return repeats_ == Repeats::perhaps; }
  /// The outputs for other inputs; then backward is repeated, too.
  Tensor repeat_forward(const Tensor& inputs);

 private:
  struct Known {
    Tensor value;
    bool followed;
  };
  struct Wanted;
  enum class Repeats { perhaps, yes, never };

  bool is_inputs(std::uint32_t i) const { return follows_inputs_ && i == 0; }
  std::vector<Tensor> followed_by(const Part& part) const;
  void give(Backward& backward, const Wanted& wanted, const Tensor& partial,
            const Tensor& inputs_gradient) const;
  void repeat_backward(Backward& backward);
  void decide(bool may_repeat);
  template <class F>
  std::exception_ptr each_part(const F& f);

  std::vector<Part> parts_;
  bool follows_inputs_;
  std::vector<Tensor> followed_;

  // Of a kept batch: what it was made for, and where the parts' gradients are each time.
  Shape inputs_shape_;
  DType inputs_dtype_ = float32;
  std::vector<Known> weights_;
  Tensor partial_;
  Repeats repeats_ = Repeats::never;
  bool went_forward_ = false;  // and not yet backward
};

}  // namespace keratin
