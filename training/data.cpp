#include <algorithm>
#include <cmath>
#include <vector>

#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/layers/rnn.h>
#include <keratin/training/internal/data.h>

namespace keratin {

Data Data::part(std::int64_t begin, std::int64_t end) const {
  auto rows = [&](const Tensor& t) { return t.defined() ? slice(t, {range(begin, end)}) : t; };
  return {rows(x), rows(y), rows(weight), class_weight};
}

Data Data::pick(const Tensor& numbers) const {
  auto rows = [&](const Tensor& t) { return t.defined() ? take(t, numbers, 0) : t; };
  return {rows(x), rows(y), rows(weight), class_weight};
}

void check_data(const char* who, const Data& data) {
  if (!data.x.defined() || data.x.rank() == 0) fail("{}: x must have a batch axis", who);
  if (data.size() == 0) fail("{}: x has no samples", who);
  if (!data.y.defined() || data.y.rank() == 0) fail("{}: y must have a batch axis", who);
  if (data.y.size(0) != data.size())
    fail("{}: x has {} samples, y has {}.", who, data.size(), data.y.size(0));
  if (data.weight.defined() && (data.weight.rank() == 0 || data.weight.size(0) != data.size()))
    fail("{}: x has {} samples, sample_weight has shape {}.", who, data.size(),
         data.weight.shape());
}

void check_batch_size(const char* who, int batch_size) {
  if (batch_size < 1) fail("{}: expected a batch_size of at least 1, got {}", who, batch_size);
}

void check_stateful(const char* who, const Layer& layer, std::int64_t samples, int batch_size) {
  const auto* rnn = dynamic_cast<const RNN*>(&layer);
  const std::int64_t rest = samples > batch_size ? samples % batch_size : 0;
  if (rnn != nullptr && rnn->options().stateful && rest != 0)
    fail(
        "{}: {} ({}) is stateful and needs batches of one size; {} samples leave {} after batches "
        "of {}",
        who, layer.name(), layer.class_name(), samples, rest, batch_size);
  for (const AnyLayer& inside : layer.sublayers())
    check_stateful(who, *inside, samples, batch_size);
}

Tensor weights_of_classes(const Tensor& y, const Shape& prediction,
                          const std::map<int, double>& weights) {
  const bool one_hot = y.rank() > 1 && y.size(-1) > 1 && y.shape() == prediction;
  Tensor labels = one_hot ? argmax(y, -1) : y;
  if (labels.rank() > 1 && labels.size(-1) == 1) labels = squeeze(labels, -1);
  std::vector<double> values;
  for (double label : labels.to_vector<double>()) {
    const double whole = std::round(label);
    if (!(std::abs(label - whole) <= 1e-3)) fail("fit: class_weight: {} is not a class", label);
    auto found = weights.find(static_cast<int>(whole));
    values.push_back(found == weights.end() ? 1.0 : found->second);
  }
  return tensor(values, labels.shape()).astype(floatx());
}

}  // namespace keratin
