// What the parts of the C export write with: the body of the predict function, the memory that it
// works in, and the weights.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <keratin/core/internal/message.h>
#include <keratin/layers/layer.h>

namespace keratin::c_export {

/// The extent of an axis: a number, or a variable of the C function and the most it can be.
struct Size {
  Size(std::int64_t number) : most(number), text(std::to_string(number)), known(true) {}
  Size(std::int64_t most, std::string variable) : most(most), text(std::move(variable)) {}
  bool operator==(const Size& other) const { return text == other.text; }
  std::int64_t most;
  std::string text;
  bool known = false;
};
/// Without the batch axis.
using Sizes = std::vector<Size>;

/// The product of the sizes from first to behind last.
Size product(const Sizes& sizes, std::size_t first, std::size_t last);
inline Size product(const Sizes& sizes) { return product(sizes, 0, sizes.size()); }
/// All but the last axis as one.
inline Size rows_of(const Sizes& sizes) { return product(sizes, 0, sizes.size() - 1); }

/// Row-major numbers, or flags, of one sample. The memory is free again when nobody refers to it.
struct Array {
  std::string text;  ///< an expression in C: a pointer
  Sizes shape;
  std::shared_ptr<void> memory = {};
};

/// What a layer gives: numbers, and perhaps a mask of their first axes.
struct Value {
  Array numbers;
  std::optional<Array> mask = {};
};
using Values = std::vector<Value>;

class Writer {
 public:
  explicit Writer(DType real) : real_(real) {}

  /// Memory for results, as a pointer of this name.
  Array numbers(const std::string& name, const Sizes& shape);
  Array flags(const std::string& name, const Sizes& shape);
  /// A size that follows from others. With unknown ones among them it becomes a variable of this
  /// name, which the C code checks; `most` is what it is for the most that they can be.
  Size size(const std::string& name, const Sizes& from, std::int64_t most, const std::string& text);

  /// Makes the C code check that two sizes are equal, where that is not known.
  void must_equal(const Size& a, const Size& b);

  /// The weight of the layer that has this name, or of those inside it, as the name of an array; 0
  /// where there is none.
  std::string weight(const Layer& layer, const std::string& name);
  /// An array of constants.
  std::string constant(const std::string& name, const Tensor& values);
  /// An array of int, which may depend on sizes that are not known.
  std::string ints(const std::string& name, const std::vector<std::string>& numbers);
  /// A number as C has it.
  std::string literal(double value) const;

  /// "function(a, b);"
  template <class... Args>
  void call(const char* function, const Args&... args) {
    line(invocation(function, {text(args)...}));
  }
  /// The same, where the function's result, when it is not 0, ends the prediction.
  template <class... Args>
  void checked_call(const char* function, const Args&... args) {
    const std::string call = invocation(function, {text(args)...});
    line("if (" + call.substr(0, call.size() - 1) + ") return 2;");
  }
  void line(const std::string& text);
  /// Between these two lines the code is indented.
  void open(const std::string& text);
  void close();

  /// A name in C that nothing else has.
  std::string unique(const std::string& name);

  DType real() const { return real_; }
  const std::string& body() const { return body_; }
  const std::string& weights() const { return weights_; }
  std::int64_t numbers_needed() const { return numbers_.most; }
  std::int64_t flags_needed() const { return flags_.most; }
  std::int64_t weight_count() const { return weight_count_; }

  std::string path = {};  ///< of the layer at hand, as the names of its results begin

 private:
  /// First fit: a place for `size` where nothing else lies at the time.
  struct Memory {
    std::shared_ptr<void> take(std::int64_t size, std::int64_t& place);
    std::shared_ptr<std::vector<std::pair<std::int64_t, std::int64_t>>> taken =
        std::make_shared<std::vector<std::pair<std::int64_t, std::int64_t>>>();  // from, to
    std::int64_t most = 0;
  };

  static std::string text(const std::string& text) { return text; }
  static std::string text(const char* text) { return text; }
  static std::string text(const Array& array) { return array.text; }
  static std::string text(const Size& size) { return size.text; }
  template <std::integral T>
  static std::string text(T number) {
    return std::to_string(number);
  }
  std::string invocation(const char* function, const std::vector<std::string>& args) const;

  const DType real_;
  std::string body_, weights_;
  int depth_ = 1;
  Memory numbers_, flags_;
  std::int64_t weight_count_ = 0;
  std::vector<std::pair<Weight, std::string>> named_weights_;
  std::vector<std::string> names_;
};

/// Letters, digits and underscores, beginning with a letter.
std::string identifier(const std::string& text);

/// The numbers of an array in braces. A float64 tensor has those of double, any other of float.
std::string braces(const Tensor& values);
std::string literal_of(double value, DType real);

/// The value of an option of the layer's config.
template <class T>
T option(const Config& config, const std::string& name) {
  const Option* found = find_option(config, name);
  T value{};
  if (found == nullptr || !from_option(*found, value))
    fail("the option \"{}\" is not what the export knows", name);
  return value;
}

// --- the layers

/// Writes the call of a layer, and gives its outputs. Throws std::invalid_argument for what it does
/// not know.
using Emitter = std::function<Values(Writer&, const Layer&, const Values& inputs)>;

struct LayerKind {
  const char* class_name;
  Emitter emit;
  bool has_mask_rule = false;  ///< else the mask is passed on where the layer says so
};

/// A few kinds of layers, and the C functions that they call, each behind an empty line.
struct Part {
  std::string functions;
  std::vector<LayerKind> kinds;
};
Part core_part();
Part einsum_part();
Part activation_part();
Part merge_part();
Part normalization_part();
Part window_part();
Part recurrent_part();
Part conv_lstm_part();
Part attention_part();
Part operation_part();

/// The result of an Operation between symbolic tensors.
Values emit_operation(Writer& writer, const Layer& layer, const Values& inputs);

/// The outputs of a layer of any kind, masks included.
Values emit_layer(Writer& writer, const Layer& layer, const Values& inputs);

// --- what several kinds need

/// Applies the activation that is the option of this name to the numbers, in place; the last axis
/// of a "glu" is half as long then. An array for each function that a layer has as an option.
void activate(Writer& writer, Array& numbers, const Config& config,
              const std::string& option = "activation");
/// The name of the C function of an activation.
std::string activation_function(const Config& config, const std::string& option);

/// The axes in another order: axis i of the result is axis order[i].
Array permuted(Writer& writer, const Array& x, const std::vector<std::size_t>& order);
/// With these axes last, and back from there.
Array axes_last(Writer& writer, const Array& x, const std::vector<std::size_t>& axes);
Array axes_back(Writer& writer, const Array& x, const std::vector<std::size_t>& axes);
/// y is made of x by steps along its axes: the product of the sizes behind an axis of x.
Array gathered(Writer& writer, const Array& x, const Sizes& shape,
               const std::vector<std::string>& steps, const std::string& name);
/// Along an axis of the batch; a mask of steps goes along.
Values concatenated(Writer& writer, int axis, const Values& parts);
/// Broadcast to a shape of the same rank.
Array broadcast(Writer& writer, const Array& x, const Sizes& shape);
Array copied(Writer& writer, const Array& x, const std::string& name);
/// The numbers of all values in their common shape; those of fewer axes get some of size 1 in
/// front.
std::vector<Array> alike(Writer& writer, const Values& values);

/// Axes of a batch, counted as in options, as axes of a sample, in order.
std::vector<std::size_t> sample_axes(const std::vector<int>& axes, std::size_t sample_rank);

/// The mask's pointer, or 0. Throws unless it is one of steps.
std::string mask_of_steps(const Value& value);

}  // namespace keratin::c_export
