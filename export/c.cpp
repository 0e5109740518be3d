// A model as a C file: the interface at its head, then weights, functions and the prediction.

#include <algorithm>
#include <cctype>
#include <filesystem>

#include <keratin/export/internal/c_file.h>
#include <keratin/io/file.h>

namespace keratin {
namespace c_export {

std::string Interface::size_macro(const Argument& argument) const {
  std::string name = argument.name;
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::toupper(c); });
  return macro + "_" + name + "_SIZE";
}

namespace {

/// float64 if any layer computes in it.
DType real_of(const ModelPlan& plan) {
  for (const ModelPlan::Call& call : plan.calls)
    if (call.layer->dtype() == float64) return float64;
  return float32;
}

std::string name_for(const std::string& path, const COptions& options) {
  if (options.name.empty()) return identifier(std::filesystem::path(path).stem().string());
  if (identifier(options.name) != options.name)
    fail("export_c: expected a name of letters, digits and single underscores, got \"{}\"",
         options.name);
  return options.name;
}

/// x, or of several x_NAME.
std::vector<std::string> argument_names(Writer& writer, const std::string& letter,
                                        const std::vector<std::string>& names) {
  if (names.size() == 1) return {writer.unique(letter)};
  std::vector<std::string> list;
  for (const std::string& name : names)
    list.push_back(writer.unique(letter + "_" + identifier(name)));
  return list;
}

/// The inputs, whose sizes that are None become arguments.
void set_inputs(Interface& interface, Writer& writer, const ModelPlan& plan,
                const COptions& options) {
  const std::vector<std::string> names = argument_names(writer, "x", plan.input_names);
  int unknown = 0;
  for (std::size_t input : plan.inputs) {
    const Shape& shape = plan.values[input].shape;
    unknown += static_cast<int>(std::count(shape.begin() + 1, shape.end(), None));
  }
  for (std::size_t i = 0; i < plan.inputs.size(); ++i) {
    const ModelPlan::Value& value = plan.values[plan.inputs[i]];
    Argument argument{names[i], plan.input_names[i], {}, !is_floating(value.dtype)};
    for (int axis = 1; axis < value.shape.rank(); ++axis) {
      if (value.shape[axis] != None) {
        argument.shape.push_back(value.shape[axis]);
        continue;
      }
      if (options.max_steps < 1)
        fail(
            "export_c: the input \"{}\" {} has an axis of unknown size: give max_steps, the "
            "largest "
            "it may be",
            plan.input_names[i], value.shape);
      const std::string steps =
          writer.unique(unknown == 1 ? "steps" : fmt::format("steps_{}", interface.steps.size()));
      interface.steps.push_back(steps);
      interface.step_of.emplace_back(i, axis - 1);
      argument.shape.push_back({options.max_steps, steps});
    }
    interface.inputs.push_back(argument);
  }
}

/// The whole of the prediction's body. Sets the outputs.
void write_body(Interface& interface, Writer& writer, const ModelPlan& plan) {
  for (const std::string& steps : interface.steps)
    writer.line(
        fmt::format("if ({0} < 1 || {0} > {1}_MAX_STEPS) return 1;", steps, interface.macro));
  writer.line("(void)work;");
  Values inputs;
  for (const Argument& argument : interface.inputs) {
    writer.line(fmt::format("(void){};", argument.name));  // a model may read none of it
    Array x{argument.name, argument.shape};
    if (argument.of_ints) {
      writer.path = argument.name;
      const Array numbers = writer.numbers("numbers", argument.shape);
      writer.call("from_ints", x, product(x.shape), numbers);
      x = numbers;
    }
    inputs.push_back({x});
  }
  writer.path.clear();
  const Values outputs = emit_plan(writer, plan, inputs);
  const std::vector<std::string> names = argument_names(writer, "y", plan.output_names);
  writer.line("");
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const Array& y = outputs[i].numbers;
    interface.outputs.push_back({names[i], plan.output_names[i], y.shape});
    writer.call("copy", y, product(y.shape), names[i]);
  }
  writer.line("return 0;");
}

std::string shape_text(const Sizes& shape) {
  std::string text;
  for (const Size& size : shape)
    text += (text.empty() ? "" : ", ") + (size.known ? size.text : "steps");
  return "(" + text + (shape.size() == 1 ? ",)" : ")");
}

/// "int NAME_predict(const float* x, ...)", in lines.
std::string signature(const Interface& interface) {
  std::vector<std::string> parts;
  for (const Argument& input : interface.inputs)
    parts.push_back(
        fmt::format("const {}* {},", input.of_ints ? "int" : interface.real_name(), input.name));
  for (const std::string& steps : interface.steps) parts.push_back("int " + steps + ",");
  for (const Argument& output : interface.outputs)
    parts.push_back(fmt::format("{}* {},", interface.real_name(), output.name));
  parts.push_back(interface.name + "_workspace* work)");
  std::string text, line = "int " + interface.name + "_predict(";
  const std::string indent(line.size(), ' ');
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0 && line.size() + parts[i].size() > 98) {
      text += line + "\n";
      line = indent;
    } else if (i > 0) {
      line += ' ';
    }
    line += parts[i];
  }
  return text + line;
}

/// How the file is used.
std::string head(const Interface& interface, const Model& model, const Writer& writer) {
  std::string text = fmt::format("/* The model \"{}\" in C99, made by Keratin: {} weights.\n",
                                 comment(model.name()), writer.weight_count());
  auto describe = [&](const Argument& argument, const char* what) {
    text += fmt::format(
        "     {}: {}{}{}, row-major, at most {} numbers\n", argument.name,
        argument.of_ints ? "whole numbers " : "", shape_text(argument.shape),
        argument.name.size() == 1 ? "" : fmt::format(", {} \"{}\"", what, comment(argument.text)),
        interface.size_macro(argument));
  };
  text += "\n   One call predicts one sample:\n\n";
  for (const Argument& input : interface.inputs) describe(input, "the input");
  for (const std::string& steps : interface.steps)
    text += fmt::format("     {}: the size of an axis, from 1 to {}_MAX_STEPS\n", steps,
                        interface.macro);
  for (const Argument& output : interface.outputs) describe(output, "the output");
  text += fmt::format(
      "     work: memory for the call; each thread needs its own. Nothing in it need be set.\n\n"
      "   It returns 0; or 1 where a size is out of range, and 2 where an id has no row in a\n"
      "   table. Then what is in the outputs means nothing.\n\n"
      "     static {0}_workspace work;\n",
      interface.name);
  std::string arguments;
  for (const Argument& input : interface.inputs) {
    text += fmt::format("     {} {}[{}];\n", input.of_ints ? "int" : interface.real_name(),
                        input.name, interface.size_macro(input));
    arguments += input.name + ", ";
  }
  for (const std::string& steps : interface.steps) arguments += steps + ", ";
  for (const Argument& output : interface.outputs) {
    text += fmt::format("     {} {}[{}];\n", interface.real_name(), output.name,
                        interface.size_macro(output));
    arguments += output.name + ", ";
  }
  text += fmt::format(
      "     if ({0}_predict({1}&work) != 0) ...\n\n"
      "   A source file that calls it includes this one after #define {2}_INTERFACE, which leaves\n"
      "   out all but the declarations. With -D{2}_TEST the file is a program that compares some\n"
      "   predictions with those it was made with. */\n\n",
      interface.name, arguments, interface.macro);
  return text;
}

std::string declarations(const Interface& interface, const Writer& writer) {
  std::string text;
  if (!interface.steps.empty())
    text += fmt::format("#define {}_MAX_STEPS {}\n", interface.macro, interface.max_steps);
  for (const auto* arguments : {&interface.inputs, &interface.outputs})
    for (const Argument& argument : *arguments)
      text += fmt::format("#define {} {}\n", interface.size_macro(argument),
                          std::max<std::int64_t>(product(argument.shape).most, 1));
  text += fmt::format(R"c(
typedef struct {{
  {} numbers[{}];
  unsigned char flags[{}];
}} {}_workspace;

#ifdef __cplusplus
extern "C" {{
#endif
{};
#ifdef __cplusplus
}}
#endif
)c",
                      interface.real_name(), std::max<std::int64_t>(writer.numbers_needed(), 1),
                      std::max<std::int64_t>(writer.flags_needed(), 1), interface.name,
                      signature(interface));
  return text;
}

std::string c_file(const Model& model, const std::string& name, const COptions& options) {
  const ModelPlan plan = plan_to_export("export_c", model);
  Interface interface { name, name, real_of(plan), {}, {}, {}, {}, options.max_steps };
  for (char& c : interface.macro)
    c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  Writer writer(interface.real);
  for (const std::string& taken : function_names()) writer.unique(taken);
  for (const char* taken : {"work", "main", "difference"}) writer.unique(taken);
  set_inputs(interface, writer, plan, options);
  write_body(interface, writer, plan);
  std::string code = functions_for(writer.body()) +
                     fmt::format("{} {{\n{}}}\n", signature(interface), writer.body());
  if (interface.real == float64) code = in_double(code);
  return head(interface, model, writer) +
         fmt::format("#ifndef {0}_DECLARED\n#define {0}_DECLARED\n\n", interface.macro) +
         declarations(interface, writer) +
         fmt::format("\n#endif\n\n#ifndef {}_INTERFACE\n\n#include <math.h>\n\n", interface.macro) +
         writer.weights() + "\n" + code + "\n" + test_program(interface, model, plan, options) +
         "\n#endif\n";
}

}  // namespace
}  // namespace c_export

void export_c(const Model& model, const std::string& path, const COptions& options) {
  if (options.max_steps < 0)
    fail("export_c: expected max_steps of at least 1, got {}", options.max_steps);
  if (options.test_samples < 1)
    fail("export_c: expected test_samples of at least 1, got {}", options.test_samples);
  write_file(path, c_export::c_file(model, c_export::name_for(path, options), options));
}

}  // namespace keratin
