#include <algorithm>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/random.h>
#include <keratin/training/dataset.h>

namespace keratin {
namespace {

std::uint64_t seed_or_random(std::optional<std::uint64_t> seed) {
  if (seed) return *seed;
  // Two numbers below 2^24, which a float holds exactly.
  auto part = [] {
    return static_cast<std::uint64_t>(default_random().uniform({}).item() * (1 << 24));
  };
  return part() << 24 | part();
}

// Samples, put together along a new first axis.
Tensors stacked(const std::vector<Batch>& samples, Tensors Batch::*part) {
  Tensors columns;
  for (std::size_t i = 0; i < (samples[0].*part).size(); ++i) {
    Tensors rows;
    for (const Batch& sample : samples) {
      if ((sample.*part).size() != (samples[0].*part).size())
        fail("Dataset: one sample has {} tensors where the first has {}", (sample.*part).size(),
             (samples[0].*part).size());
      rows.push_back((sample.*part)[i]);
    }
    columns.push_back(stack(rows));
  }
  return columns;
}

void check_positive(const char* who, const char* what, std::int64_t value) {
  if (value < 1) fail("{}: expected {} of at least 1, got {}", who, what, value);
}

}  // namespace

Dataset Dataset::from_tensors(const Tensors& x, const Tensors& y, const Tensors& sample_weight) {
  if (x.empty() || !x[0].defined() || x[0].rank() == 0) fail("Dataset: x must have a batch axis");
  for (const auto* list : {&x, &y, &sample_weight})
    for (const Tensor& t : *list)
      if (!t.defined() || t.rank() == 0 || t.size(0) != x[0].size(0))
        fail("Dataset: x has {} samples, another array is {}", x[0].size(0),
             t.defined() ? t.shape().str() : "undefined");
  return Dataset([=]() -> Next {
    return [=, i = std::int64_t{0}]() mutable -> std::optional<Batch> {
      if (i == x[0].size(0)) return {};
      auto rows = [&](const Tensors& list) {
        Tensors row;
        for (const Tensor& t : list) row.push_back(t[i]);
        return row;
      };
      Batch sample{rows(x), rows(y), rows(sample_weight)};
      ++i;
      return sample;
    };
  });
}

Dataset Dataset::shuffle(std::int64_t buffer_size, std::optional<std::uint64_t> seed) const {
  check_positive("Dataset::shuffle", "a buffer_size", buffer_size);
  auto epoch = std::make_shared<std::uint64_t>(0);
  return Dataset([begin = begin_, buffer_size, seed, epoch]() -> Next {
    Random random(seed_or_random(seed) + (*epoch)++);
    return [=, next = begin(), buffer = std::vector<Batch>()]() mutable -> std::optional<Batch> {
      while (static_cast<std::int64_t>(buffer.size()) < buffer_size) {
        std::optional<Batch> sample = next ? next() : std::nullopt;
        if (!sample) {
          next = nullptr;
          break;
        }
        buffer.push_back(std::move(*sample));
      }
      if (buffer.empty()) return {};
      const auto size = static_cast<double>(buffer.size());
      const double drawn = random.uniform({}, 0, 1, float64).item() * size;
      std::swap(buffer[std::min(buffer.size() - 1, static_cast<std::size_t>(drawn))],
                buffer.back());
      Batch sample = std::move(buffer.back());
      buffer.pop_back();
      return sample;
    };
  });
}

Dataset Dataset::batch(std::int64_t batch_size, bool drop_remainder) const {
  check_positive("Dataset::batch", "a batch_size", batch_size);
  return Dataset([begin = begin_, batch_size, drop_remainder]() -> Next {
    return [=, next = begin()]() mutable -> std::optional<Batch> {
      std::vector<Batch> samples;
      while (static_cast<std::int64_t>(samples.size()) < batch_size) {
        std::optional<Batch> sample = next();
        if (!sample) break;
        samples.push_back(std::move(*sample));
      }
      if (samples.empty()) return {};
      if (drop_remainder && static_cast<std::int64_t>(samples.size()) < batch_size) return {};
      return Batch{stacked(samples, &Batch::x), stacked(samples, &Batch::y),
                   stacked(samples, &Batch::sample_weight)};
    };
  });
}

Dataset Dataset::take(std::int64_t count) const {
  return Dataset([begin = begin_, count]() -> Next {
    return [=, next = begin(), left = count]() mutable -> std::optional<Batch> {
      return left-- > 0 ? next() : std::nullopt;
    };
  });
}

Dataset Dataset::repeat(std::int64_t count) const {
  return Dataset([begin = begin_, count]() -> Next {
    return [=, next = begin(), left = count]() mutable -> std::optional<Batch> {
      if (left == 0) return {};
      if (std::optional<Batch> batch = next()) return batch;
      if (--left == 0) return {};
      next = begin();
      return next();
    };
  });
}

Dataset Dataset::map(std::function<Batch(const Batch&)> f) const {
  return Dataset([begin = begin_, f = std::move(f)]() -> Next {
    return [f, next = begin()]() -> std::optional<Batch> {
      std::optional<Batch> batch = next();
      return batch ? std::optional<Batch>(f(*batch)) : std::nullopt;
    };
  });
}

// --- windows of a time series

Dataset timeseries_dataset_from_array(const Tensor& data, const Tensor& targets,
                                      std::int64_t sequence_length,
                                      const TimeseriesOptions& options) {
  const char* who = "timeseries_dataset_from_array";
  if (!data.defined() || data.rank() == 0 || data.size(0) == 0) fail("{}: data has no rows", who);
  const std::int64_t rows = data.size(0), begin = options.start_index,
                     end = options.end_index.value_or(rows);
  check_positive(who, "a sequence_length", sequence_length);
  check_positive(who, "a batch_size", options.batch_size);
  check_positive(who, "a sequence_stride", options.sequence_stride);
  check_positive(who, "a sampling_rate", options.sampling_rate);
  if (begin < 0 || end > rows || begin >= end)
    fail("{}: expected 0 <= start_index < end_index <= {}, got {} and {}", who, rows, begin, end);
  std::int64_t windows = end - begin - (sequence_length - 1) * options.sampling_rate;
  if (targets.defined()) {
    if (targets.rank() == 0) fail("{}: targets must have an axis of time", who);
    windows = std::min(windows, targets.size(0) - begin);
  }
  if (windows < 1)
    fail("{}: {} rows are too few for a window of {} steps, {} apart", who, end - begin,
         sequence_length, options.sampling_rate);
  const std::int64_t count = (windows + options.sequence_stride - 1) / options.sequence_stride;
  auto epoch = std::make_shared<std::uint64_t>(0);
  return Dataset([=]() -> Dataset::Next {
    std::vector<std::int64_t> order(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int64_t>(i);
    if (options.shuffle)
      order = Random(seed_or_random(options.seed) + (*epoch)++).permutation(count);
    return [=, first = std::int64_t{0}]() mutable -> std::optional<Batch> {
      const std::int64_t last = std::min(first + options.batch_size, count);
      if (first >= last) return {};
      std::vector<std::int32_t> steps, starts;
      for (; first < last; ++first) {
        const std::int64_t start =
            begin + order[static_cast<std::size_t>(first)] * options.sequence_stride;
        starts.push_back(static_cast<std::int32_t>(start));
        for (std::int64_t t = 0; t < sequence_length; ++t)
          steps.push_back(static_cast<std::int32_t>(start + t * options.sampling_rate));
      }
      NoGradient scope;
      const auto n = static_cast<std::int64_t>(starts.size());
      Batch batch{{keratin::take(data, tensor(steps, {n, sequence_length}, int32, Device()), 0)}};
      if (targets.defined())
        batch.y = {keratin::take(targets, tensor(starts, {n}, int32, Device()), 0)};
      return batch;
    };
  });
}

Tensor pad_sequences(const std::vector<std::vector<double>>& sequences, const PadOptions& options) {
  for (const std::string& side : {options.padding, options.truncating})
    if (side != "pre" && side != "post")
      fail("pad_sequences: expected pre or post, got \"{}\"", side);
  if (options.maxlen < 0)
    fail("pad_sequences: expected maxlen of at least 0, got {}", options.maxlen);
  std::size_t length = static_cast<std::size_t>(options.maxlen);
  if (options.maxlen == 0)
    for (const auto& sequence : sequences) length = std::max(length, sequence.size());
  std::vector<double> values(sequences.size() * length, options.value);
  for (std::size_t row = 0; row < sequences.size(); ++row) {
    const std::vector<double>& sequence = sequences[row];
    const std::size_t kept = std::min(sequence.size(), length);
    const std::size_t from = options.truncating == "pre" ? sequence.size() - kept : 0;
    const std::size_t to = row * length + (options.padding == "pre" ? length - kept : 0);
    std::copy_n(sequence.begin() + static_cast<std::ptrdiff_t>(from), kept,
                values.begin() + static_cast<std::ptrdiff_t>(to));
  }
  return tensor(values,
                {static_cast<std::int64_t>(sequences.size()), static_cast<std::int64_t>(length)})
      .astype(options.dtype);
}

}  // namespace keratin
