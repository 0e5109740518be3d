// From the plan of a model to an ONNX file.

#include <keratin/core/internal/message.h>
#include <keratin/export/onnx.h>

#ifdef KERATIN_PROTOBUF
#include <keratin/export/internal/onnx_layers.h>
#include <keratin/export/internal/onnx_writer.h>
#include <keratin/io/file.h>
#include <keratin/layers/call_arguments.h>
#include <keratin/layers/internal/context.h>
#include <keratin/layers/internal/layer_state.h>
#include <keratin/layers/internal/operation.h>
#include <keratin/training/internal/plan.h>
#endif

namespace keratin {

#ifndef KERATIN_PROTOBUF

bool has_onnx() { return false; }
void export_onnx(const Model&, const std::string& path, const OnnxOptions&) {
  fail_io(
      "{}: this build of Keratin cannot write ONNX; build it where libprotobuf-dev and "
      "protobuf-compiler are installed",
      path);
}

#else

namespace onnx {

// --- a call of a layer

namespace {

// What Keras passes in the call is an option here, too.
Config options_of(const Layer& layer) {
  if (auto* operation = dynamic_cast<const Operation*>(&layer)) return operation->attributes();
  Config config = layer.get_config();
  if (auto* calls = dynamic_cast<CallArguments*>(const_cast<Layer*>(&layer)))
    for (const auto& option : config_of(calls->call_fields())) config.push_back(option);
  return config;
}

// A value that has Keras's type for the layer: floats become those that the layer computes with.
Value for_layer(const Layer& layer, const Value& x) {
  return x.defined() && is_floating(x.type) ? cast(x, type_of(layer.dtype())) : x;
}

}  // namespace

Call::Call(Writer& writer, const Layer& layer, Values inputs, Values masks)
    : writer(writer),
      layer(layer),
      inputs(std::move(inputs)),
      masks(std::move(masks)),
      config_(options_of(layer)) {
  this->masks.resize(this->inputs.size());
}

const Option& Call::option(const std::string& name) const {
  const Option* found = find_option(config_, name);
  if (found == nullptr) fail("there is no option {}", name);
  return *found;
}
bool Call::has_option(const std::string& name) const {
  const Option* found = find_option(config_, name);
  return found != nullptr && !found->is_none();
}
bool Call::channels_first() const {
  return has_option("data_format") && option<std::string>("data_format") == "channels_first";
}
std::vector<int> Call::axes() const {
  int one = 0;
  if (!has_option("axis")) return {};
  if (from_option(option("axis"), one)) return {one};
  return option<std::vector<int>>("axis");
}

std::optional<Tensor> Call::weight_tensor(const std::string& name) const {
  for (const Weight& weight : layer.weights())
    if (weight.name() == name) return weight.value();
  return {};
}
Value Call::weight(const std::string& name) const {
  const auto tensor = weight_tensor(name);
  return tensor ? writer.constant(&layer, name, [&] { return *tensor; }) : Value();
}
Value Call::constant(const std::string& name, const std::function<Tensor()>& make) const {
  return writer.constant(&layer, name, make);
}

// --- the walk

namespace {

const Export* find_export(const std::string& class_name) {
  for (const ExportTable* table :
       {&core_exports(), &merge_exports(), &normalization_exports(), &preprocessing_exports(),
        &convolution_exports(), &recurrent_exports(), &attention_exports()})
    if (auto found = table->find(class_name); found != table->end()) return &found->second;
  return nullptr;
}

class Walk {
 public:
  Walk(Writer& writer, const ModelPlan& plan)
      : writer_(writer), plan_(plan), values_(plan.values.size()), masks_(plan.values.size()) {}

  /// The outputs and their masks. What cannot be exported is a line, and a value without a node.
  std::pair<Values, Values> run(const Values& inputs, const Values& masks, std::string& refused) {
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      values_[plan_.inputs[i]] = inputs[i];
      masks_[plan_.inputs[i]] = masks[i];
    }
    const std::string prefix = writer_.scope.empty() ? "" : writer_.scope + "/";
    Swap<std::string> scope(writer_.scope, "");
    for (const ModelPlan::Call& call : plan_.calls) {
      writer_.scope = prefix + call.path;
      Values call_masks = pick(masks_, call.inputs), outputs, output_masks;
      if (call.mask) call_masks[0] = cast(values_[*call.mask], Type::boolean);
      try {
        std::tie(outputs, output_masks) =
            export_layer(writer_, *call.layer, pick(values_, call.inputs), call_masks);
      } catch (const std::invalid_argument& error) {
        refused +=
            fmt::format("\n  {} ({}): {}", writer_.scope, call.layer->class_name(), error.what());
      }
      outputs.resize(call.outputs.size());
      output_masks.resize(call.outputs.size());
      for (std::size_t i = 0; i < outputs.size(); ++i) {
        const ModelPlan::Value& planned = plan_.values[call.outputs[i]];
        if (!outputs[i].defined())
          outputs[i] = {writer_, "", planned.shape, type_of(planned.dtype)};
        outputs[i].shape = planned.shape;
        values_[call.outputs[i]] = outputs[i];
        masks_[call.outputs[i]] = output_masks[i];
      }
    }
    return {pick(values_, plan_.outputs), pick(masks_, plan_.outputs)};
  }

 private:
  static Values pick(const Values& all, const std::vector<std::size_t>& numbers) {
    Values picked;
    for (std::size_t number : numbers) picked.push_back(all[number]);
    return picked;
  }

  Writer& writer_;
  const ModelPlan& plan_;
  Values values_, masks_;  // of the plan
};

}  // namespace

std::pair<Values, Values> export_layer(Writer& writer, const Layer& layer, const Values& inputs,
                                       const Values& masks) {
  if (auto* model = dynamic_cast<const Model*>(&layer)) {
    const ModelPlan plan = plan_to_export("export_onnx", *model);
    std::string refused;
    auto results = Walk(writer, plan).run(inputs, masks, refused);
    if (!refused.empty()) fail("it contains{}", refused);
    return results;
  }
  Values cast_inputs;
  for (const Value& input : inputs) cast_inputs.push_back(for_layer(layer, input));
  const bool is_operation = dynamic_cast<const Operation*>(&layer) != nullptr;
  const Export* found = is_operation ? nullptr : find_export(layer.class_name());
  if (!is_operation && !is_built_in(layer))
    fail("a class of one's own, of which an export knows nothing");
  if (!is_operation && found == nullptr) fail("has no form in ONNX");
  Call call(writer, layer, cast_inputs, masks);
  Values outputs = is_operation ? export_operation(call) : (*found)(call);
  Values output_masks =
      call.output_masks.value_or(!is_operation && layer.supports_masking() ? call.masks : Values());
  output_masks.resize(outputs.size());
  return {outputs, output_masks};
}

}  // namespace onnx

bool has_onnx() { return true; }

void export_onnx(const Model& model, const std::string& path, const OnnxOptions& options) {
  using namespace onnx;
  const ModelPlan plan = plan_to_export("export_onnx", model);
  Writer writer;
  writer.batch_axis = options.batch_axis;
  writer.graph->set_name(model.name());
  Values inputs;
  for (std::size_t i = 0; i < plan.inputs.size(); ++i) {
    const ModelPlan::Value& value = plan.values[plan.inputs[i]];
    inputs.push_back(writer.input(plan.input_names[i], value.shape, type_of(value.dtype)));
  }
  std::string refused;
  const Values outputs = Walk(writer, plan).run(inputs, Values(inputs.size()), refused).first;
  if (!refused.empty())
    fail("export_onnx: {} has layers that ONNX cannot hold:{}", model.name(), refused);
  for (std::size_t i = 0; i < outputs.size(); ++i) writer.output(plan.output_names[i], outputs[i]);
  std::string bytes;
  if (writer.file.ByteSizeLong() > 0x7fffffff || !writer.file.SerializeToString(&bytes))
    fail_io("{}: the model is larger than the 2 GiB that an ONNX file can have", path);
  write_file(path, bytes);
}

#endif

}  // namespace keratin
