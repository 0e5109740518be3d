#include <algorithm>
#include <cmath>
#include <numeric>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/layers/internal/categories.h>
#include <keratin/layers/internal/named.h>
#include <keratin/layers/internal/options.h>
#include <keratin/layers/preprocessing.h>

namespace keratin {

// --- Normalization

namespace {

// A number or nested lists of them, as Python has arrays in a config; undefined: None.
Option list_of(const Tensor& numbers) {
  if (!numbers.defined()) return {};
  if (numbers.rank() == 0) return numbers.item();
  std::vector<Option> rows;
  for (const Tensor& row : unstack(numbers)) rows.push_back(list_of(row));
  return rows;
}
bool read_list(const Option& option, Tensor& numbers) {
  numbers = {};
  if (option.is_none()) return true;
  double number = 0;
  if (from_option(option, number)) return numbers = full({}, number, float64), true;
  auto* list = std::get_if<std::vector<Option>>(&option);
  if (list == nullptr || list->empty()) return false;
  Tensors rows(list->size());
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (!read_list((*list)[i], rows[i]) || !rows[i].defined() || rows[i].shape() != rows[0].shape())
      return false;
  return numbers = stack(rows), true;
}

Field numbers_field(const std::string& name, Tensor& numbers) {
  return {name, [&] { return list_of(numbers); },
          [&](const Option& value) { return read_list(value, numbers); }};
}

/// 0 <= axis < rank, ascending.
std::vector<int> sorted_axes(const std::vector<int>& axes, int rank) {
  std::vector<int> sorted;
  for (int axis : axes) {
    if (axis < -rank || axis >= rank) fail("there is no axis {} in {} axes", axis, rank);
    sorted.push_back(axis < 0 ? axis + rank : axis);
  }
  std::ranges::sort(sorted);
  return sorted;
}

}  // namespace

Normalization::Normalization(const NormalizationOptions& options) : options_(options) {
  configured();
  apply_common(*this, options);
}

std::vector<Field> Normalization::fields() {
  NormalizationOptions& o = options_;
  auto axes = [&o] { return std::vector<Option>(o.axis.begin(), o.axis.end()); };
  auto set_axes = [&o](const Option& value) { return from_option(value, o.axis); };
  return {{"axis", [=] { return Option(axes()); }, set_axes},
          {"invert", &o.invert},
          numbers_field("mean", o.mean),
          numbers_field("variance", o.variance)};
}

void Normalization::configured() {
  const NormalizationOptions& o = options_;
  if (o.mean.defined() != o.variance.defined())
    fail("Normalization: mean and variance are given both, or neither");
  if (!o.mean.defined()) return;
  if (o.mean.shape() != o.variance.shape())
    fail("Normalization: expected mean and variance of one shape, got {} and {}", o.mean.shape(),
         o.variance.shape());
  if (o.mean.rank() > static_cast<int>(o.axis.size()))
    fail("Normalization: expected a mean of rank {} or less, got shape {}", o.axis.size(),
         o.mean.shape());
}

void Normalization::build(const Shape& input_shape) {
  Shape shape;
  for (int axis : sorted_axes(options_.axis, input_shape.rank())) {
    if (input_shape[axis] == None)
      fail("the size of axis {} must be known, got {}", axis, input_shape);
    shape.push_back(input_shape[axis]);
  }
  if (options_.mean.defined()) {
    broadcast_to(options_.mean, shape);  // throws where it does not fit
    return;
  }
  mean = add_weight("mean", shape, "zeros", {}, {}, false);
  variance = add_weight("variance", shape, "ones", {}, {}, false);
  count = add_weight("count", {}, "zeros", {}, {}, false);
}

Tensor Normalization::along_axes(const Tensor& numbers) const {
  const int rank = input_shape().rank();
  const std::vector<int> axes = sorted_axes(options_.axis, rank);
  Shape shape = Shape::filled(rank, 1);
  for (int i = 1; i <= numbers.rank(); ++i)
    shape[axes[axes.size() - static_cast<std::size_t>(i)]] = numbers.size(-i);
  return reshape(numbers.astype(dtype()), shape);
}

Tensor Normalization::call(const Tensor& inputs) {
  const Shape& known = input_shape();
  bool fits = inputs.rank() == known.rank();
  for (int axis : options_.axis) fits = fits && inputs.size(axis) == known[axis];
  if (!fits) fail("expected an input like {}, got {}", known, inputs.shape());
  const Tensor x = inputs.astype(dtype());
  const bool given = options_.mean.defined();
  const Tensor center = along_axes(given ? options_.mean.to(x.device()) : mean.value());
  const Tensor spread =
      maximum(sqrt(along_axes(given ? options_.variance.to(x.device()) : variance.value())), 1e-7);
  return options_.invert ? x * spread + center : (x - center) / spread;
}

void Normalization::adapt(const Tensor& data) { adapt(Tensors{data}); }

// The variance of several batches together: within each, and between their means.
void Normalization::adapt(const Tensors& batches) {
  named(*this, [&] {
    if (options_.mean.defined()) fail("adapt: mean and variance are given as options");
    if (batches.empty()) fail("adapt: expected data, got no batch");
    NoGradient scope;
    ensure_built(batches[0].shape());
    double seen = 0;
    Tensor total_mean = zeros(mean.shape(), dtype(), mean.device()), total_variance = total_mean;
    for (const Tensor& batch : batches) {
      const Shape& known = input_shape();
      const std::vector<int> kept = sorted_axes(options_.axis, known.rank());
      std::vector<int> others;
      bool fits = batch.rank() == known.rank();
      for (int axis = 0; fits && axis < known.rank(); ++axis)
        if (std::ranges::find(kept, axis) == kept.end())
          others.push_back(axis);
        else
          fits = batch.size(axis) == known[axis];
      if (!fits) fail("adapt: expected data like {}, got {}", known, batch.shape());
      if (batch.numel() == 0) fail("adapt: expected data, got a batch of shape {}", batch.shape());
      const Tensor x = batch.to(mean.device()).astype(dtype());
      // Without another axis each number is a mean by itself.
      const Tensor batch_mean = others.empty() ? x : keratin::mean(x, others);
      const Tensor batch_variance = others.empty() ? zeros_like(x) : var(x, others);
      double size = 1;
      for (int axis : others) size *= static_cast<double>(x.size(axis));
      seen += size;
      const double share = size / seen;
      const Tensor new_mean = total_mean * (1 - share) + batch_mean * share;
      total_variance = (total_variance + square(total_mean - new_mean)) * (1 - share) +
                       (batch_variance + square(batch_mean - new_mean)) * share;
      total_mean = new_mean;
    }
    mean.assign(total_mean);
    variance.assign(total_variance);
  });
}

// --- Discretization

namespace {

/// Numbers in ascending order that stand for many, and for how many each. Keras computes them in
/// float32.
struct Summary {
  std::vector<float> values, weights;
};

/// y at x, on the straight lines through points with ascending px; NumPy's interp.
double interpolate(double x, const std::vector<float>& px, const std::vector<float>& py) {
  if (x <= px.front()) return py.front();
  if (x >= px.back()) return py.back();
  const auto i = static_cast<std::size_t>(std::ranges::upper_bound(px, x) - px.begin()) - 1;
  const double slope = (double(py[i + 1]) - py[i]) / (double(px[i + 1]) - px[i]);
  return slope * (x - px[i]) + py[i];
}

/// Reduced to 1 / epsilon numbers: the quantiles at epsilon, 2 epsilon, ... of the weights.
Summary compressed(const Summary& all, double epsilon) {
  if (static_cast<double>(all.values.size()) * epsilon < 1) return all;
  std::vector<float> sums(all.weights.size()), shares;
  std::partial_sum(all.weights.begin(), all.weights.end(), sums.begin());
  for (float sum : sums) shares.push_back(sum / sums.back());
  Summary few;
  double before = 0;
  const auto parts = static_cast<std::int64_t>(std::ceil(1 / epsilon));  // of arange(0, 1, epsilon)
  for (std::int64_t i = 0; i < parts; ++i) {
    const double share = epsilon + static_cast<double>(i) * epsilon,
                 sum = interpolate(share, shares, sums);
    few.values.push_back(static_cast<float>(interpolate(share, shares, all.values)));
    few.weights.push_back(static_cast<float>(sum - before));
    before = sum;
  }
  return few;
}

Summary summary_of(const Tensor& data, double epsilon) {
  std::vector<float> sorted = sort(reshape(data.astype(float32), {-1})).to_vector<float>();
  const double step = std::max(static_cast<double>(sorted.size()) * epsilon, 1.0);
  Summary few;
  for (auto i = static_cast<std::size_t>(step - 1); i < sorted.size();
       i += static_cast<std::size_t>(step)) {
    few.values.push_back(sorted[i]);
    few.weights.push_back(static_cast<float>(step));
  }
  return few;
}

Summary merged(const Summary& a, const Summary& b) {
  std::vector<std::pair<float, float>> both;
  for (const Summary* part : {&a, &b})
    for (std::size_t i = 0; i < part->values.size(); ++i)
      both.emplace_back(part->values[i], part->weights[i]);
  std::ranges::stable_sort(both, {}, &std::pair<float, float>::first);
  Summary all;
  for (const auto& [value, weight] : both) {
    all.values.push_back(value);
    all.weights.push_back(weight);
  }
  return all;
}

}  // namespace

Discretization::Discretization(const DiscretizationOptions& options) : options_(options) {
  if (options.bin_boundaries && options.num_bins)
    fail("Discretization: bin_boundaries and num_bins cannot both be given");
  configured();
  apply_common(*this, options);
}

std::vector<Field> Discretization::fields() {
  DiscretizationOptions& o = options_;
  auto boundaries = [this]() -> Option {
    const bool known = options_.bin_boundaries || learnt().has_value();
    return known ? to_option(bin_boundaries()) : Option();
  };
  return {{"bin_boundaries",
           boundaries,
           [&o](const Option& value) { return from_option(value, o.bin_boundaries); },
           {"in ascending order",
            [&o](const Option&) {
              return !o.bin_boundaries || std::ranges::is_sorted(*o.bin_boundaries);
            }}},
          {"num_bins", &o.num_bins, at_least(1)},
          {"epsilon", &o.epsilon, between(1e-6, 1)},
          {"output_mode", &o.output_mode, one_of({"int", "one_hot", "multi_hot", "count"})},
          Field::fixed("sparse", false)};
}

void Discretization::configured() {
  check_fields("Discretization", fields());
  if (!options_.bin_boundaries && !options_.num_bins)
    fail("Discretization: expected bin_boundaries, or num_bins for adapt");
  // The config of an adapted layer has both.
  if (options_.bin_boundaries && options_.num_bins)
    learnt() = *std::exchange(options_.bin_boundaries, BinBoundaries());
}

// Keras gives no trainable, and the type as a name.
Config Discretization::get_config() const {
  Config config = config_of(const_cast<Discretization*>(this)->fields());
  config.emplace_back("name", name());
  config.emplace_back("dtype", std::string(name_of(dtype())));
  return config;
}

std::vector<double> Discretization::bin_boundaries() const {
  if (options_.bin_boundaries) return *options_.bin_boundaries;
  auto* found = std::any_cast<std::vector<double>>(&learnt());
  return found == nullptr ? std::vector<double>() : *found;
}

std::int64_t Discretization::bins() const {
  if (!options_.bin_boundaries && !learnt().has_value()) return *options_.num_bins;
  return static_cast<std::int64_t>(bin_boundaries().size()) + 1;
}

Tensor Discretization::call(const Tensor& inputs) {
  if (!options_.bin_boundaries && !learnt().has_value())
    fail("the boundaries are not known: give bin_boundaries, or call adapt first");
  const Tensor x = inputs.astype(dtype());
  Tensor bin = zeros(x.shape(), int32, x.device());
  for (double boundary : bin_boundaries())
    bin = bin + logical_not(x < boundary).astype(int32);  // NaN is below nothing
  return encode(bin, options_.output_mode, bins(), dtype());
}

Shape Discretization::compute_output_shape(const Shape& input_shape) {
  ensure_built(input_shape);
  return encoded_shape(input_shape, options_.output_mode, bins());
}

void Discretization::adapt(const Tensor& data) { adapt(Tensors{data}); }

void Discretization::adapt(const Tensors& batches) {
  named(*this, [&] {
    if (!options_.num_bins) fail("adapt: bin_boundaries are given as an option");
    Summary summary;
    for (const Tensor& batch : batches)
      summary = compressed(merged(summary_of(batch, options_.epsilon), summary), options_.epsilon);
    if (summary.values.empty()) fail("adapt: expected data, got none");
    const std::vector<float> values = compressed(summary, 1.0 / *options_.num_bins).values;
    learnt() = std::vector<double>(values.begin(), values.end() - 1);
  });
}

// --- CategoryEncoding

CategoryEncoding::CategoryEncoding(int num_tokens, const CategoryEncodingOptions& options)
    : num_tokens_(num_tokens), options_(options) {
  check_fields("CategoryEncoding", fields());
  apply_common(*this, options);
}

std::vector<Field> CategoryEncoding::fields() {
  return {{"num_tokens", &num_tokens_, at_least(1)},
          {"output_mode", &options_.output_mode, one_of({"one_hot", "multi_hot", "count"})}};
}

Tensors CategoryEncoding::call(const Tensors& inputs) {
  const Tensor& x = inputs[0];
  Tensor weights = inputs.size() > 1 ? inputs[1] : Tensor();
  if (inputs.size() > 2) fail("expected inputs and count_weights, got {} tensors", inputs.size());
  if (weights.defined() && options_.output_mode != "count")
    fail("count_weights are for the output mode \"count\", not for \"{}\"", options_.output_mode);
  if (weights.defined() && weights.shape() != x.shape())
    fail("expected count_weights of shape {}, got {}", x.shape(), weights.shape());
  if (weights.defined()) weights = weights.to(x.device()).astype(dtype());
  return {encode(checked_ids("CategoryEncoding", x, num_tokens_), options_.output_mode, num_tokens_,
                 dtype(), weights)};
}

Shapes CategoryEncoding::compute_output_shape(const Shapes& input_shapes) {
  ensure_built(input_shapes);
  return {encoded_shape(input_shapes[0], options_.output_mode, num_tokens_)};
}

}  // namespace keratin
