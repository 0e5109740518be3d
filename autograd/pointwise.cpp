// Runs a user's scalar function over tensors, block by block.

#include <keratin/autograd/internal/pointwise_op.h>
#include <keratin/autograd/pointwise.h>
#include <keratin/core/cpu/kernel_table.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/parallel.h>

namespace keratin {

namespace fn {
namespace {

Pointwise id_of(BlockFunction function) {
  switch (function) {
    case BlockFunction::abs:
      return Pointwise::Abs;
    case BlockFunction::ceil:
      return Pointwise::Ceil;
    case BlockFunction::cos:
      return Pointwise::Cos;
    case BlockFunction::erf:
      return Pointwise::Erf;
    case BlockFunction::exp:
      return Pointwise::Exp;
    case BlockFunction::expm1:
      return Pointwise::Expm1;
    case BlockFunction::floor:
      return Pointwise::Floor;
    case BlockFunction::log:
      return Pointwise::Log;
    case BlockFunction::log1p:
      return Pointwise::Log1p;
    case BlockFunction::round:
      return Pointwise::Round;
    case BlockFunction::sigmoid:
      return Pointwise::Sigmoid;
    case BlockFunction::sign:
      return Pointwise::Sign;
    case BlockFunction::sin:
      return Pointwise::Sin;
    case BlockFunction::sqrt:
      return Pointwise::Sqrt;
    case BlockFunction::tanh:
      return Pointwise::Tanh;
    case BlockFunction::power:
      return Pointwise::Power;
    case BlockFunction::maximum:
      return Pointwise::Maximum;
    case BlockFunction::minimum:
      return Pointwise::Minimum;
  }
  return Pointwise::Abs;
}

template <class T>
void run(const cpu::KernelTable& table, BlockFunction function, T* y, const T* x, const T* z,
         int n) {
  Loop loop;
  loop.rank = 1;
  loop.operands = 3;
  loop.size[0] = n;
  const void* data[] = {y, x, z};
  for (int k = 0; k < 3; ++k) {
    loop.data[k] = static_cast<char*>(const_cast<void*>(data[k]));
    loop.stride[k][0] = 1;
  }
  char no_state = 0;  // none of these functors has any
  table.forward[static_cast<int>(id_of(function))](loop, &no_state);
}

}  // namespace

void run_block(BlockFunction function, float* y, const float* x, const float* z, int n) {
  run(cpu::float32_table(), function, y, x, z, n);
}
void run_block(BlockFunction function, double* y, const double* x, const double* z, int n) {
  run(cpu::float64_table, function, y, x, z, n);
}

}  // namespace fn

namespace pointwise_detail {
namespace {

constexpr std::int64_t width = fn::Lanes<float>::width;

// Calls block(inputs, position, count) for each run of `width` elements of dense operands; the last
// one is filled up with copies of its own first element.
template <class T, class Block>
void for_blocks(const std::vector<Tensor>& operands, const Block& block) {
  std::int64_t n = operands[0].numel();
  std::size_t count = operands.size();
  parallel_for((n + width - 1) / width, n / 4096, [&](std::int64_t begin, std::int64_t end) {
    std::vector<std::array<T, width>> filled(count);
    std::vector<const T*> at(count);
    for (std::int64_t b = begin; b < end; ++b) {
      std::int64_t first = b * width, live = std::min(width, n - first);
      for (std::size_t k = 0; k < count; ++k) {
        const T* p = raw<T>(operands[k]) + first;
        if (live < width) {
          filled[k].fill(p[0]);
          std::copy_n(p, live, filled[k].begin());
          p = filled[k].data();
        }
        at[k] = p;
      }
      block(at.data(), first, live);
    }
  });
}

struct Vjp {
  Erased f;
  std::vector<Saved> x;  // of the output's shape, dense

  void operator()(Backward& backward) const {
    const Tensor& g = backward.output_gradient(0);
    std::vector<Tensor> operands;
    for (const Saved& input : x) operands.push_back(*input);
    for (std::uint32_t i = 0; i < x.size(); ++i) {
      if (!backward.wants(i)) continue;
      if (recording != nullptr)
        backward.add(i, f.composed(static_cast<int>(i), operands.data(), g));
      else
        backward.add(i, g.dtype() == float64 ? fused<double>(operands, g, i, f.gradient64)
                                             : fused<float>(operands, g, i, f.gradient32));
    }
  }

  template <class T, class Gradient>
  static Tensor fused(std::vector<Tensor> operands, const Tensor& g, std::uint32_t i,
                      const Gradient& gradient) {
    Tensor gx = empty(g.shape(), g.dtype(), Device());
    operands.push_back(contiguous(g));
    for_blocks<T>(operands, [&](const T* const* at, std::int64_t first, std::int64_t live) {
      std::array<T, width> y;
      gradient(y.data(), static_cast<int>(i), at, at[operands.size() - 1]);
      std::copy_n(y.begin(), live, raw<T>(gx) + first);
    });
    return gx;
  }
};

}  // namespace

Tensor run(Erased f, const std::vector<Tensor>& inputs) {
  FlushDenormals guard;
  DType dtype = common_dtype(inputs, /*real=*/true);
  Shape shape;
  for (const Tensor& input : inputs) shape = broadcast_shapes(shape, input.shape(), "pointwise");
  std::vector<Tensor> x;
  if (!device_of(inputs).is_cpu()) {
    for (const Tensor& input : inputs) x.push_back(input.astype(dtype));
    return broadcast_to(f.on_tensors(x.data()), shape);
  }
  for (const Tensor& input : inputs) {
    Tensor full = broadcast_to(input.astype(dtype), shape);
    x.push_back(full.is_contiguous() ? full : full.copy());
  }
  Tensor y = empty(shape, dtype, Device());
  auto compute = [&]<class T>(T, const auto& forward) {
    for_blocks<T>(x, [&](const T* const* at, std::int64_t first, std::int64_t live) {
      std::array<T, width> block;
      forward(block.data(), at);
      std::copy_n(block.begin(), live, raw<T>(y) + first);
    });
  };
  if (dtype == float64)
    compute(double{}, f.forward64);
  else
    compute(float{}, f.forward32);
  if (follows(x)) {
    Vjp vjp{std::move(f), {}};
    for (const Tensor& input : x) vjp.x.push_back(save(input));
    record_node("pointwise", x, {&y, 1}, std::move(vjp));
  }
  return y;
}

}  // namespace pointwise_detail
}  // namespace keratin
