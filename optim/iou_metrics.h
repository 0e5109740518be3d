// Intersection over union of classes (keras/src/metrics/iou_metrics.py).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <keratin/optim/metric.h>

namespace keratin {

/// From a confusion matrix: for each target class, true positives over all positions that are of
/// this class or predicted so; then the mean over those classes that occur. y_true and y_pred hold
/// class numbers, or one number for each class, of which the largest counts. Positions whose
/// number is no class do not count.
class IoU : public Metric {
 public:
  struct Options {
    std::string name = "io_u";
    std::optional<int> ignore_class = std::nullopt;  ///< positions of this label do not count
    bool sparse_y_true = true;                       ///< class numbers
    bool sparse_y_pred = true;
    int axis = -1;  ///< of the classes, where they are not sparse
  };
  IoU(int num_classes, std::vector<int> target_class_ids)
      : IoU(num_classes, std::move(target_class_ids), Options()) {}
  IoU(int num_classes, std::vector<int> target_class_ids, Options options);
  using Metric::update_state;
  void update_state(const Tensor& y_true, const Tensor& y_pred,
                    const Tensor& sample_weight) override;
  double result() const override;
  void reset_state() override;
  void snapshot(Snapshot& s) override { matrix_->snapshot(s); }
  std::string class_name() const override { return "IoU"; }
  std::vector<Field> fields() override;

 protected:
  /// Those of the options that the class has, in the order of their names.
  std::vector<Field> fields_named(const std::vector<std::string>& names);
  std::vector<int> target_class_ids_;  // none: all

 private:
  void detach() override { matrix_.detach(); }
  int num_classes_;
  Options options_;
  Shared<RunningSums> matrix_;
};

/// IoU of both classes, where y_pred >= threshold is class 1.
class BinaryIoU : public IoU {
 public:
  struct Options {
    std::vector<int> target_class_ids = {0, 1};
    double threshold = 0.5;
    std::string name = "binary_io_u";
  };
  BinaryIoU() : BinaryIoU(Options()) {}
  BinaryIoU(Options options);
  using Metric::update_state;
  void update_state(const Tensor& y_true, const Tensor& y_pred,
                    const Tensor& sample_weight) override;
  std::string class_name() const override { return "BinaryIoU"; }
  std::vector<Field> fields() override;

 private:
  double threshold_;
};

/// The mean IoU of all classes that occur.
class MeanIoU : public IoU {
 public:
  struct Options {
    std::string name = "mean_io_u";
    std::optional<int> ignore_class = std::nullopt;
    bool sparse_y_true = true;
    bool sparse_y_pred = true;
    int axis = -1;
  };
  explicit MeanIoU(int num_classes) : MeanIoU(num_classes, Options()) {}
  MeanIoU(int num_classes, Options options);
  std::string class_name() const override { return "MeanIoU"; }
  std::vector<Field> fields() override;
};

/// IoU of labels that are one-hot.
class OneHotIoU : public IoU {
 public:
  struct Options {
    std::string name = "one_hot_io_u";
    std::optional<int> ignore_class = std::nullopt;
    bool sparse_y_pred = false;
    int axis = -1;
  };
  OneHotIoU(int num_classes, std::vector<int> target_class_ids)
      : OneHotIoU(num_classes, std::move(target_class_ids), Options()) {}
  OneHotIoU(int num_classes, std::vector<int> target_class_ids, Options options);
  std::string class_name() const override { return "OneHotIoU"; }
  std::vector<Field> fields() override;
};

/// MeanIoU of labels that are one-hot.
class OneHotMeanIoU : public IoU {
 public:
  struct Options {
    std::string name = "one_hot_mean_io_u";
    std::optional<int> ignore_class = std::nullopt;
    bool sparse_y_pred = false;
    int axis = -1;
  };
  explicit OneHotMeanIoU(int num_classes) : OneHotMeanIoU(num_classes, Options()) {}
  OneHotMeanIoU(int num_classes, Options options);
  std::string class_name() const override { return "OneHotMeanIoU"; }
  std::vector<Field> fields() override;
};

}  // namespace keratin
