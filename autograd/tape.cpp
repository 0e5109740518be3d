#include <atomic>
#include <memory>
#include <ostream>
#include <sstream>

#include <keratin/autograd/internal/record.h>
#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>

namespace keratin {

thread_local Record* recording = nullptr;
thread_local const char* current_scope = nullptr;
thread_local OpWatcher* op_watcher = nullptr;

namespace {

// The record that a new tape of this thread would join.
Record*& current_record() {
  thread_local Record first;
  thread_local Record* current = &first;
  return current;
}

std::uint64_t next_epoch() {
  static std::atomic<std::uint32_t> last{0};
  return ++last;
}

// An address that no other living thread has.
const void* this_thread() {
  thread_local char mark;
  return &mark;
}

void update_recording(Record& record) {
  recording = record.active > 0 && record.silenced == 0 ? &record : nullptr;
}

}  // namespace

// --- recording

VariableId Record::variable_of(const Tensor& tensor) {
  const TensorData& data = TensorData::of(tensor);
  if (data.tag >> 32 == epoch) return static_cast<VariableId>(data.tag);
  if (data.variable) return watch(tensor);
  if (watched.empty()) return 0;
  auto found = watched.find(&data);
  return found == watched.end() ? 0 : found->second;
}

// A watched tensor may be watched by other threads too, so its number is kept here and not in it.
VariableId Record::watch(const Tensor& tensor) {
  auto id = static_cast<VariableId>(variables.size());
  auto [entry, is_new] = watched.try_emplace(&TensorData::of(tensor), id);
  if (is_new) {
    variables.push_back({tensor.shape(), tensor.dtype()});
    watched_tensors.push_back(tensor);
  }
  return entry->second;
}

void Record::append(const char* op, std::size_t first_input, std::span<const Tensor> outputs,
                    Closure vjp) {
  nodes.push_back({op, current_scope, static_cast<std::uint32_t>(first_input),
                   static_cast<std::uint32_t>(inputs.size() - first_input),
                   static_cast<VariableId>(variables.size()),
                   static_cast<std::uint32_t>(outputs.size()), std::move(vjp)});
  for (const Tensor& output : outputs) {
    TensorData::of(output).tag = epoch << 32 | variables.size();
    variables.push_back({output.shape(), output.dtype()});
  }
  if (op_watcher != nullptr) op_watcher->saw(op, current_scope, outputs);
}

void Saved::overwritten() const {
  fail("a tensor of shape {} that the backward pass needs was overwritten in place since",
       tensor_.shape());
}

// --- the backward pass, seen from a node

const Tensor& Backward::output_gradient(std::uint32_t output) const {
  return sum_of(node_->output + output).value();
}

Tensor Backward::output_gradient_or_zeros(std::uint32_t output) const {
  const Tensor& g = output_gradient(output);
  const Variable& variable = record_->variables[node_->output + output];
  return g.defined() ? g : zeros(variable.shape, variable.dtype);
}

bool Backward::owns_output_gradient(std::uint32_t output) const {
  VariableId id = node_->output + output;
  return recording == nullptr && (*asked_)[id - first_] == 0 && sum_of(id).exclusive();
}

bool Backward::wants(std::uint32_t i) const {
  VariableId id = input(i);
  return id >= first_ && id != 0 && (*needed_)[id - first_] != 0;
}

void Backward::add(std::uint32_t i, const Tensor& gradient) {
  if (!wants(i)) return;
  VariableId id = input(i);
  const Variable& as = record_->variables[id];
  if (gradient.dtype() == as.dtype && gradient.shape() == as.shape) return sum_of(id).add(gradient);
  const Variable variable = as;  // a copy: an outer tape may move the list
  sum_of(id).add(sum_to(gradient, variable.shape).astype(variable.dtype));
}

void Backward::give(std::uint32_t i, const Tensor& gradient) {
  if (wants(i)) sum_of(input(i)).give(gradient);
}

void Backward::add_product(std::uint32_t i, const Tensor& a, const Tensor& b) {
  if (wants(i)) sum_of(input(i)).add_product(a, b);
}

// --- the tape

GradientTape::GradientTape() : record_(current_record()), thread_(this_thread()) {
  // Inside a NoGradient scope the tapes outside must not see what this one records.
  std::unique_ptr<Record> own;
  if (record_->silenced > 0) {
    own = std::make_unique<Record>();
    record_ = own.get();
  }
  if (record_->tapes == 0) {
    record_->epoch = next_epoch();
    record_->variables.push_back({});  // number 0 is nobody
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
  if (thread_ != this_thread()) fail("tape: it belongs to the thread that made it");
  return *record_;
}

// A tape made where all others are silent has a record of its own.
WanderingTape::WanderingTape() {
  NoGradient others;
  tape_.emplace();
}

WanderingTape::~WanderingTape() {
  if (tape_->thread_ == nullptr) join();
}

void WanderingTape::leave() {
  current_record() = std::exchange(tape_->record_->outer, nullptr);
  tape_->thread_ = nullptr;
  update_recording(*current_record());
}

GradientSums WanderingTape::gradient_sums(const Tensor& y, const std::vector<Tensor>& x,
                                          const Tensor& output_gradient, bool last,
                                          const std::vector<Tensor>& places) {
  return tape_->backward({y}, x, {output_gradient}, last, places);
}

std::size_t WanderingTape::watched() const { return tape_->record_->watched_tensors.size(); }

void WanderingTape::join() {
  tape_->record_->outer = std::exchange(current_record(), tape_->record_);
  tape_->thread_ = this_thread();
  update_recording(*tape_->record_);
}

void GradientTape::watch(const Tensor& x) {
  Record& record = this->record();
  if (!is_floating(x.dtype())) fail("watch: only floats have gradients, got {}", x.dtype());
  if (record.variable_of(x) == 0) record.watch(x);
}

std::size_t GradientTape::size() const { return record().nodes.size() - first_node_; }

GradientSums GradientTape::backward(const std::vector<Tensor>& y, const std::vector<Tensor>& x,
                                    const std::vector<Tensor>& output_gradients, bool consume,
                                    const std::vector<Tensor>& places) const {
  Record& record = this->record();
  if (spent_) fail("gradient: this tape was moved into an earlier gradient and is spent");
  if (!output_gradients.empty() && output_gradients.size() != y.size())
    fail("gradient: {} results, {} output gradients", y.size(), output_gradients.size());
  for (const Tensor& result : y)
    if (!is_floating(result.dtype()))
      fail("gradient: only floats have gradients, the result holds {}", result.dtype());

  std::vector<VariableId> targets;
  for (const Tensor& result : y) targets.push_back(record.variable_of(result));

  // Variables below `first` cannot take part: neither asked for nor made since this tape began.
  std::vector<VariableId> sources;
  VariableId first = first_node_ < record.nodes.size()
                         ? record.nodes[first_node_].output
                         : static_cast<VariableId>(record.variables.size());
  for (const Tensor& source : x) {
    if (!source.defined()) fail("gradient: input {} is undefined", sources.size());
    VariableId id = record.variable_of(source);
    if (id == 0)
      fail("gradient: input {} of shape {} was not watched when the result was computed",
           sources.size(), source.shape());
    sources.push_back(id);
    first = std::min(first, id);
  }
  std::size_t count = record.variables.size() - first;
  std::vector<GradientSum> gradients(count);
  std::vector<char> needed(count, 0);
  for (VariableId id : sources) needed[id - first] = 1;
  for (std::size_t i = 0; i < places.size(); ++i)
    gradients[sources[i] - first].set_place(places[i]);

  std::size_t last_node = first_node_;
  for (std::size_t n = first_node_; n < record.nodes.size(); ++n) {
    const Node& node = record.nodes[n];
    bool depends = false;
    for (std::uint32_t i = 0; i < node.input_count; ++i) {
      VariableId id = record.inputs[node.inputs + i];
      depends |= id >= first && id != 0 && needed[id - first] != 0;
    }
    if (!depends) continue;
    for (std::uint32_t o = 0; o < node.output_count; ++o) needed[node.output + o - first] = 1;
    last_node = n + 1;
  }

  // The backward pass is itself recorded by the other tapes that live, but never by this one.
  struct Pause {
    Record& record;
    explicit Pause(Record& r) : record(r) { --record.active, update_recording(*current_record()); }
    ~Pause() { ++record.active, update_recording(*current_record()); }
  } pause(record);

  for (std::size_t i = 0; i < y.size(); ++i) {
    VariableId id = targets[i];
    Tensor seed = output_gradients.empty() || !output_gradients[i].defined()
                      ? ones_like(y[i])
                      : output_gradients[i].astype(y[i].dtype());
    if (seed.shape() != y[i].shape())
      fail("gradient: the output gradient has shape {}, the result {}", seed.shape(), y[i].shape());
    if (id < first || id == 0) continue;
    gradients[id - first].add(seed);
  }

  bool release = consume && record.tapes == 1;
  spent_ = consume;
  Backward backward;
  backward.record_ = &record;
  backward.gradients_ = &gradients;
  backward.needed_ = &needed;
  backward.first_ = first;
  backward.last_ = release;
  std::vector<char> asked(count, 0);
  for (VariableId id : sources) asked[id - first] = 1;
  backward.asked_ = &asked;
  for (std::size_t n = last_node; n-- > first_node_;) {
    // An outer tape may append while a closure runs: hold no reference into the list.
    Node node = std::move(record.nodes[n]);
    backward.node_ = &node;
    bool wanted = false, reached = false;
    for (std::uint32_t i = 0; i < node.input_count; ++i) wanted |= backward.wants(i);
    for (std::uint32_t o = 0; o < node.output_count; ++o)
      reached |=
          needed[node.output + o - first] != 0 && gradients[node.output + o - first].defined();
    try {
      if (wanted && reached) {
        if (!node.vjp) fail("the tape is already computing a gradient");
        node.vjp(backward);
      }
    } catch (const std::invalid_argument& error) {
      std::string message = fmt::format("gradient of {}: {}", node.op, error.what());
      record.nodes[n] = std::move(node);
      fail("{}", message);
    } catch (...) {
      record.nodes[n] = std::move(node);
      throw;
    }
    for (std::uint32_t o = 0; o < node.output_count; ++o)
      if (asked[node.output + o - first] == 0) gradients[node.output + o - first] = {};
    if (release) node.vjp.reset();
    record.nodes[n] = std::move(node);
  }

  GradientSums result;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    auto before =
        static_cast<std::size_t>(std::ranges::find(sources, sources[i]) - sources.begin());
    result.places.push_back(before < i ? result.places[before] : result.sums.size());
    if (before == i) result.sums.push_back(std::move(gradients[sources[i] - first]));
  }
  return result;
}

namespace {

std::vector<Tensor> values_of(GradientSums sums, const std::vector<Tensor>& x) {
  std::vector<Tensor> values;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const Tensor& g = sums[i].value();
    values.push_back(g.defined() ? g : zeros_like(x[i]));
  }
  return values;
}

}  // namespace

Tensor GradientTape::gradient(const Tensor& y, const Tensor& x, const Tensor& og) const& {
  return values_of(backward({y}, {x}, {og}, false), {x})[0];
}
std::vector<Tensor> GradientTape::gradient(const Tensor& y, const std::vector<Tensor>& x,
                                           const Tensor& og) const& {
  return values_of(backward({y}, x, {og}, false), x);
}
std::vector<Tensor> GradientTape::gradient(const std::vector<Tensor>& y,
                                           const std::vector<Tensor>& x,
                                           const std::vector<Tensor>& ogs) const& {
  return values_of(backward(y, x, ogs, false), x);
}
Tensor GradientTape::gradient(const Tensor& y, const Tensor& x, const Tensor& og) && {
  return values_of(backward({y}, {x}, {og}, true), {x})[0];
}
std::vector<Tensor> GradientTape::gradient(const Tensor& y, const std::vector<Tensor>& x,
                                           const Tensor& og) && {
  return values_of(backward({y}, x, {og}, true), x);
}
std::vector<Tensor> GradientTape::gradient(const std::vector<Tensor>& y,
                                           const std::vector<Tensor>& x,
                                           const std::vector<Tensor>& ogs) && {
  return values_of(backward(y, x, ogs, true), x);
}

// --- printing

namespace {

std::string variable_text(const Record& record, VariableId id) {
  if (id == 0) return "-";
  return fmt::format("%{} {}", id, record.variables[id].shape);
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const GradientTape& tape) {
  const Record& record = tape.record();
  for (std::size_t n = tape.first_node_; n < record.nodes.size(); ++n) {
    const Node& node = record.nodes[n];
    std::string text;
    for (std::uint32_t o = 0; o < node.output_count; ++o)
      text += (o > 0 ? ", " : "") + variable_text(record, node.output + o);
    text += fmt::format(" = {}(", node.op);
    for (std::uint32_t i = 0; i < node.input_count; ++i)
      text += (i > 0 ? ", " : "") + variable_text(record, record.inputs[node.inputs + i]);
    text += ")";
    if (node.scope != nullptr) text = fmt::format("{:<60}  # {}", text, node.scope);
    out << text << '\n';
  }
  return out;
}

std::string GradientTape::dot() const {
  const Record& record = this->record();
  std::ostringstream out;
  out << "digraph tape {\n  node [shape=box, fontname=Helvetica];\n";
  std::vector<std::size_t> maker(record.variables.size(), 0);  // node number + 1
  for (std::size_t n = first_node_; n < record.nodes.size(); ++n)
    for (std::uint32_t o = 0; o < record.nodes[n].output_count; ++o)
      maker[record.nodes[n].output + o] = n + 1;
  std::vector<bool> drawn(record.variables.size(), false);
  for (std::size_t n = first_node_; n < record.nodes.size(); ++n) {
    const Node& node = record.nodes[n];
    out << fmt::format("  n{} [label=\"{}\\n{}\"];\n", n,
                       node.scope == nullptr ? node.op : fmt::format("{}: {}", node.scope, node.op),
                       record.variables[node.output].shape);
    for (std::uint32_t i = 0; i < node.input_count; ++i) {
      VariableId id = record.inputs[node.inputs + i];
      if (id == 0) continue;
      if (maker[id] != 0) {
        out << fmt::format("  n{} -> n{};\n", maker[id] - 1, n);
        continue;
      }
      if (!drawn[id])
        out << fmt::format("  v{} [label=\"{}\", shape=ellipse];\n", id,
                           record.variables[id].shape);
      drawn[id] = true;
      out << fmt::format("  v{} -> n{};\n", id, n);
    }
  }
  out << "}\n";
  return out.str();
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
