// What the attention layers share.
#pragma once

#include <limits>

#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/layers/core_layers.h>

namespace keratin {

/// x with 0 where its first axes are padding, which may hold anything, NaN too.
inline Tensor without_padding(const Tensor& x, const Tensor& mask) {
  if (!mask.defined()) return x;
  Shape shape = mask.shape();
  while (shape.rank() < x.rank()) shape.push_back(1);
  return where(reshape(mask, shape), x, 0.0);
}

/// Where all of the masks are true; undefined ones leave everything in.
inline Tensor all_of(const Tensors& masks) {
  Tensor both;
  for (const Tensor& mask : masks)
    if (mask.defined()) both = both.defined() ? logical_and(both, mask) : mask;
  return both;
}

/// (queries, keys): how far behind its key a query is.
inline Tensor lead_of_queries(std::int64_t queries, std::int64_t keys, Device device) {
  return expand_dims(arange(queries, int32, device), 1) - arange(keys, int32, device);
}

/// How much of its attention a query gives to each key: the softmax of those that it may attend to,
/// and 0 where there is none. The keys are in the last axes, one or several.
inline Tensor shares(const Tensor& scores, const Tensor& may_attend, std::size_t axes = 1) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const Tensor e = may_attend.defined() ? where(may_attend, scores, -infinity) : scores;
  if (axes == 1) return softmax(e);
  Shape joined = e.shape();
  for (std::size_t i = 1; i < axes; ++i) {
    const std::int64_t last = joined[-1];
    joined = joined.without(-1);
    joined[-1] *= last;
  }
  return reshape(softmax(reshape(e, joined)), e.shape());
}

/// In training, some of the weights are left out and the others grow, so that their mean stays.
inline Tensor dropped(const Tensor& weights, double rate, Random& random) {
  return weights * dropout_mask(weights.shape(), rate, weights.dtype(), random, weights.device());
}

}  // namespace keratin
