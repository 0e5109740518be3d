// Metrics that are means of a value for each sample.

#include <algorithm>
#include <cmath>
#include <utility>

#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/tensor_data.h>
#include <keratin/core/kernels.h>
#include <keratin/optim/internal/loss_support.h>
#include <keratin/optim/metrics.h>

namespace keratin {
namespace {

/// x with another number in the place of whatever does not count.
Tensor counted_or(double other, const Tensor& x, const Tensor& counts) {
  Tensor fitting = counts_for(x, counts);
  return fitting.defined() ? where(fitting, x, full({}, other, x.dtype(), x.device())) : x;
}

}  // namespace

void Metric::update_weighted(const Tensor& y_true, const Tensor& y_pred,
                             const Tensor& sample_weight, const Tensor& mask) {
  NoGradient scope;
  Tensor y = y_true, p = y_pred;
  Tensor weights = masked_weights(name_.c_str(), sample_weight, mask, as_float(y_pred).dtype());
  if (weights.defined()) {
    Tensor counts = weights != 0;
    const bool all_count = counts.device().is_cpu() && all(counts).item() != 0;
    if (!all_count) y = counted_or(0, y, counts), p = counted_or(1, p, counts);
  }
  update_state(y, p, weights);
}

void Metric::update(const Tensor& y_true, const Tensor& y_pred, const Tensor& sample_weight,
                    const Tensor& mask) {
  NoGradient scope;
  if (takes_mask() && mask.defined())
    update_state(y_true, y_pred,
                 masked_weights(name_.c_str(), sample_weight, mask, as_float(y_pred).dtype()));
  else
    update_state(y_true, y_pred, sample_weight);
}

// --- means (reduction_metrics.py)

namespace {

std::int64_t product(const Shape& shape, int first, int last) {
  std::int64_t size = 1;
  for (int axis = first; axis < last; ++axis) size *= shape[axis];
  return size;
}

}  // namespace

RunningSums::RunningSums(const RunningSums& other) { *this = other; }
RunningSums& RunningSums::operator=(const RunningSums& other) {
  count_ = other.count_;
  sums_ = other.sums_.defined() ? other.sums_.copy() : Tensor();
  return *this;
}

void RunningSums::move_to(Device device) {
  sums_ = sums_.defined() ? on_device(sums_, device) : zeros({count_}, float64, device);
}

void RunningSums::snapshot(Snapshot& s) {
  if (!sums_.defined()) move_to(Device());
  s.field("sums", sums_);
  count_ = sums_.numel();
}

void RunningSums::add(std::int64_t place, double number) {
  if (!sums_.defined()) move_to(Device());
  if (sums_.device().is_cpu())
    raw<double>(sums_)[place] += number;
  else
    kernels_of(sums_).accumulate(make_view(sums_, {}, {}, place), Tensor(number));
}

void RunningSums::add(std::int64_t place, const Tensor& number) {
  if (number.device().is_meta()) return;
  NoGradient scope;
  move_to(number.device());
  if (number.device().is_cpu()) return add(place, number.item());
  kernels_of(sums_).accumulate(make_view(sums_, {}, {}, place), cast(number, float64).reshape({}));
}

void RunningSums::add(const Tensor& numbers) {
  if (numbers.device().is_meta()) return;
  NoGradient scope;
  move_to(numbers.device());
  kernels_of(sums_).accumulate(sums_, contiguous(cast(numbers, float64)));
}

void RunningSums::add_at(const Tensor& places, const Tensor& numbers) {
  if (places.device().is_meta() || numbers.device().is_meta()) return;
  NoGradient scope;
  move_to(numbers.device());
  kernels_of(sums_).scatter_add(sums_.reshape({1, count(), 1}),
                                contiguous(cast(numbers, float64)).reshape({1, places.numel(), 1}),
                                contiguous(places));
}

std::vector<double> RunningSums::values() const {
  if (!sums_.defined()) return std::vector<double>(static_cast<std::size_t>(count_), 0.0);
  return sums_.to_vector<double>();
}
void RunningSums::reset() {
  if (sums_.defined()) sums_.assign(0);
}

void Mean::update_state(double value, double count) {
  sums_.add(0, value * count);
  sums_.add(1, count);
}

void Mean::update_state(const Tensor& value, double count) {
  NoGradient scope;
  sums_.add(0, cast(value, float64) * count);
  sums_.add(1, count);
}

double Mean::result() const {
  const std::vector<double> sums = sums_.values();
  return sums[1] == 0 ? 0 : sums[0] / sums[1];
}

void Mean::update_state(const Tensor& values, const Tensor& sample_weight) {
  NoGradient scope;
  Tensor v = values, w;
  if (sample_weight.defined()) {
    Pair pair = squeeze_or_expand(values, sample_weight);
    with_weights("mean", pair.a, pair.b);  // checks that they fit
    v = pair.a;
    Shape shape;
    for (int axis = 0; axis < pair.b.rank(); ++axis) shape.push_back(v.shape()[axis]);
    w = cast(broadcast_to(pair.b, shape), float64);
  }
  // Values are averaged over the axes that weights lack; weighted values and weights are averaged
  // over what is left but the first; both are summed over that.
  int axes = w.defined() ? w.rank() : std::min(v.rank(), 1);
  std::int64_t outer = product(v.shape(), 0, axes);
  std::int64_t inner = product(v.shape(), axes, v.rank());
  const auto steps = static_cast<double>(product(v.shape(), std::min(axes, 1), axes));
  if (outer * inner == 0) return;
  v = cast(v, float64);
  if (!w.defined()) {
    sums_.add(0, sum(v) / static_cast<double>(inner));
    sums_.add(1, static_cast<double>(outer));
    return;
  }
  const Tensor sums = inner == 1 ? v.reshape({outer}) : sum(v.reshape({outer, inner}), 1);
  w = w.reshape({outer});
  // NaN may stand where nothing counts.
  sums_.add(0, sum(where(w != 0, w * sums, 0.0)) / (static_cast<double>(inner) * steps));
  sums_.add(1, sum(w) / steps);
}

void Sum::update_state(const Tensor& values, const Tensor& sample_weight) {
  NoGradient scope;
  if (!sample_weight.defined()) return sum_.add(0, sum(cast(values, float64)));
  auto [v, w] = with_weights("sum", cast(values, float64), cast(sample_weight, float64));
  sum_.add(0, sum(where(w != 0, v * w, 0.0)));
}

void MeanMetric::update_state(const Tensor& y_true, const Tensor& y_pred,
                              const Tensor& sample_weight) {
  NoGradient scope;
  mean_->update_state(values(y_true, y_pred), sample_weight);
}

// --- accuracy

namespace {

/// Class numbers in the shape that y_pred has without its last axis.
Tensor class_numbers(const char* who, const Tensor& y_true, const Tensor& y_pred) {
  if (y_pred.rank() == 0) fail("{}: expected y_pred with a class axis, got a number", who);
  Shape shape = y_pred.shape().without(-1);
  bool column = y_true.rank() == y_pred.rank() && y_true.shape()[-1] == 1;
  Tensor labels = column ? y_true.reshape(y_true.shape().without(-1)) : y_true;
  if (labels.shape() != shape)
    fail("{}: y_true has shape {}, expected {} for y_pred of shape {}", who, y_true.shape(), shape,
         y_pred.shape());
  return labels;
}

Tensor binary_matches(const char* who, const Tensor& y_true, const Tensor& y_pred,
                      double threshold) {
  auto [y, p] = same_shape(who, y_true, y_pred);
  return equal(y, greater(p, threshold));
}

Tensor categorical_matches(const char* who, const Tensor& y_true, const Tensor& y_pred) {
  auto [y, p] = same_shape(who, y_true, y_pred);
  return equal(argmax(y, -1), argmax(p, -1));
}

Tensor sparse_matches(const char* who, const Tensor& y_true, const Tensor& y_pred) {
  return equal(class_numbers(who, y_true, y_pred), argmax(y_pred, -1));
}

/// Whether fewer than k entries of a row are larger than that of the label. A label that is no
/// class, or has NaN for its entry, is not among them.
Tensor in_top_k(const Tensor& labels, const Tensor& y_pred, int k) {
  const auto classes = static_cast<double>(y_pred.size(-1));
  const Tensor numbers = arange(0, classes, 1, int32, y_pred.device());
  const Tensor right = equal(expand_dims(cast(labels, int32), -1), numbers);
  const Tensor entry = sum(where(right, y_pred, 0.0), -1, true);
  const Tensor larger = sum(cast(y_pred > entry, int32), -1);
  const Tensor known = logical_and(any(right, -1), squeeze(equal(entry, entry), -1));
  return logical_and(known, larger < k);
}

/// What "accuracy" means, decided on the first batch (keras/src/trainers/compile_utils.py).
class AccuracyByShape : public MeanMetric {
 public:
  explicit AccuracyByShape(const std::string& name) : MeanMetric(name, Direction::up) {}
  bool supports_graph() const override { return true; }

 protected:
  Tensor values(const Tensor& y_true, const Tensor& y_pred) override {
    if (kind_ == Kind::undecided) kind_ = kind_of(y_true, y_pred);
    const char* who = name().c_str();
    if (kind_ == Kind::binary) return binary_matches(who, y_true, y_pred, 0.5);
    if (kind_ == Kind::sparse) return sparse_matches(who, y_true, y_pred);
    return categorical_matches(who, y_true, y_pred);
  }

 private:
  enum class Kind { undecided, binary, sparse, categorical };
  static Kind kind_of(const Tensor& y_true, const Tensor& y_pred) {
    if (y_pred.rank() > 0 && y_pred.shape()[-1] == 1) return Kind::binary;
    bool column = y_true.rank() > 0 && y_true.shape()[-1] == 1;
    return y_true.rank() < y_pred.rank() || column ? Kind::sparse : Kind::categorical;
  }
  Kind kind_ = Kind::undecided;
};

}  // namespace

AnyMetric accuracy_by_shape(const std::string& name) { return AccuracyByShape(name); }

Accuracy::Accuracy(std::string name) : MeanMetric(std::move(name), Direction::up) {}
Tensor Accuracy::values(const Tensor& y_true, const Tensor& y_pred) {
  auto [y, p] = same_shape(name().c_str(), y_true, y_pred);
  return equal(y.astype(p.dtype()), p);
}

BinaryAccuracy::BinaryAccuracy(Options options)
    : MeanMetric(options.name, Direction::up), threshold_(options.threshold) {}
std::vector<Field> BinaryAccuracy::fields() {
  std::vector<Field> fields = MeanMetric::fields();
  fields.push_back({"threshold", &threshold_});
  return fields;
}
Tensor BinaryAccuracy::values(const Tensor& y_true, const Tensor& y_pred) {
  return binary_matches(name().c_str(), y_true, y_pred, threshold_);
}

CategoricalAccuracy::CategoricalAccuracy(std::string name)
    : MeanMetric(std::move(name), Direction::up) {}
Tensor CategoricalAccuracy::values(const Tensor& y_true, const Tensor& y_pred) {
  return categorical_matches(name().c_str(), y_true, y_pred);
}

SparseCategoricalAccuracy::SparseCategoricalAccuracy(std::string name)
    : MeanMetric(std::move(name), Direction::up) {}
Tensor SparseCategoricalAccuracy::values(const Tensor& y_true, const Tensor& y_pred) {
  return sparse_matches(name().c_str(), y_true, y_pred);
}

TopKCategoricalAccuracy::TopKCategoricalAccuracy(Options options)
    : MeanMetric(options.name, Direction::up), k_(options.k) {}
std::vector<Field> TopKCategoricalAccuracy::fields() {
  std::vector<Field> fields = MeanMetric::fields();
  fields.push_back({"k", &k_});
  return fields;
}
Tensor TopKCategoricalAccuracy::values(const Tensor& y_true, const Tensor& y_pred) {
  auto [y, p] = same_shape(name().c_str(), y_true, y_pred);
  return in_top_k(argmax(y, -1), p, k_);
}

SparseTopKCategoricalAccuracy::SparseTopKCategoricalAccuracy(Options options)
    : MeanMetric(options.name, Direction::up), k_(options.k) {}
std::vector<Field> SparseTopKCategoricalAccuracy::fields() {
  std::vector<Field> fields = MeanMetric::fields();
  fields.push_back({"k", &k_});
  return fields;
}
Tensor SparseTopKCategoricalAccuracy::values(const Tensor& y_true, const Tensor& y_pred) {
  return in_top_k(class_numbers(name().c_str(), y_true, y_pred), y_pred, k_);
}

RootMeanSquaredError::RootMeanSquaredError(std::string name)
    : MeanMetric(std::move(name), Direction::down) {}
double RootMeanSquaredError::result() const { return std::sqrt(MeanMetric::result()); }
Tensor RootMeanSquaredError::values(const Tensor& y_true, const Tensor& y_pred) {
  auto [y, p] = fitted(name().c_str(), y_true, y_pred);
  return square(y - p);
}

}  // namespace keratin
