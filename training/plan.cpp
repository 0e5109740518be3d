// Models opened into the calls of their layers.

#include <map>

#include <keratin/core/internal/message.h>
#include <keratin/layers/core_layers.h>
#include <keratin/layers/internal/layer_state.h>
#include <keratin/training/internal/graph.h>
#include <keratin/training/internal/plan.h>
#include <keratin/training/internal/saving.h>

namespace keratin {

/// Opens the models: each value of a graph is one of the plan, and those that go into a model
/// inside are its inputs there.
class Planner {
 public:
  Planner(const char* who, bool refuses_own) : who_(who), refuses_own_(refuses_own) {}

  std::vector<std::size_t> open(const Model& model, const std::string& prefix,
                                const std::vector<std::size_t>& inputs) {
    const ModelGraph& graph = graph_of(model);
    std::map<std::size_t, std::size_t> numbers;  // of the graph's values in the plan
    for (std::size_t i = 0; i < inputs.size(); ++i) numbers[graph.input_values()[i]] = inputs[i];
    auto numbers_of = [&](const std::vector<std::size_t>& values) {
      std::vector<std::size_t> list;
      for (std::size_t value : values) list.push_back(numbers.at(value));
      return list;
    };
    const std::vector<AnyLayer>& layers = model.sublayers();
    for (const ModelGraph::Call& call : graph.calls()) {
      const Layer& layer = *layers[call.layer];
      const std::string path = prefix + layer.name();
      std::vector<std::size_t> outputs;
      if (auto* inner = dynamic_cast<const Model*>(&layer)) {
        if (call.mask)
          fail("{}: {} ({}): a model inside is called with a mask of its own", who_, path,
               layer.class_name());
        outputs = open(*inner, path + "/", numbers_of(call.inputs));
      } else if (dynamic_cast<const InputLayer*>(&layer) != nullptr) {
        outputs = numbers_of(call.inputs);  // inside a Sequential it passes its input on
      } else {
        for (std::size_t value : call.outputs)
          outputs.push_back(add(layer.name(), graph.value(value)));
        plan.calls.push_back(
            {.layer = &layer, .path = path, .inputs = numbers_of(call.inputs), .outputs = outputs});
        if (call.mask) plan.calls.back().mask = numbers.at(*call.mask);
      }
      for (std::size_t i = 0; i < call.outputs.size(); ++i) numbers[call.outputs[i]] = outputs[i];
    }
    return numbers_of(graph.output_values());
  }

  std::size_t add(const std::string& name, const SymbolicTensor& tensor) {
    plan.values.push_back({name, tensor.shape(), tensor.dtype()});
    return plan.values.size() - 1;
  }

  const ModelGraph& graph_of(const Model& model) const {
    const ModelGraph& graph = model.graph();
    if (graph.empty())
      fail(
          "{}: {} ({}) is neither a Sequential nor made of symbolic tensors, so that its layers "
          "are not known",
          who_, model.name(), model.class_name());
    if (refuses_own_ && !is_built_in(model))
      fail(
          "{}: {} ({}): a class of one's own may do more than call its layers; Sequential(model) "
          "or Model(model) is a copy that does no more",
          who_, model.name(), model.class_name());
    return graph;
  }

  ModelPlan plan = {};

 private:
  const char* who_;
  bool refuses_own_;
};

namespace {

ModelPlan planned(const Model& model, const char* who, bool refuses_own) {
  check_built(who, model);
  Planner planner(who, refuses_own);
  const ModelGraph& graph = planner.graph_of(model);
  ModelPlan& plan = planner.plan;
  plan.input_names = graph.input_names();
  plan.output_names = graph.output_names();
  for (std::size_t i = 0; i < graph.inputs().size(); ++i)
    plan.inputs.push_back(planner.add(plan.input_names[i], graph.inputs()[i]));
  plan.outputs = planner.open(model, "", plan.inputs);
  return std::move(plan);
}

}  // namespace

ModelPlan plan_of(const char* who, const Model& model) { return planned(model, who, false); }
ModelPlan plan_to_export(const char* who, const Model& model) { return planned(model, who, true); }

}  // namespace keratin
