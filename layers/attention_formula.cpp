#include <algorithm>
#include <limits>

#include <keratin/autograd/functional.h>
#include <keratin/core/create.h>
#include <keratin/layers/core_layers.h>
#include <keratin/layers/internal/attention.h>

namespace keratin {
namespace {

// Training computes the scores of blocks twice, which takes a third longer than once. Blocks that
// leave keys out save as much.
constexpr std::int64_t many_numbers = 1 << 24;   // in the scores, from which blocks are worth while
constexpr std::int64_t block_numbers = 1 << 20;  // in those of a block
constexpr std::int64_t block_queries = 128;      // of a sample in a block, if that many fit

// The part of x along an axis; all of it where the axis has size 1.
Tensor part(const Tensor& x, int axis, Span span) {
  if (x.size(axis) == 1 || span.size() == x.size(axis)) return x;
  std::vector<Index> indices(static_cast<std::size_t>(axis), all);
  indices.push_back(range(span.begin, span.end));
  return slice(x, indices);
}

// The softmax of the scores that `may_attend` is true for; 0 where there is none. The keys are in
// the last axes.
Tensor masked_softmax(const Tensor& scores, const Tensor& may_attend, int axes) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const Tensor e = may_attend.defined() ? where(may_attend, scores, -infinity) : scores;
  if (axes == 1) return softmax(e);
  Shape joined = e.shape();
  for (int i = 1; i < axes; ++i) {
    const std::int64_t last = joined[-1];
    joined = joined.without(-1);
    joined[-1] *= last;
  }
  return reshape(softmax(reshape(e, joined)), e.shape());
}

}  // namespace

Tensor without_padding(const Tensor& x, const Tensor& mask) {
  if (!mask.defined()) return x;
  Shape shape = mask.shape();
  while (shape.rank() < x.rank()) shape.push_back(1);
  return where(reshape(mask, shape), x, 0.0);
}

Tensor dropped(const Tensor& weights, double rate, Random& random) {
  return weights * dropout_mask(weights.shape(), rate, weights.dtype(), random, weights.device());
}

Span MayAttend::keys_of(Span queries, std::int64_t count) const {
  Span keys{0, count};
  if (causal) keys.end = std::min(keys.end, queries.end);
  if (sliding_window) {
    keys.begin = std::max(keys.begin, queries.begin - *sliding_window + 1);
    keys.end = std::min(keys.end, queries.end + *sliding_window - 1);
  }
  return keys.begin < keys.end ? keys : Span{0, count};  // the queries come after all keys
}

Tensor MayAttend::operator()(Span queries, int query_axis, Span keys, int key_axis,
                             Device device) const {
  Tensor both;
  auto restrict_to = [&both](const Tensor& mask) {
    both = both.defined() ? logical_and(both, mask) : mask;
  };
  for (const Tensor& mask : masks)
    restrict_to(part(part(mask, query_axis, queries), key_axis, keys));
  if (!limits_reach()) return both;
  auto places = [&](Span span) {
    return arange(double(span.begin), double(span.end), 1, int32, device);
  };
  const Tensor lead = expand_dims(places(queries), 1) - places(keys);  // of a query before its key
  if (causal) restrict_to(lead >= 0);
  if (sliding_window) restrict_to(abs(lead) < *sliding_window);
  return both;
}

Tensor AttentionFormula::shares(const Tensor& q, const Tensor& k) const {
  return shares_of(q, {0, q.size(axes[0])}, k, {0, k.size(axes[0])}, score_weights);
}

Tensor AttentionFormula::shares_of(const Tensor& q, Span queries, const Tensor& k, Span keys,
                                   const Tensors& weights) const {
  Tensor e = scores(q, k, weights);
  if (groups > 0) {
    Shape joined = e.shape().without(query_axis - 1);
    joined[query_axis - 1] *= groups;
    e = reshape(e, joined);
  }
  const int count = static_cast<int>(axes.size());
  return masked_softmax(e, may_attend(queries, query_axis, keys, query_axis + count, q.device()),
                        count);
}

Tensor AttentionFormula::attend(const Tensor& shares, const Tensor& v) const {
  if (groups == 0) return einsum(attended, {shares, v});
  Shape apart = shares.shape().inserted(query_axis - 1, groups);
  apart[query_axis] /= groups;
  return einsum(attended, {reshape(shares, apart), v});
}

// Of one sample, and of one place along the first axis of the queries and of the keys.
std::int64_t AttentionFormula::numbers_per_pair(const Tensor& q, const Tensor& k) const {
  std::int64_t numbers = numbers_per_score;
  for (std::size_t i = 1; i < axes.size(); ++i) numbers *= k.size(axes[i]);
  return q.numel() / std::max<std::int64_t>(q.size(0) * q.size(axes[0]) * q.size(-1), 1) * numbers;
}

bool AttentionFormula::has_many_scores(const Tensor& q, const Tensor& k) const {
  return q.size(0) * q.size(axes[0]) * k.size(axes[0]) * numbers_per_pair(q, k) >=
         (may_attend.limits_reach() ? many_numbers / 4 : many_numbers);
}

Tensor AttentionFormula::in_blocks(const Tensor& q, const Tensor& k, const Tensor& v) const {
  const int axis = axes[0];
  const std::int64_t batch = q.size(0), count = q.size(axis), key_count = k.size(axis),
                     each = std::max<std::int64_t>(numbers_per_pair(q, k), 1);
  const std::int64_t samples =
      std::clamp<std::int64_t>(block_numbers / (block_queries * key_count * each), 1, batch);
  // As many queries from `begin` on as have that many numbers: so all blocks are about of one size,
  // and the memory of one serves the next.
  auto next = [&](std::int64_t begin) {
    Span queries{begin, begin + 1};
    for (Span more = queries; ++more.end <= count; queries = more)
      if (more.size() * may_attend.keys_of(more, key_count).size() * samples * each > block_numbers)
        break;
    return queries;
  };
  Tensors parts;
  for (std::int64_t first = 0; first < batch; first += samples) {
    const Span here{first, std::min(first + samples, batch)};
    AttentionFormula formula = *this;
    for (Tensor& mask : formula.may_attend.masks) mask = part(mask, 0, here);
    Tensors blocks;
    for (Span queries = next(0); queries.begin < count; queries = next(queries.end)) {
      const Span keys = may_attend.keys_of(queries, key_count);
      Tensors x{part(part(q, 0, here), axis, queries), part(part(k, 0, here), axis, keys),
                part(part(v, 0, here), axis, keys)};
      x.insert(x.end(), score_weights.begin(), score_weights.end());
      const TensorsFunction attended = remat([formula, queries, keys](const Tensors& in) {
        const Tensors weights(in.begin() + 3, in.end());
        return formula.attend(formula.shares_of(in[0], queries, in[1], keys, weights), in[2]);
      });
      blocks.push_back(attended(x));
    }
    parts.push_back(concatenate(blocks, axis));
  }
  return concatenate(parts, 0);
}

}  // namespace keratin
