// EinsumDense: sums of products along axes of one's choice.

#include <map>

#include <keratin/export/internal/c_writer.h>
#include <keratin/layers/internal/einsum_equation.h>

namespace keratin::c_export {
namespace {

constexpr const char* functions = R"c(
/* y[i] += the sum of x kernel over the last `summed` of the axes; the others are those of y. */
static void contract(const float* x, const int* x_steps, const float* kernel,
                     const int* kernel_steps, int rank, int summed, const int* sizes, float* y) {
  int index[16] = {0}, outer = 1, inner = 1;
  for (int a = 0; a < rank; ++a) *(a < rank - summed ? &outer : &inner) *= sizes[a];
  for (int i = 0; i < outer; ++i)
    for (int j = 0; j < inner; ++j) {
      y[i] += *x * *kernel;
      for (int a = rank - 1; a >= 0; --a) {
        x += x_steps[a];
        kernel += kernel_steps[a];
        if (++index[a] < sizes[a]) break;
        x -= index[a] * x_steps[a];
        kernel -= index[a] * kernel_steps[a];
        index[a] = 0;
      }
    }
}
)c";

/// How far apart the elements of an operand are along each axis: 0 where it has no such axis.
class Steps {
 public:
  Steps(const std::string& letters, const Sizes& shape) {
    for (std::size_t i = 0; i < letters.size(); ++i)
      steps_[letters[i]] = product(shape, i + 1, shape.size()).text;
  }
  std::vector<std::string> along(const std::string& axes) const {
    std::vector<std::string> list;
    for (char axis : axes) {
      const auto found = steps_.find(axis);
      list.push_back(found == steps_.end() ? "0" : found->second);
    }
    return list;
  }

 private:
  std::map<char, std::string> steps_;
};

/// Memory of this shape that holds the bias, or zeros.
Array biases(Writer& w, const Layer& layer, const Sizes& shape) {
  const std::vector<Tensor> weights = layer.get_weights();
  if (weights.size() == 1) {
    const Array y = w.numbers("out", shape);
    w.call("fill", w.literal(0), product(shape), y);
    return y;
  }
  Array bias{w.weight(layer, "bias"), Sizes(shape.size(), 1)};
  const int rank = weights[1].rank();
  for (int i = 0; i < rank; ++i) bias.shape[shape.size() - 1 - i] = weights[1].shape()[-1 - i];
  return bias.shape == shape ? copied(w, bias, "out") : broadcast(w, bias, shape);
}

Values emit_einsum_dense(Writer& w, const Layer& layer, const Values& in) {
  const Array& x = in[0].numbers;
  const Config config = layer.get_config();
  EinsumEquation e = EinsumEquation::parsed(option<std::string>(config, "equation"),
                                            static_cast<int>(x.shape.size()) + 1);
  const char batch = e.input[0];
  if (e.output[0] != batch || e.kernel.find(batch) != std::string::npos)
    fail("an equation whose first axis is not the batch is not exported");
  e.input.erase(0, 1);
  e.output.erase(0, 1);

  std::map<char, Size> sizes;
  Sizes kernel_shape;
  const Shape kernel = layer.get_weights()[0].shape();
  for (int i = 0; i < kernel.rank(); ++i) {
    kernel_shape.push_back(kernel[i]);
    sizes.emplace(e.kernel[static_cast<std::size_t>(i)], kernel[i]);
  }
  for (std::size_t i = 0; i < e.input.size(); ++i)
    if (const auto [place, is_new] = sizes.emplace(e.input[i], x.shape[i]); !is_new)
      w.must_equal(place->second, x.shape[i]);
  std::string axes = e.output;  // then those that are summed over
  for (char c : e.input + e.kernel)
    if (axes.find(c) == std::string::npos) axes += c;
  if (axes.size() > 16) fail("an equation of more than 16 axes is not exported");
  Sizes shape;
  std::vector<std::string> texts;
  for (char c : axes) texts.push_back(sizes.at(c).text);
  for (char c : e.output) shape.push_back(sizes.at(c));

  const Array y = biases(w, layer, shape);
  const std::string size_list = w.ints("sizes", texts),
                    x_steps = w.ints("x_steps", Steps(e.input, x.shape).along(axes)),
                    kernel_steps =
                        w.ints("kernel_steps", Steps(e.kernel, kernel_shape).along(axes));
  w.call("contract", x, x_steps, w.weight(layer, "kernel"), kernel_steps, axes.size(),
         axes.size() - e.output.size(), size_list, y);
  Array result = y;
  activate(w, result, config);
  return {{result}};
}

}  // namespace

Part einsum_part() { return {functions, {{"EinsumDense", emit_einsum_dense}}}; }

}  // namespace keratin::c_export
