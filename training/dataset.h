// Data that arrives in batches: from a function, or made of arrays.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <keratin/layers/outputs.h>

namespace keratin {

/// The data of one step, or of one sample; lists have one tensor for each input or output.
struct Batch {
  Tensors x = {};
  Tensors y = {};
  Tensors sample_weight = {};
};

/// Batches that can be gone through again and again.
///
///   Dataset data([] {                                  // called when an epoch begins
///     auto file = std::make_shared<Reader>("data.bin");
///     return [file] { return file->read_sample(); };   // std::optional<Batch>: empty at the end
///   });
///   model.fit(data.shuffle(1000).batch(32), {.epochs = 5});
///
/// fit reads one batch ahead in a thread of its own, so the function must not touch the model.
class Dataset {
 public:
  using Next = std::function<std::optional<Batch>()>;

  /// `begin` gives a function that returns one batch after the other, then nothing.
  explicit Dataset(std::function<Next()> begin) : begin_(std::move(begin)) {}
  /// The rows of arrays, as single samples.
  static Dataset from_tensors(const Tensors& x, const Tensors& y = {},
                              const Tensors& sample_weight = {});

  /// Samples in another order in each epoch: each is drawn from the next `buffer_size` that are
  /// left. With a seed the same orders in each run, else from default_random().
  Dataset shuffle(std::int64_t buffer_size, std::optional<std::uint64_t> seed = {}) const;
  /// Samples put together; the last batch may be smaller.
  Dataset batch(std::int64_t batch_size, bool drop_remainder = false) const;
  /// No more than the first `count`.
  Dataset take(std::int64_t count) const;
  /// Again and again: `count` times, or without end.
  Dataset repeat(std::int64_t count = -1) const;
  /// What f makes of each.
  Dataset map(std::function<Batch(const Batch&)> f) const;

  /// Begins anew.
  Next begin() const { return begin_(); }

 private:
  std::function<Next()> begin_;
};

struct TimeseriesOptions {
  std::int64_t sequence_stride = 1;  ///< from the start of one window to that of the next
  std::int64_t sampling_rate = 1;    ///< from one time step of a window to the next
  std::int64_t batch_size = 128;
  bool shuffle = false;
  std::optional<std::uint64_t> seed = {};
  std::int64_t start_index = 0;                ///< the first row that is used
  std::optional<std::int64_t> end_index = {};  ///< the first row that is no longer used
};

/// Windows of `sequence_length` time steps of data (time, ...), in batches, as
/// keras.utils.timeseries_dataset_from_array makes them. targets[i] goes with the window that
/// begins at row i; without targets the batches have no y.
Dataset timeseries_dataset_from_array(const Tensor& data, const Tensor& targets,
                                      std::int64_t sequence_length,
                                      const TimeseriesOptions& options = {});

struct PadOptions {
  std::int64_t maxlen = 0;  ///< 0: that of the longest sequence
  DType dtype = int32;
  std::string padding = "pre";     ///< where values are added: pre or post
  std::string truncating = "pre";  ///< where values are taken away
  double value = 0;
};

/// Sequences of different lengths as one tensor (sequences, maxlen)
/// (keras/src/utils/sequence_utils.py).
Tensor pad_sequences(const std::vector<std::vector<double>>& sequences,
                     const PadOptions& options = {});

}  // namespace keratin
