// Products of matrices, and what is made of them.

#include <algorithm>

#include <keratin/autograd/internal/pointwise_op.h>
#include <keratin/autograd/internal/record.h>
#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/kernels.h>

namespace keratin {
namespace {

Tensor readable(const Tensor& x) { return is_blas_matrix(x) ? x : x.copy(); }

Tensor flipped(const Tensor& x) { return swapaxes(x, -2, -1); }

std::array<Tensor, 2> float_operands(const Tensor& a, const Tensor& b) {
  DType dtype = promote(a.dtype(), b.dtype());
  if (!is_floating(dtype)) dtype = floatx();
  return {a.astype(dtype), b.astype(dtype)};
}

// (m, k) . (k, n) + bias, which may be undefined. With respect to a factor: the gradient times the
// other, transposed.
Tensor matrix_product(const char* name, const Tensor& a, const Tensor& b, const Tensor& bias) {
  Tensor x = readable(a), y = readable(b);
  Tensor z = empty({x.size(0), y.size(1)}, x.dtype(), device_of({x, y, bias}));
  kernels_of(z).gemm(z, x, y, bias.defined() ? contiguous(bias) : bias, false);
  auto of_x = [y = save(y)](const Tensor& g) { return matmul(g, flipped(*y)); };
  auto of_y = [x = save(x)](const Tensor& g) { return matmul(flipped(*x), g); };
  if (!bias.defined()) return record(name, z, wrt(x, of_x), wrt(y, of_y));
  return record(name, z, wrt(x, of_x), wrt(y, of_y), wrt(bias, [](const Tensor& g) { return g; }));
}

// The gradient of a factor x (batch, rows, columns): a . b, laid out in memory as x is, so that it
// can be added to other gradients of x row by row.
Tensor batched_gradient(const Tensor& x, const Tensor& a, const Tensor& b) {
  if (recording != nullptr) return matmul(a, b);
  const Tensor operands[] = {x, a, b};
  Tensor g = empty_in_order(x.shape(), x.dtype(), operands);
  kernels_of(g).batched_gemm(g, readable(a), readable(b));
  return g;
}

// (batch, m, k) . (batch, k, n)
Tensor batched_product(const Tensor& a, const Tensor& b) {
  Tensor x = readable(a), y = readable(b);
  Tensor z = empty({x.size(0), x.size(1), y.size(2)}, x.dtype(), device_of({x, y}));
  kernels_of(z).batched_gemm(z, x, y);
  // The gradient of x needs only the layout of x, whose values may be overwritten meanwhile; and
  // that of y likewise.
  auto of_x = [x, y = save(y)](const Tensor& g) { return batched_gradient(x, g, flipped(*y)); };
  auto of_y = [x = save(x), y](const Tensor& g) { return batched_gradient(y, flipped(*x), g); };
  return record("matmul", z, wrt(x, of_x), wrt(y, of_y));
}

Tensor tall_product(const char* name, const Tensor& a, const Tensor& b, const Tensor& bias) {
  auto [x, y] = float_operands(a, b);
  int contracted = y.rank() == 1 ? 0 : y.rank() - 2;
  std::int64_t k = y.shape()[contracted];
  if (x.size(-1) != k)
    fail("{}: expected the last axis of {} to match axis {} of {}", name, x.shape(), contracted,
         y.shape());
  Shape shape = x.shape().without(-1);
  std::int64_t m = shape.numel();
  for (std::int64_t extent : y.shape().without(contracted)) shape.push_back(extent);
  if (y.rank() > 2) y = moveaxis(y, contracted, 0);
  std::int64_t n = y.numel() / std::max<std::int64_t>(k, 1);
  if (k == 0) n = y.shape().without(0).numel();
  if (y.rank() != 2) y = reshape(y, {k, n});
  // Rows that are not in row-major order in memory are multiplied in the order they have.
  if (x.rank() > 2 && y.rank() == 2 && !x.is_contiguous()) {
    MemoryOrder order = memory_order(x);
    if (order.dense && order.axes.back() == x.rank() - 1) {
      Tensor z = transpose(tall_product(name, transpose(x, order.axes), y, bias), order.position);
      return z.shape() == shape ? z : reshape(z, shape);
    }
  }
  if (x.rank() != 2) x = reshape(x, {m, k});
  Tensor z = matrix_product(name, x, y, bias);
  return z.shape() == shape ? z : reshape(z, shape);
}

}  // namespace

Tensor dot(const Tensor& a, const Tensor& b) {
  if (a.rank() == 0 || b.rank() == 0) return a * b;
  return tall_product("dot", a, b, {});
}

Tensor linear(const Tensor& x, const Tensor& kernel, const Tensor& bias) {
  if (x.rank() == 0 || kernel.rank() != 2)
    fail("linear: expected x (..., k) and a kernel (k, n), got {} and {}", x.shape(),
         kernel.shape());
  if (bias.shape() != Shape{kernel.size(1)})
    fail("linear: expected a bias of shape {}, got {}", Shape{kernel.size(1)}, bias.shape());
  DType dtype = promote(promote(x.dtype(), kernel.dtype()), bias.dtype());
  if (!is_floating(dtype)) dtype = floatx();
  return tall_product("linear", x.astype(dtype), kernel, bias.astype(dtype));
}

Tensor matmul(const Tensor& a, const Tensor& b) {
  if (a.rank() == 0 || b.rank() == 0)
    fail("matmul: expected rank 1 or more, got {} and {}", a.shape(), b.shape());
  auto [x, y] = float_operands(a, b);
  bool row = x.rank() == 1, column = y.rank() == 1;
  if (row) x = expand_dims(x, 0);
  if (column) y = expand_dims(y, 1);
  if (x.size(-1) != y.size(-2))
    fail("matmul: expected the last axis of {} to match the last but one of {}", a.shape(),
         b.shape());
  Tensor z;
  if (x.rank() == 2 && y.rank() == 2) {
    z = matrix_product("matmul", x, y, {});
  } else if (y.rank() == 2) {
    z = dot(x, y);  // one tall product
  } else {
    Shape batch_x = x.shape(), batch_y = y.shape();
    for (int i = 0; i < 2; ++i) batch_x = batch_x.without(-1), batch_y = batch_y.without(-1);
    Shape batch = broadcast_shapes(batch_x, batch_y, "matmul");
    auto stacked = [&](const Tensor& t) {
      Shape full = batch;
      full.push_back(t.size(-2));
      full.push_back(t.size(-1));
      return reshape(broadcast_to(t, full), {batch.numel(), t.size(-2), t.size(-1)});
    };
    Shape shape = batch;
    shape.push_back(x.size(-2));
    shape.push_back(y.size(-1));
    z = reshape(batched_product(stacked(x), stacked(y)), shape);
  }
  if (row) z = squeeze(z, -2);
  if (column) z = squeeze(z, -1);
  return z;
}

Tensor einsum(std::string_view equation, const std::vector<Tensor>& operands) {
  std::string text;
  for (char c : equation)
    if (c != ' ') text += c;
  auto bad = [&](const char* rule) { fail("einsum: \"{}\": {}", equation, rule); };
  if (operands.empty() || operands.size() > 2) bad("expected one or two operands");
  auto arrow = text.find("->");
  if (arrow == std::string::npos) bad("expected inputs -> output");
  std::string output = text.substr(arrow + 2), left = text.substr(0, arrow);
  auto comma = left.find(',');
  std::vector<std::string> labels{left.substr(0, comma)};
  if (comma != std::string::npos) labels.push_back(left.substr(comma + 1));
  if (labels.size() != operands.size()) bad("as many inputs as operands are needed");

  std::int64_t extent[128] = {};
  bool known[128] = {};
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (static_cast<int>(labels[i].size()) != operands[i].rank())
      fail("einsum: \"{}\": input \"{}\" does not fit shape {}", equation, labels[i],
           operands[i].shape());
    for (std::size_t j = 0; j < labels[i].size(); ++j) {
      char c = labels[i][j];
      if (!std::isalpha(static_cast<unsigned char>(c))) bad("axes are named by letters");
      if (labels[i].find(c, j + 1) != std::string::npos) bad("a letter stands twice in one input");
      std::int64_t size = operands[i].shape()[static_cast<int>(j)];
      if (known[+c] && extent[+c] != size)
        fail("einsum: \"{}\": axis {} has sizes {} and {}", equation, c, extent[+c], size);
      known[+c] = true;
      extent[+c] = size;
    }
  }
  for (std::size_t j = 0; j < output.size(); ++j) {
    char c = output[j];
    if (!std::isalpha(static_cast<unsigned char>(c)) || !known[+c])
      bad("an output letter stands in no input");
    if (output.find(c, j + 1) != std::string::npos) bad("an output letter stands twice");
  }

  // Two operands meet in one dtype before anything is summed.
  std::vector<Tensor> both = operands;
  if (both.size() == 2)
    for (Tensor& operand : both) {
      operand = operand.astype(common_dtype(operands, /*real=*/true));
      if (operand.rank() == 0) operand = operand.to(device_of(operands));  // a number goes anywhere
    }

  // An axis that neither the output nor the other operand has is summed first.
  std::vector<Tensor> x;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    std::vector<int> lonely;
    std::string rest;
    for (std::size_t j = 0; j < labels[i].size(); ++j) {
      char c = labels[i][j];
      bool elsewhere = output.find(c) != std::string::npos ||
                       (labels.size() == 2 && labels[1 - i].find(c) != std::string::npos);
      if (elsewhere)
        rest += c;
      else
        lonely.push_back(static_cast<int>(j));
    }
    x.push_back(lonely.empty() ? both[i] : sum(both[i], lonely));
    labels[i] = rest;
  }
  auto arranged = [](const Tensor& t, const std::string& from, const std::string& to) {
    std::vector<int> axes;
    for (char c : to) axes.push_back(static_cast<int>(from.find(c)));
    return axes.empty() ? t : transpose(t, axes);
  };
  if (x.size() == 1) return arranged(x[0], labels[0], output);

  // The letters in four groups: both and output, both and not, only left, only right.
  std::string batch, contracted, rows, columns;
  for (char c : labels[0]) {
    bool right = labels[1].find(c) != std::string::npos;
    (!right ? rows : output.find(c) != std::string::npos ? batch : contracted) += c;
  }
  for (char c : labels[1])
    if (labels[0].find(c) == std::string::npos) columns += c;
  auto size = [&](const std::string& group) {
    std::int64_t n = 1;
    for (char c : group) n *= extent[+c];
    return n;
  };
  Tensor a = reshape(arranged(x[0], labels[0], batch + rows + contracted),
                     {size(batch), size(rows), size(contracted)});
  Tensor b = reshape(arranged(x[1], labels[1], batch + contracted + columns),
                     {size(batch), size(contracted), size(columns)});
  std::string natural = batch + rows + columns;
  Shape shape;
  for (char c : natural) shape.push_back(extent[+c]);
  return arranged(reshape(matmul(a, b), shape), natural, output);
}

}  // namespace keratin
