#include <algorithm>
#include <utility>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/optim/internal/loss_support.h>
#include <keratin/optim/internal/scores.h>
#include <keratin/optim/iou_metrics.h>

namespace keratin {

IoU::IoU(int num_classes, std::vector<int> target_class_ids, Options options)
    : Metric(options.name, Direction::up),
      target_class_ids_(std::move(target_class_ids)),
      num_classes_(num_classes),
      options_(std::move(options)) {
  reset_state();
}

void IoU::reset_state() {
  constexpr int most = 46340;  // int32 can number all pairs of so many classes
  if (num_classes_ < 1 || num_classes_ > most)
    fail("{}: expected num_classes from 1 to {}, got {}", name(), most, num_classes_);
  for (int id : target_class_ids_)
    if (id < 0 || id >= num_classes_)
      fail("{}: expected target_class_ids from 0 to {}, got {}", name(), num_classes_ - 1, id);
  const auto classes = static_cast<std::size_t>(num_classes_);
  reset(*matrix_, classes * classes);
}

void IoU::update_state(const Tensor& y_true, const Tensor& y_pred, const Tensor& sample_weight) {
  NoGradient scope;
  const char* who = name().c_str();
  const Tensor labels = options_.sparse_y_true ? y_true : argmax(y_true, options_.axis);
  const Tensor predicted = options_.sparse_y_pred ? y_pred : argmax(y_pred, options_.axis);
  auto [y, p] = same_shape(who, labels, predicted);
  Tensor weights = ones(p.shape(), float64, p.device());
  if (sample_weight.defined()) {
    auto [values, w] = with_weights(who, p, cast(sample_weight, float64));
    weights = broadcast_to(w, values.shape()).reshape(p.shape());
  }
  auto is_class = [this](const Tensor& x) {
    return logical_and(x > -1, x < num_classes_);  // numbers are cut off to whole ones
  };
  Tensor counts = logical_and(is_class(y), is_class(p));
  if (options_.ignore_class)
    counts = logical_and(counts, not_equal(cast(y, int32), *options_.ignore_class));
  const Tensor places =
      cast(where(counts, y, 0), int32) * num_classes_ + cast(where(counts, p, 0), int32);
  const Shape flat{p.numel()};
  matrix_->add_at(places.reshape(flat), where(counts, weights, 0.0).reshape(flat));
}

double IoU::result() const {
  const std::vector<double> matrix = matrix_->values();
  const auto n = static_cast<std::size_t>(num_classes_);
  double total = 0, occurring = 0;
  for (std::size_t k = 0; k < n; ++k) {
    if (!target_class_ids_.empty() &&
        std::ranges::count(target_class_ids_, static_cast<int>(k)) == 0)
      continue;
    double either = -matrix[k * n + k];  // of this class, or predicted so
    for (std::size_t i = 0; i < n; ++i) either += matrix[k * n + i] + matrix[i * n + k];
    if (either <= 1e-9) continue;
    total += matrix[k * n + k] / (either + keras_epsilon);
    occurring += 1;
  }
  return total / (occurring + keras_epsilon);
}

std::vector<Field> IoU::fields_named(const std::vector<std::string>& names) {
  const std::vector<Field> all{
      {"num_classes", &num_classes_, at_least(1)}, {"target_class_ids", &target_class_ids_},
      {"ignore_class", &options_.ignore_class},    {"sparse_y_true", &options_.sparse_y_true},
      {"sparse_y_pred", &options_.sparse_y_pred},  {"axis", &options_.axis}};
  const std::vector<Field> of_metric = Metric::fields();
  std::vector<Field> fields;
  for (const std::string& name : names) {
    for (const Field& field : all)
      if (field.name == name) fields.push_back(field);
    for (const Field& field : of_metric)
      if (field.name == name) fields.push_back(field);
  }
  return fields;
}

std::vector<Field> IoU::fields() {
  return fields_named({"name", "dtype", "num_classes", "target_class_ids", "ignore_class",
                       "sparse_y_true", "sparse_y_pred", "axis"});
}

BinaryIoU::BinaryIoU(Options options)
    : IoU(2, std::move(options.target_class_ids), {.name = std::move(options.name)}),
      threshold_(options.threshold) {}
void BinaryIoU::update_state(const Tensor& y_true, const Tensor& y_pred,
                             const Tensor& sample_weight) {
  NoGradient scope;
  IoU::update_state(y_true, y_pred >= threshold_, sample_weight);
}
std::vector<Field> BinaryIoU::fields() {
  std::vector<Field> fields = fields_named({"target_class_ids", "name", "dtype"});
  fields.insert(fields.begin() + 1, {"threshold", &threshold_});
  return fields;
}

MeanIoU::MeanIoU(int num_classes, Options o)
    : IoU(num_classes, {},
          {std::move(o.name), o.ignore_class, o.sparse_y_true, o.sparse_y_pred, o.axis}) {}
std::vector<Field> MeanIoU::fields() {
  return fields_named(
      {"num_classes", "name", "dtype", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis"});
}

OneHotIoU::OneHotIoU(int num_classes, std::vector<int> target_class_ids, Options o)
    : IoU(num_classes, std::move(target_class_ids),
          {std::move(o.name), o.ignore_class, false, o.sparse_y_pred, o.axis}) {}
std::vector<Field> OneHotIoU::fields() {
  return fields_named({"num_classes", "target_class_ids", "name", "dtype", "ignore_class",
                       "sparse_y_pred", "axis"});
}

OneHotMeanIoU::OneHotMeanIoU(int num_classes, Options o)
    : IoU(num_classes, {}, {std::move(o.name), o.ignore_class, false, o.sparse_y_pred, o.axis}) {}
std::vector<Field> OneHotMeanIoU::fields() {
  return fields_named({"num_classes", "name", "dtype", "ignore_class", "sparse_y_pred", "axis"});
}

}  // namespace keratin
