#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/layers/crf.h>
#include <keratin/layers/internal/categories.h>
#include <keratin/layers/internal/named.h>
#include <keratin/layers/internal/options.h>

namespace keratin {
namespace {

// Step t of (batch, time, ...), with that axis or without.
Tensor at(const Tensor& x, std::int64_t t) { return slice(x, {all, t}); }
Tensor at_with_axis(const Tensor& x, std::int64_t t) { return slice(x, {all, range(t, t + 1)}); }

void check_steps(const Tensor& scores) {
  if (scores.size(1) < 1) fail("expected at least one step, got scores {}", scores.shape());
}

}  // namespace

void ConditionalRandomField::build(const Shape& input_shape) {
  if (input_shape.rank() != 3) fail("expected scores (batch, time, tags), got {}", input_shape);
  const std::int64_t tags = known_last_axis(input_shape);
  transitions = add_weight("transitions", {tags, tags}, "zeros");
}

Shape ConditionalRandomField::compute_output_shape(const Shape& input_shape) {
  return input_shape.without(-1);
}

// The best path to each tag, step by step; then back from the best end.
Tensor ConditionalRandomField::call(const Tensor& scores) {
  check_steps(scores);
  const Tensor stay = arange(scores.size(2), int32, scores.device());
  Tensor best = at(scores, 0);
  std::vector<Tensor> from;  // (batch, tags): the tag before, on the best path to each tag
  for (std::int64_t t = 1; t < scores.size(1); ++t) {
    const Tensor paths = expand_dims(best, 2) + transitions;  // (batch, tag before, tag)
    const Tensor before = argmax(paths, 1), total = max(paths, 1) + at(scores, t);
    auto where_there = [&](const Tensor& now, const Tensor& otherwise) {
      return mask().defined() ? where(at_with_axis(mask(), t), now, otherwise) : now;
    };
    from.push_back(where_there(before, stay));
    best = where_there(total, best);
  }
  std::vector<Tensor> tags{argmax(best, 1, /*keepdims=*/true)};
  for (; !from.empty(); from.pop_back())
    tags.push_back(take_along_axis(from.back(), tags.back(), 1));
  return flip(concatenate(tags, 1), 1);
}

// The score of a row's tags, less the logarithm of the sum over all rows of tags of exp(score).
Tensor ConditionalRandomField::log_likelihood(const Tensor& scores, const Tensor& tags,
                                              const Tensor& mask) {
  ensure_built(scores.shape());
  return named(*this, [&] {
    const Shape steps = scores.shape().without(-1);
    if (tags.shape() != steps)
      fail("expected tags {} for scores {}, got {}", steps, scores.shape(), tags.shape());
    const Tensor there =
        mask.defined() ? mask.astype(boolean) : ones(steps, boolean, scores.device());
    if (there.shape() != steps) fail("expected a mask {}, got {}", steps, there.shape());
    check_steps(scores);
    return likelihood(scores, checked_ids("tags", where(there, tags, 0), scores.size(2)), there);
  });
}

Tensor ConditionalRandomField::likelihood(const Tensor& scores, const Tensor& tags,
                                          const Tensor& there) const {
  const Tensor valid = expand_dims(there, 2);
  const Tensor x = where(valid, scores, 0.0);  // padding may hold anything, NaN too
  Tensor all_paths = at(x, 0);                 // (batch, tags): of all paths to each tag
  for (std::int64_t t = 1; t < x.size(1); ++t)
    all_paths = where(at_with_axis(there, t),
                      logsumexp(expand_dims(all_paths, 2) + transitions, 1) + at(x, t), all_paths);
  const Tensor given = where(valid, one_hot(tags, x.size(2), x.dtype()), 0.0);
  const Tensor before = slice(given, {all, range(0, -1)});
  const Tensor behind = slice(given, {all, range(1, Range::open)});
  const Tensor chosen = sum(x * given, {1, 2}) + sum(dot(before, transitions) * behind, {1, 2});
  return where(any(there, 1), chosen - logsumexp(all_paths, 1), 0.0);  // an empty row is certain
}

}  // namespace keratin
