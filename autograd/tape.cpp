// Recording: how tapes begin and end, and how ops append to them. The way back is backward.cpp.

#include <atomic>
#include <memory>

#include <keratin/autograd/internal/backward_pass.h>
#include <keratin/autograd/internal/record.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>

namespace keratin {

constinit thread_local Record* recording = nullptr;

namespace {

// The record that a new tape of this thread would join.
Record*& current_record() {
  struct Records {
    Record first;
    Record* current = &first;
  };
  static thread_local Records records;
  return records.current;
}

std::uint64_t next_epoch() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

void update_recording(Record& record) {
  recording = record.active > 0 && record.silenced == 0 ? &record : nullptr;
}

}  // namespace

// --- what a tape follows

VariableId Record::variable_of(const Tensor& tensor) {
  const TensorData& data = TensorData::of(tensor);
  if (data.epoch == epoch) return data.variable_id;
  if (data.variable) return watch(tensor);
  if (watched.empty()) return 0;
  auto found = watched.find(&data);
  return found == watched.end() ? 0 : found->second;
}

// Other threads may watch the same tensor. Its number therefore stands in the record, not in the
// tensor.
VariableId Record::watch(const Tensor& tensor) {
  auto id = static_cast<VariableId>(variables.size());
  auto [entry, is_new] = watched.try_emplace(&TensorData::of(tensor), id);
  if (is_new) {
    variables.push_back({tensor.shape(), tensor.dtype(), tensor.device()});
    watched_tensors.push_back(tensor);
  }
  return entry->second;
}

void Record::append(const char* op, std::size_t first_input, std::span<const Tensor> outputs,
                    Closure vjp) {
  nodes.push_back({op, layer, static_cast<std::uint32_t>(first_input),
                   static_cast<std::uint32_t>(inputs.size() - first_input),
                   static_cast<VariableId>(variables.size()),
                   static_cast<std::uint32_t>(outputs.size()), std::move(vjp)});
  for (const Tensor& output : outputs) {
    TensorData& data = TensorData::of(output);
    data.epoch = epoch;
    data.variable_id = static_cast<VariableId>(variables.size());
    variables.push_back({output.shape(), output.dtype(), output.device()});
  }
  if (watcher != nullptr) watcher->saw(op, layer, outputs);
}

void Saved::overwritten() const {
  fail("a tensor of shape {} that the backward pass needs was overwritten in place since",
       tensor_.shape());
}

// --- the tape

GradientTape::GradientTape() : record_(current_record()), thread_(&recording) {
  // Inside a NoGradient scope the tapes outside must not see what this one records.
  std::unique_ptr<Record> own;
  if (record_->silenced > 0) {
    own = std::make_unique<Record>();
    record_ = own.get();
  }
  if (record_->tapes == 0) {
    record_->epoch = next_epoch();
    record_->variables.push_back({});  // number 0
  }
  if (own != nullptr) record_->outer = std::exchange(current_record(), own.release());
  ++record_->tapes;
  ++record_->active;
  first_node_ = record_->nodes.size();
  update_recording(*record_);
}

GradientTape::~GradientTape() {
  --record_->active;
  if (record_->tapes == 1) {  // what a closure holds may make and end other tapes
    record_->nodes.clear();
    record_->inputs.clear();
    record_->variables.clear();
    record_->watched.clear();
    record_->watched_tensors.clear();
  }
  --record_->tapes;
  while (current_record()->tapes == 0 && current_record()->outer != nullptr)
    delete std::exchange(current_record(), current_record()->outer);
  update_recording(*current_record());
}

Record& GradientTape::record() const {
  if (thread_ != &recording) fail("tape: it belongs to the thread that made it");
  return *record_;
}

void GradientTape::watch(const Tensor& x) {
  Record& record = this->record();
  if (!is_floating(x.dtype())) fail("watch: only floats have gradients, got {}", x.dtype());
  if (record.variable_of(x) == 0) record.watch(x);
}

bool GradientTape::follows(const Tensor& y) const { return record().variable_of(y) != 0; }

std::size_t GradientTape::size() const { return record().nodes.size() - first_node_; }

// --- gradients

// The pass is itself recorded by the other tapes that live, but never by this one.
class GradientTape::Pause {
 public:
  explicit Pause(Record& record) : record_(record) { --record_.active, update(); }
  ~Pause() { ++record_.active, update(); }
  Pause(const Pause&) = delete;
  Pause& operator=(const Pause&) = delete;

 private:
  void update() { update_recording(*current_record()); }
  Record& record_;
};

std::vector<Tensor> GradientTape::gradients(const std::vector<Tensor>& y,
                                            const std::vector<Tensor>& x,
                                            const std::vector<Tensor>& output_gradients,
                                            bool spend) const {
  Record& record = this->record();
  if (spent_) fail("gradient: this tape was moved into an earlier gradient and is spent");
  Pause pause(record);
  BackwardPass pass(record, first_node_, y, x, output_gradients);
  spent_ = spend;
  pass.run(/*last=*/spend && record.tapes == 1);
  return pass.gradients(x);
}

Tensor GradientTape::gradient(const Tensor& y, const Tensor& x, const Tensor& og) const& {
  return gradients({y}, {x}, {og}, false)[0];
}
std::vector<Tensor> GradientTape::gradient(const Tensor& y, const std::vector<Tensor>& x,
                                           const Tensor& og) const& {
  return gradients({y}, x, {og}, false);
}
std::vector<Tensor> GradientTape::gradient(const std::vector<Tensor>& y,
                                           const std::vector<Tensor>& x,
                                           const std::vector<Tensor>& ogs) const& {
  return gradients(y, x, ogs, false);
}
Tensor GradientTape::gradient(const Tensor& y, const Tensor& x, const Tensor& og) && {
  return gradients({y}, {x}, {og}, true)[0];
}
std::vector<Tensor> GradientTape::gradient(const Tensor& y, const std::vector<Tensor>& x,
                                           const Tensor& og) && {
  return gradients({y}, x, {og}, true);
}
std::vector<Tensor> GradientTape::gradient(const std::vector<Tensor>& y,
                                           const std::vector<Tensor>& x,
                                           const std::vector<Tensor>& ogs) && {
  return gradients(y, x, ogs, true);
}

// --- recording nothing

NoGradient::NoGradient() : record_(current_record()) {
  ++record_->silenced;
  update_recording(*record_);
}
NoGradient::~NoGradient() {
  --record_->silenced;
  if (record_ == current_record()) update_recording(*record_);
}

}  // namespace keratin
