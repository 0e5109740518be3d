// The data of a run of fit, evaluate or predict, and what must be true of it.
#pragma once

#include <cstdint>
#include <map>

#include <keratin/core/tensor.h>

namespace keratin {

class Layer;

/// Samples with their targets and, perhaps, weights.
struct Data {
  Tensor x, y, weight;
  std::map<int, double> class_weight = {};

  std::int64_t size() const { return x.size(0); }
  /// Samples begin..end-1: views.
  Data part(std::int64_t begin, std::int64_t end) const;
  /// The samples with these numbers: copies.
  Data pick(const Tensor& numbers) const;
};

/// These throw std::invalid_argument; `who` begins the message.
void check_data(const char* who, const Data& data);
void check_batch_size(const char* who, int batch_size);
/// A stateful layer carries the states of each sample from batch to batch.
void check_stateful(const char* who, const Layer& layer, std::int64_t samples, int batch_size);

/// The weight of each label's class. Labels are one for each prediction, with or without a last
/// axis of 1, or one-hot rows. Throws std::invalid_argument for a label that is no whole number.
Tensor weights_of_classes(const Tensor& y, const Shape& prediction,
                          const std::map<int, double>& weights);

}  // namespace keratin
