// What runs along the middle axis of a dense array (outer, n, inner). A block of threads takes a
// few columns, and for each of them a number of lanes that share out its n elements; what the lanes
// found is combined in a fixed tree. So the order in which numbers are added depends on the sizes
// only, and a run gives the same bits as the one before.

#include <keratin/core/cuda/block.h>
#include <keratin/core/cuda/loop.h>
#include <keratin/core/cuda/number.h>

namespace keratin::cuda {
namespace {

/// How many columns a block takes: a power of two. Neighbours in memory fall to neighbouring
/// threads: 8 columns use whole transfers, 32 use fewer, as soon as there are blocks enough. Short
/// columns share a block.
int columns_per_block(const Middle& size) {
  const std::int64_t total = size.outer * size.inner;
  int columns = 1;
  while (columns < 32 && columns < size.inner && (columns < 8 || total >= 256 * columns))
    columns *= 2;
  while (columns < 32 && columns < total && columns * size.n <= std::int64_t{block_size} / 2)
    columns *= 2;
  return columns;
}

/// Launches a kernel with a block for every few columns; its first parameters are the sizes and
/// that number of columns. A column has as many lanes as elements, rounded up to a power of two, as
/// far as the block has threads.
template <class... P>
void launch_along(const Middle& size, void (*kernel)(Middle, int, P...), Stream stream,
                  std::type_identity_t<P>... arguments) {
  const std::int64_t total = size.outer * size.inner;
  if (total == 0) return;
  const int columns = columns_per_block(size);
  unsigned lanes = 1;
  while (lanes < size.n && lanes * columns < block_size) lanes *= 2;
  const auto blocks = static_cast<unsigned>((total + columns - 1) / columns);
  launch(kernel, blocks, lanes * columns, stream, size, columns, arguments...);
}

/// A thread's share: one lane of one column.
struct Share : Lanes {
  std::int64_t column;  // its number, also its place in an output of one element per column
  bool exists;          // false behind the last column
  std::int64_t begin;   // the column's first element
  std::int64_t stride;  // from one element to the next
  std::int64_t n;       // elements; 0 where it does not exist

  __device__ Share(const Middle& size, int columns) {
    const int thread = static_cast<int>(threadIdx.x);
    lanes = static_cast<int>(blockDim.x) / columns;
    // Neighbouring threads: along n where that is dense in memory, else across the columns.
    apart = size.inner == 1 ? 1 : columns;
    lane = size.inner == 1 ? thread % lanes : thread / columns;
    int position = size.inner == 1 ? thread / lanes : thread % columns;
    column = std::int64_t{blockIdx.x} * columns + position;
    exists = column < size.outer * size.inner;
    Division at = divide(column, size.inner);
    begin = at.quotient * size.n * size.inner + at.remainder;
    stride = size.inner;
    n = exists ? size.n : 0;
  }

  /// Calls step(i, place of element i) for this lane's elements.
  template <class Step>
  __device__ void for_each(const Step& step) const {
    for (std::int64_t i = lane; i < n; i += lanes) step(i, begin + i * stride);
  }
};

/// The combination of what this lane and all before it hold.
template <class T, class Combine>
__device__ T across_so_far(const Share& share, T x, const Combine& combine) {
  __shared__ T part[block_size];
  const int thread = static_cast<int>(threadIdx.x);
  for (int distance = 1; distance < share.lanes; distance *= 2) {
    part[thread] = x;
    __syncthreads();
    if (share.lane >= distance) x = combine(part[thread - distance * share.apart], x);
    __syncthreads();
  }
  return x;
}

template <Reduction op>
struct Combine {
  template <class N>
  constexpr N operator()(const N& x, const N& y) const {
    if constexpr (op == Reduction::sum)
      return x + y;
    else if constexpr (op == Reduction::max)
      return maximum(x, y);
    else
      return minimum(x, y);
  }
};

template <Reduction op>
inline constexpr double neutral = op == Reduction::sum   ? 0.0
                                  : op == Reduction::max ? -INFINITY
                                                         : INFINITY;

/// map(place) of all elements of the column, combined.
template <Reduction op, class N, class Map>
__device__ N reduce_column(const Share& share, const Map& map) {
  N result(neutral<op>);
  share.for_each([&](std::int64_t, std::int64_t at) { result = Combine<op>{}(result, map(at)); });
  // Shared memory is for types without constructors.
  using Value = decltype(result.v);
  return N::of(across(share, result.v,
                      [](Value x, Value y) { return Combine<op>{}(N::of(x), N::of(y)).v; }));
}

template <Reduction op, class T>
__global__ void reduce_columns(const Middle size, int columns, T* y, const T* x) {
  Share share(size, columns);
  auto result = reduce_column<op, Number<T>>(share, [&](std::int64_t at) { return number(x[at]); });
  if (share.exists && share.lane == 0) y[share.column] = element<T>(result);
}

/// An element and its place in its column, which is -1 for none.
template <class T>
struct Candidate {
  T value;
  std::int32_t index;
};

/// The better of two: NaN before all numbers, and of equals the first.
template <class T>
struct Better {
  bool largest;

  __device__ bool beats(T x, T y) const { return (largest ? x > y : x < y) || (x != x && y == y); }
  __device__ Candidate<T> operator()(const Candidate<T>& x, const Candidate<T>& y) const {
    if (x.index < 0 || y.index < 0) return x.index < 0 ? y : x;
    if (beats(x.value, y.value)) return x;
    if (beats(y.value, x.value)) return y;
    return x.index < y.index ? x : y;
  }
};

template <class T>
__global__ void arg_reduce_columns(const Middle size, int columns, std::int32_t* y, const T* x,
                                   bool largest) {
  Share share(size, columns);
  Better<T> better{largest};
  Candidate<T> best{T(0), -1};
  share.for_each([&](std::int64_t i, std::int64_t at) {
    best = better(best, {x[at], static_cast<std::int32_t>(i)});
  });
  best = across(share, best, better);
  if (share.exists && share.lane == 0) y[share.column] = best.index < 0 ? 0 : best.index;
}

/// The lanes take one piece of the column after the other, each lane one element of it.
template <class T>
__global__ void cumulative_sum_columns(const Middle size, int columns, T* y, const T* x,
                                       bool reverse) {
  Share share(size, columns);
  auto add = [](T a, T b) { return static_cast<T>(a + b); };
  T before(0);
  for (std::int64_t first = 0; first < size.n; first += share.lanes) {
    std::int64_t i = first + share.lane;
    std::int64_t at = share.begin + (reverse ? size.n - 1 - i : i) * share.stride;
    T own = i < share.n ? x[at] : T(0);
    if (share.lane == 0) own = add(before, own);
    T sum = across_so_far(share, own, add);
    if (i < share.n) y[at] = sum;
    before = across(share, share.lane == share.lanes - 1 ? sum : T(0), add);
  }
}

// Three walks over a column. The first finds the largest element, so that exp never overflows. The
// second adds up the exponentials. The third scales them. A column of nothing but -inf has no
// largest element to compare with: its softmax is defined as zeros, the logarithm as -inf.
template <class T>
__global__ void softmax_columns(const Middle size, int columns, T* y, const T* x, bool log_form) {
  using N = Number<T>;
  Share share(size, columns);
  auto load = [&](std::int64_t at) { return number(x[at]); };
  N top = reduce_column<Reduction::max, N>(share, load);
  top = where(top == N(-INFINITY), 0.0, top);
  N sum =
      reduce_column<Reduction::sum, N>(share, [&](std::int64_t at) { return exp(load(at) - top); });
  N offset = where(sum == 0.0, 0.0, top + log(sum));
  N scale = where(sum == 0.0, 0.0, 1.0 / sum);
  share.for_each([&](std::int64_t, std::int64_t at) {
    y[at] = (log_form ? load(at) - offset : exp(load(at) - top) * scale).v;
  });
}

// softmax: gx = y (gy - sum(gy y)). Its logarithm: gx = gy - e^y sum(gy).
// Where the largest y of the logarithm is -inf, the column is nothing but -inf, and gx is 0.
template <class T>
__global__ void softmax_gradient_columns(const Middle size, int columns, T* gx, const T* y,
                                         const T* gy, bool log_form) {
  using N = Number<T>;
  Share share(size, columns);
  N sum = reduce_column<Reduction::sum, N>(share, [&](std::int64_t at) {
    return log_form ? number(gy[at]) : number(gy[at]) * number(y[at]);
  });
  N top(0.0);
  if (log_form)
    top = reduce_column<Reduction::max, N>(share, [&](std::int64_t at) { return number(y[at]); });
  share.for_each([&](std::int64_t, std::int64_t at) {
    N g = number(gy[at]), value = number(y[at]);
    N result = log_form ? where(top == N(-INFINITY), 0.0, g - exp(value) * sum) : value * (g - sum);
    gx[at] = result.v;
  });
}

}  // namespace

void reduce(Reduction op, Elements y, Elements x, const Middle& size, Stream stream) {
  with_type<std::int32_t, float, double>(x.dtype, [&](auto type) {
    using T = decltype(type);
    auto* kernel = op == Reduction::sum   ? reduce_columns<Reduction::sum, T>
                   : op == Reduction::max ? reduce_columns<Reduction::max, T>
                                          : reduce_columns<Reduction::min, T>;
    launch_along(size, kernel, stream, y, x);
  });
}

void arg_reduce(bool largest, Elements y, Elements x, const Middle& size, Stream stream) {
  with_any_type(x.dtype, [&](auto type) {
    launch_along(size, arg_reduce_columns<decltype(type)>, stream, y, x, largest);
  });
}

void cumulative_sum(Elements y, Elements x, const Middle& size, bool reverse, Stream stream) {
  with_any_type(x.dtype, [&](auto type) {
    launch_along(size, cumulative_sum_columns<decltype(type)>, stream, y, x, reverse);
  });
}

void softmax(Elements y, Elements x, const Middle& size, bool log, Stream stream) {
  with_type<float, double>(x.dtype, [&](auto type) {
    launch_along(size, softmax_columns<decltype(type)>, stream, y, x, log);
  });
}

void softmax_gradient(Elements gx, Elements y, Elements gy, const Middle& size, bool log,
                      Stream stream) {
  with_type<float, double>(y.dtype, [&](auto type) {
    launch_along(size, softmax_gradient_columns<decltype(type)>, stream, gx, y, gy, log);
  });
}

}  // namespace keratin::cuda
