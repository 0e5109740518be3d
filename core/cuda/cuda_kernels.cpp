// The kernels of a CUDA device: from tensors to what the device's own functions take
// (core/cuda/kernels.h). Each call queues its work and returns.

#include <algorithm>

#include <keratin/core/cuda/cuda_backend.h>
#include <keratin/core/internal/draw.h>
#include <keratin/core/internal/loop.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/tensor_data.h>

namespace keratin::cuda {
namespace {

bool is_number(const Tensor& x) { return x.device().is_cpu() && x.rank() == 0; }

class CudaKernels final : public Kernels {
 public:
  explicit CudaKernels(DeviceState& device) : device_(device) {}

  void fill(const Tensor& y, double value) const override { copy(y, Tensor(value)); }

  void arange(const Tensor& y, double start, double step) const override {
    cuda::arange(y, y.numel(), start, step, on("arange"));
  }

  void random(const Tensor& y, const Draw& draw) const override {
    Draw there = draw;
    if (Capture* capture = device_.capture()) there.place = place_of(draw.generator, *capture);
    cuda::random(there, y, y.numel(), on("random"));
  }

  void copy(const Tensor& y, const Tensor& x) const override {
    cuda::copy(y.dtype(), x.dtype(), loop("copy", y.shape(), {{&y, 1}, {&x, 1}}), on("copy"));
  }

  // Elements that overlap are added one launch after the other: along each axis whose steps do not
  // lead past all that the axes before it reach.
  void accumulate(const Tensor& y, const Tensor& x) const override {
    if (y.numel() == 0) return;
    const int axis = overlapping_axis(y);
    if (axis < 0)
      return cuda::accumulate(y.dtype(), loop("accumulate", y.shape(), {{&y, 1}, {&x, 1}}),
                              on("accumulate"));
    const Tensor wide = expand_view(x, y.shape());
    auto part = [&](const Tensor& t, std::int64_t i) {
      Strides strides = t.strides();
      const std::int64_t offset = i * strides[axis];
      strides.erase(axis);
      return make_view(t, t.shape().without(axis), strides, offset);
    };
    for (std::int64_t i = 0; i < y.shape()[axis]; ++i) accumulate(part(y, i), part(wide, i));
  }

  void pointwise(Pointwise op, const void* functor, Tensors y, Tensors x) const override {
    cuda::pointwise(op, functor, y[0].dtype(), loop(name_of(op), y[0].shape(), {y, x}),
                    on(name_of(op)));
  }

  void pointwise_gradient(Pointwise op, const void* functor, Tensors gx, Tensors x,
                          Tensors gy) const override {
    const auto wanted = std::ranges::find_if(gx, [](const Tensor& g) { return g.defined(); });
    if (wanted == gx.end()) return;
    cuda::pointwise_gradient(op, functor, gy[0].dtype(),
                             loop(name_of(op), wanted->shape(), {gx, x, gy}), on(name_of(op)));
  }

  void step(Pointwise op, const void* functor, std::span<const std::vector<Tensor>> groups,
            const Tensor& allowed) const override {
    std::vector<std::vector<Tensor>> dense(groups.begin(), groups.end());
    for (std::vector<Tensor>& group : dense)
      for (Tensor& t : group) t = contiguous(t);
    for_parts(dense, [&](const Groups& part) {
      cuda::step(op, functor, dense[0][0].dtype(), part, allowed, on(name_of(op)));
    });
    for (std::size_t i = 0; i < groups.size(); ++i)
      for (std::size_t k = 0; k + 1 < groups[i].size(); ++k)
        if (!groups[i][k].is_contiguous()) copy(groups[i][k], dense[i][k]);
  }

  void check_finite(const Tensor& finite, Tensors x) const override {
    std::vector<std::vector<Tensor>> arrays;
    for (const Tensor& t : x) arrays.push_back({contiguous(t)});
    for_parts(arrays, [&](const Groups& part) {
      const int count = part.count * finite_blocks;
      const Tensor sums = empty({count}, x[0].dtype(), finite.device());
      find_not_finite(sums, part, on("check_finite"));
      keep_where_zero(finite, sums, count, device_.fault, on("check_finite"));
    });
  }

  void compare(Comparison op, const Tensor& y, const Tensor& a, const Tensor& b) const override {
    cuda::compare(op, a.dtype(), loop(name_of(op), y.shape(), {{&y, 1}, {&a, 1}, {&b, 1}}),
                  on(name_of(op)));
  }

  void select(const Tensor& y, const Tensor& condition, const Tensor& a,
              const Tensor& b) const override {
    cuda::select(y.dtype(), loop("where", y.shape(), {{&y, 1}, {&condition, 1}, {&a, 1}, {&b, 1}}),
                 on("where"));
  }

  void reduce(Reduction op, const Tensor& y, const Tensor& x, int axis) const override {
    const Middle size = middle_of(x.shape(), axis);
    if (size.outer * size.inner != 1 || size.n <= piece)
      return cuda::reduce(op, y, x, size, on("reduce"));
    // A long row to one number: pieces of it first, by a block each, then what these gave.
    const std::int64_t pieces = size.n / piece, rest = size.n % piece;
    const Tensor partial = empty({pieces + (rest > 0)}, x.dtype(), x.device());
    reduce(op, part(partial, 0, {pieces}), part(x, 0, {pieces, piece}), 1);
    if (rest > 0) reduce(op, part(partial, pieces, {1}), part(x, pieces * piece, {1, rest}), 1);
    reduce(op, y, partial, 0);
  }

  void arg_reduce(bool largest, const Tensor& y, const Tensor& x, int axis) const override {
    cuda::arg_reduce(largest, y, x, middle_of(x.shape(), axis), on("arg_reduce"));
  }

  void cumulative_sum(const Tensor& y, const Tensor& x, int axis, bool reverse) const override {
    const Middle size = middle_of(x.shape(), axis);
    if (size.outer * size.inner == 1 && size.n > 2 * summed && !reverse) return long_sum(y, x);
    cuda::cumulative_sum(y, x, size, reverse, on("cumulative_sum"));
  }

  void softmax(const Tensor& y, const Tensor& x, int axis, bool log) const override {
    cuda::softmax(y, x, middle_of(x.shape(), axis), log, on("softmax"));
  }

  void softmax_gradient(const Tensor& gx, const Tensor& y, const Tensor& gy, int axis,
                        bool log) const override {
    cuda::softmax_gradient(gx, y, gy, middle_of(y.shape(), axis), log, on("softmax"));
  }

  void check_indices(const char* who, const Tensor& y, const Tensor& indices, std::int64_t lowest,
                     std::int64_t extent) const override {
    cuda::check_indices(who, y, indices, y.numel(), lowest, extent, device_.fault,
                        on("check_indices"));
  }

  void take(const Tensor& y, const Tensor& x, const Tensor& indices) const override {
    cuda::take(y, x, indices, indices.numel(), {x.size(0), x.size(1), x.size(2)}, on("take"));
  }

  // Each row of y looks at all indices; where these are many, it finds its own among sorted ones.
  void scatter_add(const Tensor& y, const Tensor& x, const Tensor& indices) const override {
    const std::int64_t count = indices.numel(), rows = y.size(1);
    const Middle size{y.size(0), rows, y.size(2)};
    if (rows * count <= scanned_indices)
      return cuda::scatter_add(y, x, indices, count, size, on("scatter"));
    auto numbers = [&](std::int64_t n) { return empty({n}, int32, y.device()); };
    Tensor keys = indices, places, counts = numbers(sort_threads(count) << digit_bits);
    int shift = 0;
    do {
      Tensor keys_out = numbers(count), places_out = numbers(count);
      count_digits(counts, keys, count, shift, on("scatter"));
      cumulative_sum(counts, counts, 0, false);
      move_by_digit(keys_out, places_out, keys, places, counts, count, shift, on("scatter"));
      keys = keys_out;
      places = places_out;
      shift += digit_bits;
    } while (shift < 31 && (rows - 1) >> shift > 0);
    scatter_add_sorted(y, x, keys, places, count, size, on("scatter"));
  }

  void gemm(const Tensor& c, const Tensor& a, const Tensor& b, const Tensor& bias,
            bool accumulate) const override {
    if (bias.defined()) copy(c, bias);
    multiply(c, a, b, accumulate || bias.defined());
  }

  // The matrices of c may lie between each other's rows, and those of a and b may run backward,
  // which cuBLAS does not promise to respect.
  void batched_gemm(const Tensor& c, const Tensor& a, const Tensor& b) const override {
    const Tensor apart = c.is_contiguous() ? c : empty(c.shape(), c.dtype(), c.device());
    auto forward = [](const Tensor& x) { return x.strides()[0] < 0 ? contiguous(x) : x; };
    multiply(apart, forward(a), forward(b), false);
    if (!c.is_contiguous()) copy(c, apart);
  }

  bool lstm_step(const Tensor& h1, const Tensor& c1, const Tensor& z, const Tensor& tanh_c,
                 const Tensor& h0, const Tensor& c0, const Tensor& recurrent) const override {
    if (!takes_steps(h0, recurrent)) return false;
    check_place("lstm", recurrent);
    LstmStep step = step_of(recurrent, c0, tanh_c, z);
    step.h0 = raw<float>(h0);
    step.h1 = raw<float>(h1);
    step.c1 = raw<float>(c1);
    cuda::lstm_step(step, on("lstm"));
    return true;
  }

  bool lstm_step_back(const Tensor& gc, const Tensor& gz, const Tensor& next_gz, const Tensor& gy,
                      const Tensor& z, const Tensor& tanh_c, const Tensor& c0,
                      const Tensor& recurrent) const override {
    const bool dense = !gy.defined() || gy.strides()[1] == 1 || gy.size(1) == 1;
    if (!dense || !takes_steps(c0, recurrent)) return false;
    for (const Tensor* x : {&recurrent, &gy}) check_place("lstm", *x);
    LstmStep step = step_of(recurrent, c0, tanh_c, z);
    step.next_gz = raw<float>(next_gz);
    if (gy.defined()) {
      step.gy = raw<float>(gy);
      step.gy_stride = gy.strides()[0];
    }
    step.gc = raw<float>(gc);
    step.gz = raw<float>(gz);
    cuda::lstm_step_back(step, on("lstm"));
    return true;
  }

  void max_pool(const Tensor& y, const Tensor& index, const Tensor& x,
                const Windows& windows) const override {
    Pooling pooling{windows, x.size(0), {}, {}, x.size(4)};
    for (int i = 0; i < 3; ++i) {
      pooling.n[i] = x.size(i + 1);
      pooling.m[i] = y.size(i + 1);
    }
    cuda::max_pool(y, index, x, pooling, on("max_pool"));
  }

 private:
  // Each tile of 8 rows reads the whole kernel, so that many rows of many units are for cuBLAS.
  static bool takes_steps(const Tensor& state, const Tensor& recurrent) {
    constexpr std::int64_t multiplications = 1 << 26;
    return state.dtype() == float32 && recurrent.is_contiguous() &&
           state.numel() * recurrent.size(1) <= multiplications;
  }

  static LstmStep step_of(const Tensor& recurrent, const Tensor& c0, const Tensor& tanh_c,
                          const Tensor& z) {
    LstmStep step = {};
    step.rows = static_cast<int>(c0.size(0));
    step.units = static_cast<int>(c0.size(1));
    step.recurrent = raw<float>(recurrent);
    step.c0 = raw<float>(c0);
    step.tanh_c = raw<float>(tanh_c);
    step.z = raw<float>(z);
    return step;
  }

  /// The elements of a dense tensor from `first` on, in another shape.
  static Tensor part(const Tensor& x, std::int64_t first, const Shape& shape) {
    return make_view(x, shape, contiguous_strides(shape), first);
  }

  // The running sums of one long row, forward: of its pieces, by a block each; then of the pieces'
  // last sums, which are added to the pieces after.
  void long_sum(const Tensor& y, const Tensor& x) const {
    const std::int64_t pieces = x.numel() / summed, rest = x.numel() % summed;
    auto sum_rows = [&](std::int64_t first, const Shape& shape) {
      cumulative_sum(part(y, first, shape), part(x, first, shape), 1, false);
    };
    sum_rows(0, {pieces, summed});
    if (rest > 0) sum_rows(pieces * summed, {1, rest});
    const Tensor before = empty({pieces, 1}, y.dtype(), y.device());
    copy(before, make_view(y, {pieces, 1}, {summed, 1}, summed - 1));
    cumulative_sum(before, before, 0, false);
    accumulate(part(y, summed, {pieces - 1, summed}), part(before, 0, {pieces - 1, 1}));
    if (rest > 0) accumulate(part(y, pieces * summed, {rest}), part(before, pieces - 1, {1}));
  }

  /// The stream, for work of the op `who`.
  Stream on(const char* who) const {
    device_.begin(who);
    return device_.stream();
  }

  /// Where a graph finds how far the generator is.
  static const GeneratorPlace* place_of(const void* generator, Capture& capture) {
    const auto found = std::ranges::find(capture.generators, generator);
    if (found == capture.generators.end())
      throw std::runtime_error("a graph cannot draw from a generator that no layer keeps");
    capture.drawn = true;
    return capture.places + (found - capture.generators.begin());
  }

  static constexpr std::int64_t scanned_indices = 1 << 20;  // looks at an index, at most
  // Elements of a piece: of a row that is reduced to one number; of one with running sums.
  static constexpr std::int64_t piece = 1 << 16, summed = 1 << 10;

  void check_place(const char* who, const Tensor& x) const {
    const Device here(Device::Type::cuda, static_cast<std::uint8_t>(device_.index));
    if (x.defined() && x.device() != here)
      fail("{}: operands are on {} and on {}; move one of them with .to(...)", who, here.str(),
           x.device().str());
  }

  /// The planned loop; operands that are numbers on the processor go by value.
  DeviceLoop loop(const char* who, const Shape& shape,
                  std::initializer_list<Tensors> groups) const {
    DeviceLoop loop{plan_loop(shape, groups)};
    for (int axis = 0; axis < loop.rank; ++axis) loop.total *= loop.size[axis];
    for (const Tensors& group : groups)
      for (const Tensor& x : group) {
        if (!x.defined()) continue;
        if (!is_number(x)) {
          check_place(who, x);
          continue;
        }
        for (int k = 0; k < loop.operands; ++k) {
          if (loop.data[k] != raw<char>(x)) continue;
          loop.data[k] = nullptr;
          loop.value[k] = scalar_value(x);
        }
      }
    return loop;
  }

  /// Calls f with as many of the groups as one launch takes, and then with the next.
  template <class F>
  void for_parts(std::span<const std::vector<Tensor>> groups, const F& f) const {
    Groups part;
    for (std::size_t i = 0; i < groups.size(); ++i) {
      part.size[part.count] = groups[i][0].numel();
      for (std::size_t k = 0; k < groups[i].size(); ++k) {
        check_place("a step", groups[i][k]);
        part.data[part.count][k] = raw<void>(groups[i][k]);
      }
      ++part.count;
      if (part.count < Groups::max_groups && i + 1 < groups.size()) continue;
      f(part);
      part.count = 0;
    }
  }

  /// A matrix as cuBLAS sees it: by columns, or transposed.
  struct Matrix {
    bool by_rows;
    int leading;
    std::int64_t stride;  // from one matrix of a batch to the next
  };
  static Matrix matrix(const Tensor& x) {
    const std::int64_t down = x.strides()[-2], right = x.strides()[-1];
    const std::int64_t rows = x.size(-2), columns = x.size(-1);
    const bool by_rows = (right == 1 || columns == 1) && (down >= columns || rows == 1);
    const std::int64_t leading = by_rows ? std::max(down, columns) : std::max(right, rows);
    return {by_rows, static_cast<int>(leading), x.rank() == 3 ? x.strides()[0] : 0};
  }

  // Matrices that lie by rows are, by columns, their transposes: c' = b' a'.
  void multiply(const Tensor& c, const Tensor& a, const Tensor& b, bool accumulate) const {
    for (const Tensor* x : {&c, &a, &b}) check_place("matmul", *x);
    const std::int64_t m = c.size(-2), n = c.size(-1), k = a.size(-1);
    if (c.numel() == 0) return;
    if (k == 0) return accumulate ? void() : fill(c, 0);
    for (std::int64_t size : {m, n, k})
      if (size > INT32_MAX) fail("matmul: cuBLAS takes up to {} rows, got {}", INT32_MAX, size);
    const Matrix to = matrix(c);
    const bool flip = to.by_rows;
    const Tensor &first = flip ? b : a, &second = flip ? a : b;
    const Matrix one = matrix(first), two = matrix(second);
    const Gemm product{.dtype = c.dtype(),
                       .transpose_a = one.by_rows != flip,
                       .transpose_b = two.by_rows != flip,
                       .accumulate = accumulate,
                       .tf32 = tf32(),
                       .m = static_cast<int>(flip ? n : m),
                       .n = static_cast<int>(flip ? m : n),
                       .k = static_cast<int>(k),
                       .batch = c.rank() == 3 ? static_cast<int>(c.size(0)) : 1,
                       .a = raw<void>(first),
                       .b = raw<void>(second),
                       .c = raw<void>(c),
                       .lda = one.leading,
                       .ldb = two.leading,
                       .ldc = to.leading,
                       .stride_a = one.stride,
                       .stride_b = two.stride,
                       .stride_c = to.stride};
    std::lock_guard lock(device_.multiplying);
    cuda::gemm(product, on("matmul"));
  }

  DeviceState& device_;
};

}  // namespace

Elements::Elements(const Tensor& tensor)
    : dtype(tensor.defined() ? tensor.dtype() : float32),
      data(tensor.defined() ? raw<void>(tensor) : nullptr) {}

std::unique_ptr<const Kernels> make_kernels(DeviceState& device) {
  return std::make_unique<CudaKernels>(device);
}

}  // namespace keratin::cuda
