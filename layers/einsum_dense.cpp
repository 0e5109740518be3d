#include <cctype>
#include <map>

#include <keratin/autograd/ops.h>
#include <keratin/layers/einsum_dense.h>
#include <keratin/layers/internal/einsum_equation.h>
#include <keratin/layers/internal/named.h>
#include <keratin/layers/internal/options.h>

namespace keratin {
namespace {

bool all_letters(const std::string& text) {
  for (char c : text)
    if (!std::isalpha(static_cast<unsigned char>(c))) return false;
  return !text.empty();
}

bool contains(const std::string& text, char letter) {
  return text.find(letter) != std::string::npos;
}

// Takes "..." away from the front or the back.
bool cut(std::string& text, bool front) {
  if (!(front ? text.starts_with("...") : text.ends_with("..."))) return false;
  text.erase(front ? 0 : text.size() - 3, 3);
  return true;
}

}  // namespace

EinsumEquation EinsumEquation::parsed(const std::string& text, int rank) {
  const auto comma = text.find(','), arrow = text.find("->");
  auto malformed = [&] {
    fail(
        "equation: expected one such as \"ab,bc->ac\", \"...ab,bc->...ac\" or "
        "\"ab...,bc->ac...\", got \"{}\"",
        text);
  };
  if (comma == std::string::npos || arrow == std::string::npos || arrow < comma) malformed();
  EinsumEquation e{text.substr(0, comma), text.substr(comma + 1, arrow - comma - 1),
                   text.substr(arrow + 2), ""};
  const bool left = cut(e.input, true), right = !left && cut(e.input, false);
  if ((left && !cut(e.output, true)) || (right && !cut(e.output, false))) malformed();
  if (!all_letters(e.input) || !all_letters(e.kernel) || !all_letters(e.output)) malformed();
  for (char c : e.output)
    if (!contains(e.input, c) && !contains(e.kernel, c))
      fail("equation \"{}\": axis {} of the output is neither the input's nor the kernel's", text,
           c);
  for (char c : e.kernel)
    if (!contains(e.input, c) && !contains(e.output, c))
      fail("equation \"{}\": axis {} of the kernel is neither the input's nor the output's", text,
           c);

  const int elided = rank - static_cast<int>(e.input.size());
  if (rank > 0 && (elided < 0 || (elided > 0 && !left && !right)))
    fail("equation \"{}\": expected an input of rank {}{}, got {}", text, e.input.size(),
         left || right ? " or more" : "", rank);
  e.given = left && elided > 0 ? e.output : e.output.substr(1);
  std::string others;
  for (char c = 'A'; static_cast<int>(others.size()) < elided; ++c)
    if (!contains(e.input + e.kernel + e.output, c)) others += c;
  e.input = left ? others + e.input : e.input + others;
  e.output = left ? others + e.output : e.output + others;
  return e;
}

namespace {

using Sizes = std::map<char, std::int64_t>;

// The size of each axis, None where it is not known.
Sizes sizes_of(const EinsumEquation& e, const Shape& input, const Shape& output) {
  Sizes sizes;
  for (int i = 0; i < input.rank(); ++i) sizes[e.input[static_cast<std::size_t>(i)]] = input[i];
  if (output.rank() != static_cast<int>(e.given.size()))
    fail("output_shape: expected sizes of the axes \"{}\", got {}", e.given, output);
  for (int i = 0; i < output.rank(); ++i) {
    const char c = e.given[static_cast<std::size_t>(i)];
    const std::int64_t known = sizes.try_emplace(c, None).first->second;
    if (!may_equal(known, output[i]))
      fail("output_shape: axis {} has {} in {}, but {} in the input {}", c, output[i], output,
           known, input);
    if (known == None) sizes[c] = output[i];
  }
  return sizes;
}

Shape shape_of(const std::string& letters, const Sizes& sizes) {
  Shape shape;
  for (char c : letters) {
    auto found = sizes.find(c);
    shape.push_back(found == sizes.end() ? None : found->second);
  }
  return shape;
}

// Initializers by variance count the axes of the input as what goes in, and those of the output as
// what comes out, wherever they stand.
Initializer between(const Initializer& initializer, double in, double out) {
  const std::string& name = initializer.class_name();
  const bool by_variance = name == "VarianceScaling" || name.starts_with("Glorot") ||
                           name.starts_with("He") || name.starts_with("Lecun");
  if (!by_variance) return initializer;
  const Shape matrix{static_cast<std::int64_t>(in), static_cast<std::int64_t>(out)};
  return Initializer([=](const Shape& shape, DType dtype, Random&) {
    return reshape(initializer(matrix, dtype), shape);
  });
}

}  // namespace

EinsumDense::EinsumDense(const std::string& equation, const Shape& output_shape,
                         const EinsumDenseOptions& options)
    : equation_(equation), output_shape_(output_shape), options_(options) {
  try {
    const EinsumEquation e = EinsumEquation::parsed(equation, 0);
    for (char c : options.bias_axes)
      if (!contains(e.output, c))
        fail("bias_axes: axis {} is not in the output of \"{}\"", c, equation);
  } catch (const std::invalid_argument& error) {
    fail("EinsumDense: {}", error.what());
  }
  apply_common(*this, options);
}

std::vector<Field> EinsumDense::fields() {
  EinsumDenseOptions& o = options_;
  auto shape = [this] { return to_option(output_shape_); };
  auto set_shape = [this](const Option& value) {
    std::int64_t one = 0;
    if (!from_option(value, one)) return from_option(value, output_shape_);
    output_shape_ = {one};
    return true;
  };
  auto axes = [&o] { return o.bias_axes.empty() ? Option() : to_option(o.bias_axes); };
  auto set_axes = [&o](const Option& value) {
    o.bias_axes.clear();
    return value.is_none() || from_option(value, o.bias_axes);
  };
  return {{"output_shape", shape, set_shape},
          {"equation", &equation_},
          {"activation", &o.activation},
          {"bias_axes", axes, set_axes},
          {"kernel_initializer", &o.kernel_initializer},
          {"bias_initializer", &o.bias_initializer},
          {"kernel_regularizer", &o.kernel_regularizer},
          {"bias_regularizer", &o.bias_regularizer},
          {"activity_regularizer", &activity_regularizer()},
          {"kernel_constraint", &o.kernel_constraint},
          {"bias_constraint", &o.bias_constraint},
          Field::fixed("quantization_config", {})};
}

void EinsumDense::build(const Shape& input_shape) {
  const EinsumDenseOptions& o = options_;
  const EinsumEquation e = EinsumEquation::parsed(equation_, input_shape.rank());
  const Sizes sizes = sizes_of(e, input_shape, output_shape_);
  const Shape kernel_shape = shape_of(e.kernel, sizes);
  double in = 1, out = 1;
  for (int i = 0; i < kernel_shape.rank(); ++i) {
    const char c = e.kernel[static_cast<std::size_t>(i)];
    if (kernel_shape[i] == None)
      fail("equation \"{}\": the size of axis {} must be known, got input {} and output_shape {}",
           equation_, c, input_shape, output_shape_);
    (contains(e.output, c) ? out : in) *= static_cast<double>(kernel_shape[i]);
  }
  kernel = add_weight("kernel", kernel_shape, between(o.kernel_initializer, in, out),
                      o.kernel_regularizer, o.kernel_constraint);
  if (o.bias_axes.empty()) return;
  Shape bias_shape;  // from its first axis on, 1 where it has none
  for (char c : e.output) {
    const bool has = contains(o.bias_axes, c);
    if (has && sizes.at(c) == None)
      fail("bias_axes: the size of axis {} must be known, got input {} and output_shape {}", c,
           input_shape, output_shape_);
    if (has || !bias_shape.empty()) bias_shape.push_back(has ? sizes.at(c) : 1);
  }
  bias = add_weight("bias", bias_shape, o.bias_initializer, o.bias_regularizer, o.bias_constraint);
}

Shape EinsumDense::compute_output_shape(const Shape& input_shape) {
  ensure_built(input_shape);
  return named(*this, [&] {
    const EinsumEquation e = EinsumEquation::parsed(equation_, input_shape.rank());
    return shape_of(e.output, sizes_of(e, input_shape, output_shape_));
  });
}

Tensor EinsumDense::call(const Tensor& inputs) {
  const EinsumEquation e = EinsumEquation::parsed(equation_, inputs.rank());
  if (inputs.rank() != input_shape().rank())
    fail("expected an input of rank {}, got {}", input_shape().rank(), inputs.shape());
  Sizes sizes = sizes_of(e, inputs.shape(), output_shape_);
  if (shape_of(e.kernel, sizes) != kernel.shape())
    fail("expected inputs {}, got {}", input_shape(), inputs.shape());
  Tensor y = einsum(e.text(), {inputs, kernel});
  return options_.activation(bias.defined() ? y + bias : y);
}

}  // namespace keratin
