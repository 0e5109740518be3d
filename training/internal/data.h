// The data of a run of fit, evaluate or predict, and what must be true of it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <keratin/core/random.h>
#include <keratin/core/snapshot.h>
#include <keratin/training/dataset.h>
#include <keratin/training/per_output.h>

namespace keratin {

class Layer;

/// Samples with their targets and, perhaps, weights.
struct Data {
  Tensors x, y, weight;

  std::int64_t size() const { return x[0].size(0); }
  /// Samples begin..end-1: views.
  Batch part(std::int64_t begin, std::int64_t end) const;
  /// The samples with these numbers: copies.
  Batch pick(const Tensor& numbers) const;
};

/// The arrays in the order of the names; undefined where one is left out. `what` is x or y.
/// Throws std::invalid_argument; `who` begins the message.
Tensors in_order(const char* who, const char* what, const Arrays& arrays,
                 const std::vector<std::string>& names);

/// These throw std::invalid_argument, too.
void check_data(const char* who, const Data& data);
void check_batch_size(const char* who, int batch_size);
/// A stateful layer carries the states of each sample from batch to batch.
void check_stateful(const char* who, const Layer& layer, std::int64_t samples, int batch_size);

bool is_stateful(const Layer& layer);

/// The weight of each label's class. Labels are one for each prediction, with or without a last
/// axis of 1, or one-hot rows. Throws std::invalid_argument for a label that is no whole number.
Tensor weights_of_classes(const Tensor& y, const Shape& prediction,
                          const std::map<int, double>& weights);

/// Where the batches of a run come from.
class Source {
 public:
  virtual ~Source() = default;
  virtual void begin_epoch() = 0;
  /// The next batch; none when the epoch is over.
  virtual std::optional<Batch> next() = 0;
  /// Batches in an epoch, 0 while not known.
  virtual int steps() const = 0;
  /// Where in its epoch it is, which is what begin_epoch and next have done.
  virtual void snapshot(Snapshot& s) = 0;
  /// Of the batch that came last: the number of its first sample, and where the samples were
  /// shuffled their numbers.
  std::int64_t first = 0;
  Tensor order = {};
};

/// The rows of arrays, shuffled anew in each epoch if asked for.
std::unique_ptr<Source> source_of(const Data& data, int batch_size, bool shuffle);
/// A dataset, of which a thread reads one batch ahead. With `steps` above 0 an epoch has so many,
/// goes on where the one before ended, and begins anew at the end of the data.
std::unique_ptr<Source> source_of(const char* who, const Dataset& data, int steps);

}  // namespace keratin
