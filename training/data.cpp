#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/suggest.h>
#include <keratin/core/random.h>
#include <keratin/layers/rnn.h>
#include <keratin/training/internal/data.h>

namespace keratin {

namespace {

Tensors each(const Tensors& tensors, auto f) {
  Tensors results;
  for (const Tensor& t : tensors) results.push_back(t.defined() ? f(t) : t);
  return results;
}

// "x", or "x[1]" where there are several.
std::string place(const char* what, const Tensors& list, std::size_t i) {
  return list.size() == 1 ? what : fmt::format("{}[{}]", what, i);
}

}  // namespace

Batch Data::part(std::int64_t begin, std::int64_t end) const {
  auto rows = [&](const Tensor& t) { return slice(t, {range(begin, end)}); };
  return {each(x, rows), each(y, rows), each(weight, rows)};
}

Batch Data::pick(const Tensor& numbers) const {
  auto rows = [&](const Tensor& t) { return take(t, numbers, 0); };
  return {each(x, rows), each(y, rows), each(weight, rows)};
}

Tensors in_order(const char* who, const char* what, const Arrays& arrays,
                 const std::vector<std::string>& names) {
  if (arrays.named().empty()) return arrays.list();
  if (names.empty())
    fail("{}: {} was given by name, and this model's are not named: give a list", who, what);
  Tensors list(names.size());
  for (const auto& [name, array] : arrays.named()) {
    auto found = std::ranges::find(names, name);
    if (found == names.end())
      fail_unknown(fmt::format("{}: {}: unknown name", who, what), name, names);
    list[static_cast<std::size_t>(found - names.begin())] = array;
  }
  return list;
}

void check_data(const char* who, const Data& data) {
  if (data.x.empty()) fail("{}: x must have a batch axis", who);
  for (std::size_t i = 0; i < data.x.size(); ++i) {
    const Tensor& x = data.x[i];
    if (!x.defined() || x.rank() == 0)
      fail("{}: {} must have a batch axis", who, place("x", data.x, i));
    if (x.size(0) == 0) fail("{}: {} has no samples", who, place("x", data.x, i));
    if (x.size(0) != data.size())
      fail("{}: x[0] has {} samples, x[{}] has {}.", who, data.size(), i, x.size(0));
  }
  for (std::size_t i = 0; i < data.y.size(); ++i) {
    const Tensor& y = data.y[i];
    if (!y.defined() && data.y.size() > 1) continue;  // of an output without a loss
    if (!y.defined() || y.rank() == 0)
      fail("{}: {} must have a batch axis", who, place("y", data.y, i));
    if (y.size(0) != data.size())
      fail("{}: x has {} samples, {} has {}.", who, data.size(), place("y", data.y, i), y.size(0));
  }
  for (const Tensor& weight : data.weight)
    if (weight.defined() && (weight.rank() == 0 || weight.size(0) != data.size()))
      fail("{}: x has {} samples, sample_weight has shape {}.", who, data.size(), weight.shape());
}

void check_batch_size(const char* who, int batch_size) {
  if (batch_size < 1) fail("{}: expected a batch_size of at least 1, got {}", who, batch_size);
}

bool is_stateful(const Layer& layer) {
  const auto* rnn = dynamic_cast<const RNN*>(&layer);
  return (rnn != nullptr && rnn->options().stateful) ||
         std::ranges::any_of(layer.sublayers(),
                             [](const AnyLayer& inside) { return is_stateful(*inside); });
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
  const Tensor numbers = round(labels.astype(float64));
  if (y.device().is_cpu() && all(abs(labels - numbers) <= 1e-3).item() == 0)
    for (double label : labels.to_vector<double>())
      if (!(std::abs(label - std::round(label)) <= 1e-3))
        fail("fit: class_weight: {} is not a class", label);
  Tensor values = ones(labels.shape(), floatx(), y.device());
  for (const auto& [label, weight] : weights) values = where(equal(numbers, label), weight, values);
  return values;
}

// --- where batches come from

namespace {

class ArraySource : public Source {
 public:
  ArraySource(Data data, int batch_size, bool shuffle)
      : data_(std::move(data)), batch_size_(batch_size), shuffle_(shuffle) {}

  void begin_epoch() override {
    next_ = 0;
    if (!shuffle_) return;
    std::vector<std::int64_t> permutation = default_random().permutation(data_.size());
    const std::vector<std::int32_t> numbers(permutation.begin(), permutation.end());
    order = tensor(numbers, {data_.size()}, int32, data_.x[0].device());
  }
  std::optional<Batch> next() override {
    if (next_ >= data_.size()) return {};
    first = next_;
    next_ = std::min(next_ + batch_size_, data_.size());
    return shuffle_ ? data_.pick(slice(order, {range(first, next_)})) : data_.part(first, next_);
  }
  int steps() const override {
    return static_cast<int>((data_.size() + batch_size_ - 1) / batch_size_);
  }
  void snapshot(Snapshot& s) override {
    std::int64_t samples = data_.size(), batch_size = batch_size_;
    s.field("samples", samples);
    s.field("batch_size", batch_size);
    if (samples != data_.size() || batch_size != batch_size_)
      s.refuse(fmt::format("it is of {} samples in batches of {}, not of {} in batches of {}",
                           samples, batch_size, data_.size(), batch_size_));
    s.field("next", next_);
    s.field("order", order);
    if (next_ < 0 || next_ > data_.size())
      s.refuse(fmt::format("sample {} is next, of {}", next_, data_.size()));
    if (order.defined() && (order.dtype() != int32 || order.shape() != Shape{data_.size()}))
      s.refuse(fmt::format("the order of {} samples has shape {}", data_.size(), order.shape()));
    if (s.restores() && order.defined()) order = order.to(data_.x[0].device());
  }

 private:
  Data data_;
  std::int64_t batch_size_, next_ = 0;
  bool shuffle_;
};

/// Calls a function in a thread of its own, one call ahead of who asks for the results.
class Ahead {
 public:
  explicit Ahead(Dataset::Next next) : next_(std::move(next)), thread_([this] { run(); }) {}
  ~Ahead() {
    {
      std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  Ahead(const Ahead&) = delete;
  Ahead& operator=(const Ahead&) = delete;

  std::optional<Batch> take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return ready_; });
    if (error_) std::rethrow_exception(error_);
    std::optional<Batch> batch = std::move(batch_);
    if (batch) ready_ = false;  // nothing comes after the end
    changed_.notify_all();
    return batch;
  }

 private:
  void run() {
    for (bool more = true; more;) {
      std::optional<Batch> batch;
      std::exception_ptr error;
      try {
        batch = next_();
      } catch (...) {
        error = std::current_exception();
      }
      more = batch.has_value();
      std::unique_lock lock(mutex_);
      batch_ = std::move(batch);
      error_ = error;
      ready_ = true;
      changed_.notify_all();
      changed_.wait(lock, [this] { return !ready_ || stopped_; });
      if (stopped_) return;
    }
  }

  Dataset::Next next_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Batch> batch_;
  std::exception_ptr error_;
  bool ready_ = false, stopped_ = false;
  std::thread thread_;
};

class DatasetSource : public Source {
 public:
  DatasetSource(const char* who, const Dataset& data, int steps)
      : who_(who), data_(data), steps_(steps), per_epoch_(steps) {}

  void begin_epoch() override {
    step_ = 0;
    first = 0;
    size_ = 0;
    if (per_epoch_ == 0 || ahead_ == nullptr) begin_pass();
  }
  std::optional<Batch> next() override {
    if (per_epoch_ > 0 && step_ == per_epoch_) return {};
    std::optional<Batch> batch = take();
    if (!batch && per_epoch_ > 0) {
      begin_pass();
      batch = take();
    }
    if (!batch) {
      if (step_ == 0) fail("{}: the dataset is empty", who_);
      steps_ = step_;
      taken_ = all;
      return {};
    }
    check_data(who_, {batch->x, batch->y, batch->sample_weight});
    ++step_;
    first += size_;
    size_ = batch->x[0].size(0);
    return batch;
  }
  int steps() const override { return steps_; }
  void snapshot(Snapshot& s) override {
    s.field("steps", steps_);
    s.field("step", step_);
    s.field("first", first);
    s.field("size", size_);
    auto passes = passes_;
    auto taken = taken_;
    s.field("passes", passes);
    s.field("taken", taken);
    Random noise = noise_;
    noise.snapshot(s);
    if (s.restores()) repeat(passes, taken, noise);
  }

 private:
  void begin_pass() {
    noise_ = default_random();
    ahead_ = std::make_unique<Ahead>(data_.begin());
    ++passes_;
    taken_ = 0;
  }
  std::optional<Batch> take() {
    std::optional<Batch> batch = ahead_->take();
    taken_ += batch.has_value();
    return batch;
  }
  // To where another source was: a dataset counts its passes, and may draw random numbers when one
  // begins.
  void repeat(int passes, int taken, const Random& noise) {
    const Random now = default_random();
    for (const int whole = taken == all ? passes : passes - 1; passes_ < whole; ++passes_)
      data_.begin();
    default_random() = noise;
    if (passes_ < passes) begin_pass();
    while (taken_ < taken && take()) {
    }
    default_random() = now;
  }

  const char* who_;
  Dataset data_;
  int steps_, per_epoch_, step_ = 0;
  std::int64_t size_ = 0;
  static constexpr int all = -1;
  int passes_ = 0, taken_ = 0;  // how often the data has begun, and batches since
  Random noise_{0};             // what default_random() was when it last began
  std::unique_ptr<Ahead> ahead_;
};

}  // namespace

std::unique_ptr<Source> source_of(const Data& data, int batch_size, bool shuffle) {
  return std::make_unique<ArraySource>(data, batch_size, shuffle);
}
std::unique_ptr<Source> source_of(const char* who, const Dataset& data, int steps) {
  return std::make_unique<DatasetSource>(who, data, steps);
}

}  // namespace keratin
