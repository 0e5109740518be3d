#include <algorithm>

#include <keratin/autograd/internal/factor.h>

namespace keratin::scan {
namespace {

// a times a mask that has the rows of one step, for the rows of one step or of several.
Tensor times(const Tensor& a, const Tensor& mask) {
  Tensor y = empty(a.shape(), a.dtype(), a.device());
  const std::int64_t n = mask.size(0);
  auto by_step = [&](const Tensor& t) {
    std::int64_t row = t.strides()[0];
    return make_view(t, {t.size(0) / n, n, t.size(1)}, {n * row, row, 1});
  };
  run<fn::Multiply>({by_step(y)}, {by_step(a), mask});
  return y;
}

Tensor transposed_view(const Tensor& x) {
  return make_view(x, {x.size(1), x.size(0)}, {x.strides()[1], x.strides()[0]});
}

}  // namespace

Factor::Factor(const Tensor& matrix, std::size_t masks, std::int64_t rows, std::int64_t products,
               bool transposed) {
  const Kernels& kernels = kernels_of(matrix);
  const auto count = static_cast<std::int64_t>(std::max<std::size_t>(masks, 1));
  width_ = matrix.size(1) / count;
  for (std::int64_t i = 0; i < count; ++i) {
    Piece piece{columns(matrix, i * width_, width_), {}};
    if (transposed) piece.matrix = transposed_view(piece.matrix);
    Shape shape = kernels.packed_shape(piece.matrix, rows, products);
    if (!shape.empty()) {
      piece.packed = empty(shape, matrix.dtype(), matrix.device());
      kernels.pack(piece.packed, piece.matrix);
    }
    pieces_.push_back(std::move(piece));
  }
}

void Factor::Piece::multiply(const Tensor& c, const Tensor& a, const Tensor& bias,
                             bool accumulate) const {
  const Kernels& kernels = kernels_of(c);
  if (packed.defined())
    kernels.packed_gemm(c, a, packed, bias, accumulate);
  else
    kernels.gemm(c, a, matrix, bias, accumulate);
}

void Factor::multiply(const Tensor& c, const Tensor& a, const Tensor& bias, bool accumulate,
                      const Tensors& masks) const {
  if (masks.empty()) return pieces_[0].multiply(c, a, bias, accumulate);
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    const std::int64_t begin = static_cast<std::int64_t>(i) * width_;
    Tensor b = bias.defined() ? make_view(bias, {width_}, {1}, begin) : bias;
    pieces_[i].multiply(columns(c, begin, width_), times(a, masks[i]), b, accumulate);
  }
}

void Factor::multiply_transposed(const Tensor& c, const Tensor& g, bool accumulate,
                                 const Tensors& masks) const {
  if (masks.empty()) return pieces_[0].multiply(c, g, {}, accumulate);
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    Tensor product = empty(c.shape(), c.dtype(), c.device());
    pieces_[i].multiply(product, columns(g, static_cast<std::int64_t>(i) * width_, width_), {},
                        false);
    product = times(product, masks[i]);
    accumulate ? run<fn::Add>({c}, {c, product}) : kernels_of(c).copy(c, product);
    accumulate = true;
  }
}

void factor_gradient(const Tensor& gm, const Tensor& a, const Tensor& g, const Tensors& masks) {
  const std::size_t count = std::max<std::size_t>(masks.size(), 1);
  const std::int64_t width = gm.size(1) / static_cast<std::int64_t>(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t begin = static_cast<std::int64_t>(i) * width;
    kernels_of(gm).gemm(columns(gm, begin, width),
                        transposed_view(masks.empty() ? a : times(a, masks[i])),
                        columns(g, begin, width), {}, false);
  }
}

}  // namespace keratin::scan
