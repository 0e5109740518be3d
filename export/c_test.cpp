// The test at the end of a C file: samples, and what Keratin made of them.

#include <algorithm>
#include <cmath>
#include <map>

#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/random.h>
#include <keratin/export/internal/c_file.h>

namespace keratin::c_export {
namespace {

/// Samples of one size.
struct Batch {
  Tensors inputs, outputs;
  std::vector<std::int64_t> steps = {};
  std::int64_t count() const { return inputs.at(0).size(0); }
};

/// In the order of the names.
Tensors in_order(const Arrays& arrays, const std::vector<std::string>& names, const char* what) {
  Tensors list = arrays.list();
  for (const std::string& name : names)
    for (const auto& [known, value] : arrays.named())
      if (known == name) list.push_back(value);
  if (list.size() != names.size())
    fail("export_c: {}: expected {} arrays, got {}", what, names.size(), list.size());
  return list;
}

/// How many different ids the input may hold: as many as the smallest table that reads it has rows.
std::int64_t ids_of(const ModelPlan& plan, std::size_t input) {
  std::int64_t ids = 0;
  for (const ModelPlan::Call& call : plan.calls)
    if (call.layer->class_name() == "Embedding" && call.inputs.at(0) == input) {
      const auto rows = option<std::int64_t>(call.layer->get_config(), "input_dim");
      ids = ids == 0 ? rows : std::min(ids, rows);
    }
  return ids;
}

/// The value by which the input marks padding, if it goes into a Masking layer.
std::optional<double> padding_of(const ModelPlan& plan, std::size_t input) {
  for (const ModelPlan::Call& call : plan.calls)
    if (call.layer->class_name() == "Masking" && call.inputs.at(0) == input)
      return option<double>(call.layer->get_config(), "mask_value");
  return {};
}

Tensor random_input(Random& random, const ModelPlan& plan, std::size_t input, const Shape& shape) {
  const DType type = plan.values[input].dtype;
  const std::int64_t ids = ids_of(plan, input);
  if (ids > 0) return random.integers(shape, 0, ids).astype(type);
  if (!is_floating(type)) return random.integers(shape, 0, 2).astype(type);
  Tensor x = random.normal(shape, 0, 1, type);
  // The second half of every other sample is padding.
  const std::optional<double> padding = padding_of(plan, input);
  if (padding && shape.rank() > 2)
    for (std::int64_t i = 1; i < shape[0]; i += 2)
      slice(x, {i, range(shape[1] / 2, shape[1])}).assign(*padding);
  return x;
}

/// Random samples with as many steps as there may be, and some with about half as many.
std::vector<Batch> random_batches(const Interface& interface, const Model& model,
                                  const ModelPlan& plan, const COptions& options) {
  Random random(options.seed);
  std::vector<Batch> batches;
  const std::int64_t full = interface.max_steps, half = full / 2 + 1;
  for (std::int64_t steps : {full, half}) {
    if (steps != full && (interface.steps.empty() || steps >= full)) continue;
    Batch batch;
    for (std::size_t input : plan.inputs) {
      Shape shape = plan.values[input].shape.with(0, options.test_samples);
      for (std::int64_t& size : shape)
        if (size == None) size = steps;
      batch.inputs.push_back(random_input(random, plan, input, shape));
    }
    batch.steps.assign(interface.steps.size(), steps);
    try {
      batch.outputs = Tensors(model.predict(batch.inputs));
    } catch (const std::invalid_argument&) {
      if (steps == full) throw;  // half as many may be too few
      continue;
    }
    batches.push_back(batch);
  }
  return batches;
}

std::vector<Batch> given_batch(const Interface& interface, const Model& model,
                               const ModelPlan& plan, const COptions& options) {
  Batch batch{in_order(options.samples, plan.input_names, "samples"), {}};
  for (std::size_t i = 0; i < batch.inputs.size(); ++i) {
    const Shape& expected = plan.values[plan.inputs[i]].shape;
    const Shape& shape = batch.inputs[i].shape();
    bool fits = shape.rank() == expected.rank() && shape[0] == batch.count();
    for (int axis = 1; fits && axis < shape.rank(); ++axis)
      fits = expected[axis] == None ? shape[axis] >= 1 && shape[axis] <= interface.max_steps
                                    : shape[axis] == expected[axis];
    if (!fits)
      fail("export_c: samples: expected {} with at most {} steps, got {}", expected,
           interface.max_steps, shape);
  }
  for (const auto& [input, axis] : interface.step_of)
    batch.steps.push_back(batch.inputs[input].size(axis + 1));
  batch.outputs = options.predictions.empty()
                      ? Tensors(model.predict(batch.inputs))
                      : in_order(options.predictions, plan.output_names, "predictions");
  for (const Tensor& output : batch.outputs)
    if (output.rank() < 1 || output.size(0) != batch.count())
      fail("export_c: predictions: expected {} samples, got {}", batch.count(), output.shape());
  return {batch};
}

std::int64_t per_sample(const Tensor& x) {
  return x.numel() / std::max<std::int64_t>(x.size(0), 1);
}

}  // namespace

std::string test_program(const Interface& interface, const Model& model, const ModelPlan& plan,
                         const COptions& options) {
  const std::vector<Batch> batches = options.samples.empty()
                                         ? random_batches(interface, model, plan, options)
                                         : given_batch(interface, model, plan, options);
  auto array = [&](const std::string& name, const std::function<Tensor(const Batch&)>& choose,
                   DType type) {
    Tensors parts;
    for (const Batch& batch : batches)
      parts.push_back(reshape(choose(batch).to(Device()).astype(type), {-1}));
    const Tensor all = concatenate(parts, 0);
    return fmt::format("static const {} {}[] = {}", type == int32 ? "int" : interface.real_name(),
                       name, braces(all));
  };
  std::string text = fmt::format("#ifdef {}_TEST\n\n#include <stdio.h>\n\n", interface.macro);
  for (std::size_t i = 0; i < interface.inputs.size(); ++i)
    text += array(
        "sample_" + interface.inputs[i].name, [i](const Batch& batch) { return batch.inputs[i]; },
        interface.inputs[i].of_ints ? int32 : interface.real);
  std::vector<std::string> scales;
  for (std::size_t i = 0; i < interface.outputs.size(); ++i) {
    text += array(
        "expected_" + interface.outputs[i].name,
        [i](const Batch& batch) { return batch.outputs[i]; }, interface.real);
    double scale = 0;
    for (const Batch& batch : batches)
      if (batch.outputs[i].numel() > 0)
        scale = std::max(scale, max(abs(batch.outputs[i].to(Device()))).item());
    scales.push_back(literal_of(scale > 0 && std::isfinite(scale) ? scale : 1, float64));
  }
  text += fmt::format(R"c(
/* The largest difference of two arrays; more than any limit where one is not a number. */
static double difference(const {0}* a, const {0}* b, int n) {{
  double largest = 0.0;
  for (int i = 0; i < n; ++i) {{
    const double d = fabs((double)a[i] - (double)b[i]);
    if (!(d <= largest)) largest = d == d ? d : HUGE_VAL;
  }}
  return largest;
}}

int main(void) {{
  static {1}_workspace work;
)c",
                      interface.real_name(), interface.name);
  for (const Argument& output : interface.outputs)
    text += fmt::format("  static {} {}[{}];\n", interface.real_name(), output.name,
                        interface.size_macro(output));
  text += "  double largest = 0.0, d;\n  int status = 0;\n";
  std::map<std::string, std::int64_t> offsets;
  std::int64_t count = 0;
  for (const Batch& batch : batches) {
    text += fmt::format("  for (int i = 0; i < {}; ++i) {{\n    status |= {}_predict(",
                        batch.count(), interface.name);
    auto place = [&](const std::string& name, const Tensor& x) {
      const std::string at = fmt::format("{} + {} + i * {}", name, offsets[name], per_sample(x));
      offsets[name] += x.numel();
      return at;
    };
    for (std::size_t k = 0; k < interface.inputs.size(); ++k)
      text += place("sample_" + interface.inputs[k].name, batch.inputs[k]) + ", ";
    for (std::int64_t steps : batch.steps) text += fmt::format("{}, ", steps);
    for (const Argument& output : interface.outputs) text += output.name + ", ";
    text += "&work);\n";
    for (std::size_t k = 0; k < interface.outputs.size(); ++k) {
      const std::string& name = interface.outputs[k].name;
      const std::int64_t n = per_sample(batch.outputs[k]);
      if (n > product(interface.outputs[k].shape).most)
        fail("export_c: predictions: expected {} numbers of each sample, got {}",
             product(interface.outputs[k].shape).most, n);
      text +=
          fmt::format("    d = difference({}, {}, {}) / {};\n    if (d > largest) largest = d;\n",
                      name, place("expected_" + name, batch.outputs[k]), n, scales[k]);
    }
    text += "  }\n";
    count += batch.count();
  }
  text += fmt::format(
      R"c(  printf("{}: {} samples, largest difference %.3g of the largest number\n", largest);
  return status != 0 || !(largest <= {});
}}

#endif
)c",
      interface.name, count, interface.real == float64 ? "1e-10" : "1e-5");
  return text;
}

}  // namespace keratin::c_export
