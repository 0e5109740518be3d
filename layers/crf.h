// A conditional random field over a sequence of tags (Lafferty and others, 2001): the tags of a row
// are judged together, by scores for each step and by how tags follow each other.
#pragma once

#include <keratin/layers/layer.h>

namespace keratin {

/// Scores (batch, time, tags) -> the best tags (batch, time), int32, found by Viterbi's algorithm.
/// A mask is true from the first step of a row to its last; behind the last, a tag is repeated.
///
///   loss = -mean(field.log_likelihood(scores, tags, mask))
///
/// examples/15_tagging.cpp trains one behind a bidirectional LSTM.
class ConditionalRandomField : public Layer {
 public:
  void build(const Shape& input_shape) override;
  bool supports_masking() const override { return true; }
  Tensor call(const Tensor& scores) override;
  Shape compute_output_shape(const Shape& input_shape) override;
  std::vector<Field> fields() override { return {}; }

  /// (batch): the logarithm of the probability of these tags (batch, time) among all that a row
  /// could have; 0 for a row without steps. The mask (batch, time) may be undefined.
  Tensor log_likelihood(const Tensor& scores, const Tensor& tags, const Tensor& mask = {});

 private:
  Tensor likelihood(const Tensor& scores, const Tensor& tags, const Tensor& there) const;
  Weight transitions;  // (tags, tags): the score of a tag, a row, before another, a column
};

}  // namespace keratin
