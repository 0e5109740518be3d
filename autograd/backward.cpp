#include <algorithm>

#include <keratin/autograd/internal/backward_pass.h>
#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>

namespace keratin {

// --- the pass

BackwardPass::BackwardPass(Record& record, std::size_t first_node, const std::vector<Tensor>& y,
                           const std::vector<Tensor>& x,
                           const std::vector<Tensor>& output_gradients)
    : record_(record), first_node_(first_node) {
  find_variables(y, x);
  mark_needed();
  begin_with(y, output_gradients);
}

void BackwardPass::find_variables(const std::vector<Tensor>& y, const std::vector<Tensor>& x) {
  for (std::size_t i = 0; i < y.size(); ++i) {
    if (!is_floating(y[i].dtype()))
      fail("gradient: only floats have gradients, the result holds {}", y[i].dtype());
    VariableId id = record_.variable_of(y[i]);
    if (id == 0)
      fail(
          "gradient: result {} of shape {} was not recorded. It depends on nothing that was "
          "watched, or it was computed before watch, under NoGradient or predict, from integers, "
          "or from "
          "numbers taken out by item or data",
          i, y[i].shape());
    results_.push_back(id);
  }
  first_ = first_node_ < record_.nodes.size() ? record_.nodes[first_node_].output
                                              : static_cast<VariableId>(record_.variables.size());
  for (const Tensor& source : x) {
    if (!source.defined()) fail("gradient: input {} is undefined", sources_.size());
    VariableId id = record_.variable_of(source);
    if (id == 0)
      fail("gradient: input {} of shape {} was not watched when the result was computed",
           sources_.size(), source.shape());
    sources_.push_back(id);
    first_ = std::min(first_, id);
  }
}

// A variable is needed when it depends on one that is asked for. Nodes after the last one that
// depends on a source are skipped.
void BackwardPass::mark_needed() {
  needed_.assign(record_.variables.size() - first_, 0);
  for (VariableId id : sources_) needed_[at(id)] = 1;
  asked_ = needed_;
  last_node_ = first_node_;
  for (std::size_t n = first_node_; n < record_.nodes.size(); ++n) {
    const Node& node = record_.nodes[n];
    bool depends = false;
    for (std::uint32_t i = 0; i < node.input_count; ++i) {
      VariableId id = record_.inputs[node.inputs + i];
      depends |= id >= first_ && id != 0 && needed_[at(id)] != 0;
    }
    if (!depends) continue;
    for (std::uint32_t o = 0; o < node.output_count; ++o) needed_[at(node.output + o)] = 1;
    last_node_ = n + 1;
  }
}

void BackwardPass::begin_with(const std::vector<Tensor>& y,
                              const std::vector<Tensor>& output_gradients) {
  if (!output_gradients.empty() && output_gradients.size() != y.size())
    fail("gradient: {} results, {} output gradients", y.size(), output_gradients.size());
  sums_.resize(needed_.size());
  for (std::size_t i = 0; i < y.size(); ++i) {
    const bool given = !output_gradients.empty() && output_gradients[i].defined();
    Tensor g = given ? output_gradients[i].astype(y[i].dtype()).to(y[i].device()) : ones_like(y[i]);
    if (g.shape() != y[i].shape())
      fail("gradient: the output gradient has shape {}, the result {}", g.shape(), y[i].shape());
    if (results_[i] >= first_) sums_[at(results_[i])].add(g);
  }
}

void BackwardPass::run(bool last) {
  Backward backward;
  backward.record_ = &record_;
  backward.gradients_ = &sums_;
  backward.needed_ = &needed_;
  backward.first_ = first_;
  backward.last_ = last;
  for (std::size_t n = last_node_; n-- > first_node_;) {
    // A tape that records this pass appends to the list: hold no reference into it.
    Node node = std::move(record_.nodes[n]);
    try {
      visit(node, backward);
    } catch (const std::invalid_argument& error) {
      std::string message = fmt::format("gradient of {}: {}", node.op, error.what());
      record_.nodes[n] = std::move(node);
      fail("{}", message);
    } catch (...) {
      record_.nodes[n] = std::move(node);
      throw;
    }
    if (last) node.vjp.reset();
    record_.nodes[n] = std::move(node);
  }
}

void BackwardPass::visit(Node& node, Backward& backward) {
  backward.node_ = &node;
  bool wanted = false, reached = false;
  for (std::uint32_t i = 0; i < node.input_count; ++i) wanted |= backward.wants(i);
  for (std::uint32_t o = 0; o < node.output_count; ++o)
    reached |= needed_[at(node.output + o)] != 0 && sums_[at(node.output + o)].defined();
  if (wanted && reached) {
    if (!node.vjp) fail("the tape is already computing a gradient");
    node.vjp(backward);
  }
  for (std::uint32_t o = 0; o < node.output_count; ++o)
    if (asked_[at(node.output + o)] == 0) sums_[at(node.output + o)] = {};
}

// For the tapes that record this pass a gradient may be a constant. It is recorded as one, so that
// its derivative is zero instead of an error.
std::vector<Tensor> BackwardPass::gradients(const std::vector<Tensor>& x) const {
  std::vector<Tensor> values;
  for (std::size_t i = 0; i < x.size(); ++i) {
    Tensor g = sums_[at(sources_[i])].value();
    if (!g.defined()) g = zeros_like(x[i]);
    if (recording != nullptr && recording->variable_of(g) == 0) {
      g = make_view(g, g.shape(), g.strides());
      recording->append("constant", recording->inputs.size(), {&g, 1}, {});
    }
    values.push_back(g);
  }
  return values;
}

// --- the pass as a node sees it

const Tensor& Backward::output_gradient(std::uint32_t output) const {
  return sum_of(node_->output + output).value();
}

Tensor Backward::output_gradient_or_zeros(std::uint32_t output) const {
  const Tensor& g = output_gradient(output);
  const Variable& variable = record_->variables[node_->output + output];
  return g.defined() ? g : zeros(variable.shape, variable.dtype, variable.device);
}

bool Backward::wants(std::uint32_t i) const {
  VariableId id = input(i);
  return id >= first_ && id != 0 && (*needed_)[id - first_] != 0;
}

void Backward::add(std::uint32_t i, const Tensor& gradient) {
  if (!wants(i)) return;
  const VariableId id = input(i);
  const Variable& as = record_->variables[id];
  if (gradient.dtype() == as.dtype && gradient.shape() == as.shape &&
      gradient.device() == as.device)
    return sum_of(id).add(gradient);
  const Variable variable = as;  // a copy: a tape that records this may move the list
  if (broadcast_shapes(gradient.shape(), variable.shape, "gradient") != gradient.shape())
    fail("expected a gradient of shape {} for input {}, got {}", variable.shape, i,
         gradient.shape());
  sum_of(id).add(sum_to(gradient, variable.shape).astype(variable.dtype).to(variable.device));
}

}  // namespace keratin
