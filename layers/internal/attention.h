// What the attention layers share.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <keratin/autograd/ops.h>
#include <keratin/core/random.h>
#include <keratin/layers/layer.h>

namespace keratin {

/// x with 0 where its first axes are padding, which may hold anything, NaN too.
Tensor without_padding(const Tensor& x, const Tensor& mask);

/// In training, some of the weights are left out and the others grow, so that their mean stays.
Tensor dropped(const Tensor& weights, double rate, Random& random);

/// Some of the queries, or of the keys; of several axes the first counts.
struct Span {
  std::int64_t begin, end;
  std::int64_t size() const { return end - begin; }
};

/// Which keys a query may attend to: those that every mask allows. A mask fits the scores (batch,
/// heads, queries, keys), and has size 1 along axes that it does not depend on.
struct MayAttend {
  Tensors masks;
  bool causal = false;                     ///< none behind the query's own time
  std::optional<int> sliding_window = {};  ///< those less than this far away

  /// Whether a query's place alone leaves keys out.
  bool limits_reach() const { return causal || sliding_window; }
  /// The keys, of `count`, without those that none of these queries sees for their place.
  Span keys_of(Span queries, std::int64_t count) const;
  /// Boolean; undefined where all may attend to all. The axes are those of the scores.
  Tensor operator()(Span queries, int query_axis, Span keys, int key_axis, Device device) const;
};

/// softmax(scores(q, k)) . v. It holds no layer, because a backward pass may come after its end.
struct AttentionFormula {
  /// (batch, heads, queries, keys), from q, k and the weights below. There may be several axes of
  /// queries and of keys, and none of heads.
  std::function<Tensor(const Tensor& q, const Tensor& k, const Tensors& weights)> scores;
  Tensors score_weights = {};
  std::int64_t numbers_per_score = 1;  ///< that `scores` has in memory at once
  std::string attended;                ///< an equation of the shares and v: "anbB,aBnh->abnh"
  std::vector<int> axes = {1};  ///< of the queries in q and the result, and of the keys in k and v
  int query_axis = 1;           ///< in the scores
  int groups = 0;  ///< of heads that share keys, with an axis of their own before the heads
  MayAttend may_attend = {};

  /// How much of its attention each query gives to each key (batch, heads, queries, keys).
  Tensor shares(const Tensor& q, const Tensor& k) const;
  Tensor attend(const Tensor& shares, const Tensor& v) const;

  /// Whether the scores would take much memory.
  bool has_many_scores(const Tensor& q, const Tensor& k) const;
  /// attend(shares(q, k), v) for one block of queries after the other. The backward pass computes
  /// their shares again, so that memory grows with the number of queries, not with its square.
  Tensor in_blocks(const Tensor& q, const Tensor& k, const Tensor& v) const;

 private:
  Tensor shares_of(const Tensor& q, Span queries, const Tensor& k, Span keys,
                   const Tensors& weights) const;
  std::int64_t numbers_per_pair(const Tensor& q, const Tensor& k) const;
};

}  // namespace keratin
