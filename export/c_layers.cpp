// Which layers the export knows, and how the calls of a model follow one another.

#include <algorithm>
#include <map>
#include <typeinfo>

#include <keratin/export/internal/c_file.h>
#include <keratin/export/internal/c_writer.h>
#include <keratin/layers/internal/operation.h>
#include <keratin/layers/registry.h>
#include <keratin/training/model.h>

namespace keratin::c_export {

const std::vector<Part>& parts() {
  static const std::vector<Part> all{
      core_part(),   einsum_part(),    activation_part(), merge_part(),     normalization_part(),
      window_part(), recurrent_part(), conv_lstm_part(),  attention_part(), operation_part()};
  return all;
}

namespace {

const LayerKind& kind_of(const Layer& layer) {
  static const LayerKind operation{"Operation", emit_operation, true};
  if (dynamic_cast<const Operation*>(&layer) != nullptr) return operation;
  std::string name = layer.class_name();
  if (name == "GroupedQueryAttention") name = "GroupQueryAttention";  // as Keras names layers
  for (const Part& part : parts())
    for (const LayerKind& kind : part.kinds)
      if (name == kind.class_name) {
        // A class of one's own may have the same name.
        const AnyLayer made = layer_from_config(name, {});
        const Layer& known = *made;
        if (typeid(known) == typeid(layer)) return kind;
      }
  fail("layers of this class are not exported");
}

}  // namespace

Values emit_layer(Writer& writer, const Layer& layer, const Values& inputs) {
  if (auto* model = dynamic_cast<const Model*>(&layer)) {
    const std::string path = writer.path;
    Values out = emit_plan(writer, plan_to_export("export_c", *model), inputs);
    writer.path = path;
    return out;
  }
  const LayerKind& kind = kind_of(layer);
  Values out = kind.emit(writer, layer, inputs);
  if (!kind.has_mask_rule && layer.supports_masking() && inputs.size() == 1)
    for (Value& value : out) value.mask = inputs[0].mask;
  return out;
}

namespace {

std::string shape_text(const Value& value) {
  Shape shape;
  for (const Size& size : value.numbers.shape) shape.push_back(size.known ? size.most : None);
  return shape.str();
}

/// A mask that is an input of the call.
Array given_mask(Writer& writer, const Array& numbers) {
  Array mask = writer.flags("given_mask", numbers.shape);
  writer.call("flags_of", numbers, product(numbers.shape), mask);
  return mask;
}

}  // namespace

Values emit_plan(Writer& writer, const ModelPlan& plan, const Values& inputs) {
  std::map<std::size_t, Value> values;
  for (std::size_t i = 0; i < inputs.size(); ++i) values[plan.inputs[i]] = inputs[i];
  const std::string outside = writer.path.empty() ? "" : writer.path + "/";
  std::vector<std::size_t> last_read(plan.values.size(), 0);
  for (std::size_t i = 0; i < plan.calls.size(); ++i) {
    for (std::size_t value : plan.calls[i].inputs) last_read[value] = i;
    if (plan.calls[i].mask) last_read[*plan.calls[i].mask] = i;
  }
  for (std::size_t value : plan.outputs) last_read[value] = plan.calls.size();

  for (std::size_t i = 0; i < plan.calls.size(); ++i) {
    const ModelPlan::Call& call = plan.calls[i];
    const std::string path = outside + call.path;
    try {
      writer.path = path;
      Values in;
      for (std::size_t value : call.inputs) in.push_back(values.at(value));
      std::string shapes;
      for (const Value& value : in) shapes += (shapes.empty() ? "" : ", ") + shape_text(value);
      writer.line("");
      writer.line(
          fmt::format("/* {} ({}): {} */", comment(path), call.layer->class_name(), shapes));
      if (call.mask) in.at(0).mask = given_mask(writer, values.at(*call.mask).numbers);
      const Values out = emit_layer(writer, *call.layer, in);
      for (std::size_t k = 0; k < call.outputs.size(); ++k) values[call.outputs[k]] = out.at(k);
    } catch (const std::invalid_argument& error) {
      if (std::string(error.what()).starts_with("export_c: ")) throw;
      fail("export_c: {} ({}): {}", path, call.layer->class_name(), error.what());
    }
    std::erase_if(values, [&](const auto& value) {
      return last_read[value.first] <= i &&
             std::ranges::find(plan.outputs, value.first) == plan.outputs.end();
    });
  }
  Values outputs;
  for (std::size_t value : plan.outputs) outputs.push_back(values.at(value));
  return outputs;
}

}  // namespace keratin::c_export
