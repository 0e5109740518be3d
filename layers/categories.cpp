#include <cmath>

#include <keratin/autograd/internal/indices.h>
#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/layers/internal/categories.h>

namespace keratin {

Tensor checked_ids(const char* who, const Tensor& inputs, std::int64_t count) {
  Tensor ids = inputs.astype(int32);
  if (!inputs.device().is_cpu()) {
    // Found when somebody waits. What is no whole number becomes an id that there is not.
    if (is_floating(inputs.dtype())) ids = where(equal(ids, inputs), ids, -1);
    return checked_indices(who, ids, 0, count, ids.device());
  }
  if (is_floating(inputs.dtype()) && any(ids != inputs).item() != 0)
    fail("expected ids that are whole numbers");
  if (ids.numel() > 0 && (min(ids).item() < 0 || max(ids).item() >= count))
    fail("expected ids in 0..{}, got {} to {}", count - 1, min(ids).item(), max(ids).item());
  return ids;
}

std::vector<std::int64_t> whole_numbers(const Tensor& inputs) {
  std::vector<std::int64_t> numbers;
  for (double number : inputs.to_vector<double>()) {
    if (std::trunc(number) != number || std::abs(number) > 0x1p53)
      fail("expected whole numbers, got {}", number);
    numbers.push_back(static_cast<std::int64_t>(number));
  }
  return numbers;
}

namespace {

bool last_is_one(const Shape& shape) { return shape.rank() > 1 && shape[-1] == 1; }

// How often each id of a sample (samples, length) occurs, or the sum of its weights: (samples,
// depth). One addition for each id: a matrix of one-hot rows would be as large as the vocabulary
// times the text.
Tensor counts(const Tensor& ids, std::int64_t depth, const Tensor& weights) {
  const std::int64_t samples = ids.size(0), bins = depth + 1;  // the last one for what is dropped
  if (samples * bins > INT32_MAX)
    fail("expected at most {} numbers in an output, got {} times {}", INT32_MAX, samples, depth);
  const Tensor row = reshape(arange(samples, int32, ids.device()), {samples, 1});
  const Tensor places = reshape(row * static_cast<std::int32_t>(bins) + ids, {-1}).copy();
  const Tensor sums = scatter(reshape(weights, {1, ids.numel(), 1}), places, samples * bins);
  return slice(reshape(sums, {samples, bins}), {all, range(depth)});
}

}  // namespace

Shape encoded_shape(const Shape& ids, const std::string& output_mode, std::int64_t depth) {
  if (output_mode == "int") return ids;
  if (ids.rank() == 0) return {depth};
  if (output_mode == "one_hot" && !last_is_one(ids)) return ids.inserted(ids.rank(), depth);
  return ids.with(-1, depth);
}

Tensor encode(const Tensor& ids, const std::string& output_mode, std::int64_t depth, DType dtype,
              const Tensor& weights) {
  if (output_mode == "int") return ids;
  const Shape shape = encoded_shape(ids.shape(), output_mode, depth);
  if (output_mode == "one_hot") return reshape(one_hot(ids, depth, dtype), shape);
  const std::int64_t length = ids.rank() == 0 ? 1 : ids.size(-1);
  const std::int64_t samples = shape.numel() / depth;
  const Tensor all_ids = reshape(ids, {samples, length});
  const Tensor sums =
      counts(all_ids, depth, weights.defined() ? weights : ones(ids.shape(), dtype, ids.device()));
  return reshape(output_mode == "multi_hot" ? (sums > 0).astype(dtype) : sums, shape);
}

}  // namespace keratin
