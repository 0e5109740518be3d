// The loops that run a scalar function, or its gradient, over strided memory. Compiled once for
// each instruction set with float batches (core/cpu/simd_kernels.cpp) and once with plain numbers
// for the other types (core/cpu/plain_kernels.cpp). Raw pointers and sizes only: see
// core/cpu/simd.h.
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include <keratin/core/functions.h>
#include <keratin/core/internal/loop.h>

namespace keratin::cpu {

using LoopFunction = void (*)(const Loop& loop, const void* functor);

/// A number that loops over memory of type Element: one at a time, computed in double.
template <class Element>
struct Plain {
  using Stored = Element;
  using Number = double;
  static constexpr int width = 1;
  static double load(const Element* p, std::int64_t) { return static_cast<double>(*p); }
  static void store(Element* p, std::int64_t, double x, std::int64_t) {
    // Through int64, where any float that fits nowhere else at least has a defined value.
    if constexpr (std::is_integral_v<Element>)
      *p = static_cast<Element>(x > -9e18 && x < 9e18 ? static_cast<std::int64_t>(x) : 0);
    else
      *p = static_cast<Element>(x);
  }
  static double load_part(const Element* p, std::int64_t, std::int64_t, double = 0) {
    return load(p, 0);
  }
};

/// A batch of floats at a time, gathered where they do not lie side by side.
template <class Simd>
struct Vector {
  using Stored = float;
  using Number = Simd;
  static constexpr int width = Simd::width;
  static Simd load(const float* p, std::int64_t stride) {
    if (stride == 1) return Simd::load(p);
    if (stride == 0) return Simd::repeat(p);
    return load_part(p, stride, width);
  }
  static Simd load_part(const float* p, std::int64_t stride, std::int64_t n, double rest = 0) {
    alignas(64) float lanes[width];
    for (std::int64_t i = 0; i < width; ++i)
      lanes[i] = i < n ? p[i * stride] : static_cast<float>(rest);
    return Simd::load(lanes);
  }
  static void store(float* p, std::int64_t stride, const Simd& x, std::int64_t n) {
    if (stride == 1 && n == width) return x.store(p);
    alignas(64) float lanes[width];
    x.store(lanes);
    for (std::int64_t i = 0; i < n; ++i) p[i * stride] = lanes[i];
  }
};

/// What is done with a row: run(this row's pointers).
struct RowWork {
  const void* object;
  void (*run)(const void* object, char* const* at);
};

/// Calls the work for each innermost row. Static: each instruction set compiles its own.
static inline void for_rows(const Loop& loop, const RowWork& work) {
  char *begin[Loop::max_operands], *at[Loop::max_operands];
  for (int k = 0; k < loop.operands; ++k) begin[k] = loop.data[k];
  if (loop.rank == 1) return work.run(work.object, begin);
  const int next = loop.rank - 2;  // the axis outside the rows
  std::int64_t step[Loop::max_operands], index[Loop::max_rank] = {};
  for (int k = 0; k < loop.operands; ++k) step[k] = loop.stride[k][next] * loop.bytes[k];
  for (;;) {
    for (int k = 0; k < loop.operands; ++k) at[k] = begin[k];
    for (std::int64_t i = 0; i < loop.size[next]; ++i) {
      work.run(work.object, at);
      for (int k = 0; k < loop.operands; ++k) at[k] += step[k];
    }
    int axis = next - 1;
    for (; axis >= 0; --axis) {
      bool carry = ++index[axis] == loop.size[axis];
      std::int64_t steps = carry ? 1 - loop.size[axis] : 1;
      for (int k = 0; k < loop.operands; ++k)
        begin[k] += steps * loop.stride[k][axis] * loop.bytes[k];
      if (!carry) break;
      index[axis] = 0;
    }
    if (axis < 0) return;
  }
}

/// The same for a function object. Its code stands once for all shapes of loops.
template <class Row>
void for_rows(const Loop& loop, const Row& row) {
  for_rows(loop, RowWork{&row, [](const void* object, char* const* at) {
                           (*static_cast<const Row*>(object))(at);
                         }});
}

/// How the operands of a row lie: all side by side; some of them one number for the whole row; or
/// with any strides.
enum class RowLayout { dense, broadcast, strided };

template <class Lane>
RowLayout layout_of_rows(const Loop& loop) {
  bool dense = true, broadcast = Lane::width > 1;
  for (int k = 0; k < loop.operands; ++k) {
    if (loop.data[k] == nullptr) continue;
    std::int64_t stride = loop.stride[k][loop.rank - 1];
    dense &= stride == 1;
    broadcast &= stride == 1 || stride == 0;
  }
  return dense ? RowLayout::dense : broadcast ? RowLayout::broadcast : RowLayout::strided;
}

/// N operands of a row: where they begin, and their strides. Local copies, because a loop that
/// stores numbers would otherwise read them again each time.
template <int N>
struct RowOperands {
  char* at[N];
  std::int64_t stride[N];

  RowOperands(const Loop& loop, char* const* data) {
    for (int k = 0; k < N; ++k) {
      at[k] = data[k];
      stride[k] = loop.stride[k][loop.rank - 1];
    }
  }
};

/// n numbers of each operand, from element j of a row on: a whole batch where Count is a constant.
template <class Lane, RowLayout layout, class Count, int N>
struct Slots {
  using Number = typename Lane::Number;
  using Stored = typename Lane::Stored;

  const RowOperands<N>& row;
  std::int64_t j;
  Count n;

  std::int64_t stride(std::size_t k) const {
    return layout == RowLayout::dense ? 1 : row.stride[k];
  }
  Stored* place(std::size_t k) const {
    std::int64_t step =
        layout == RowLayout::broadcast ? (row.stride[k] == 0 ? 0 : j) : j * stride(k);
    return reinterpret_cast<Stored*>(row.at[k]) + step;
  }
  Number load(std::size_t k) const {
    if constexpr (layout == RowLayout::broadcast)
      return row.stride[k] == 0 ? Lane::load(place(k), 0) : Lane::load(place(k), 1);
    if constexpr (layout == RowLayout::strided && Lane::width > 1)
      if (stride(k) == 0) return Lane::load(place(k), 0);
    return n == Lane::width ? Lane::load(place(k), stride(k))
                            : Lane::load_part(place(k), stride(k), n);
  }
  void store(std::size_t k, const Number& y) const {
    Lane::store(place(k), layout == RowLayout::broadcast ? 1 : stride(k), y, n);
  }
};

/// Calls step(slots) along a row of N operands.
template <class Lane, int N, class Step>
void for_slots(const Loop& loop, RowLayout layout, char* const* at, const Step& step) {
  using Whole = std::integral_constant<std::int64_t, Lane::width>;
  const std::int64_t n = loop.size[loop.rank - 1];
  const RowOperands<N> row(loop, at);
  std::int64_t j = 0;
  auto whole = [&]<RowLayout of>(std::integral_constant<RowLayout, of>) {
    for (; j + Lane::width <= n; j += Lane::width) step(Slots<Lane, of, Whole, N>{row, j, {}});
  };
  if (Lane::width > 1 && layout == RowLayout::dense)
    whole(std::integral_constant<RowLayout, RowLayout::dense>{});
  else if (Lane::width > 1 && layout == RowLayout::broadcast)
    whole(std::integral_constant<RowLayout, RowLayout::broadcast>{});
  else
    whole(std::integral_constant<RowLayout, RowLayout::strided>{});
  if (j < n) step(Slots<Lane, RowLayout::strided, std::int64_t, N>{row, j, n - j});
}

template <class Lane, class F>
struct ForwardRow {
  static constexpr int inputs = fn::inputs_of<F>;
  static constexpr int outputs = fn::outputs_of<F>;

  const Loop& loop;
  F f;
  RowLayout layout = layout_of_rows<Lane>(loop);

  void operator()(char* const* at) const {
    for_slots<Lane, inputs + outputs>(loop, layout, at, [&](const auto& slots) {
      step(slots, std::make_index_sequence<inputs>{}, std::make_index_sequence<outputs>{});
    });
  }

  template <std::size_t... I, std::size_t... O>
  void step(const auto& slots, std::index_sequence<I...>, std::index_sequence<O...>) const {
    auto y = f(slots.load(outputs + I)...);
    if constexpr (outputs == 1)
      slots.store(0, y);
    else
      (slots.store(O, std::get<O>(y)), ...);
  }
};

/// Operands: the gradients of the inputs (null where not wanted), the inputs, the outputs'
/// gradients.
template <class Lane, class F>
struct GradientRow {
  using Number = typename Lane::Number;
  static constexpr int inputs = fn::inputs_of<F>;
  static constexpr int outputs = fn::outputs_of<F>;

  const Loop& loop;
  F f;
  // A derivative in terms of the output takes that in the inputs' place.
  static constexpr int operands = fn::has_output_vjp<F> ? 3 : 2 * inputs + outputs;
  RowLayout layout = layout_of_rows<Lane>(loop);

  void operator()(char* const* at) const {
    for_slots<Lane, operands>(loop, layout, at, [&](const auto& slots) {
      step(slots, at, std::make_index_sequence<inputs>{});
    });
  }

  template <std::size_t... I>
  void step(const auto& slots, char* const* at, std::index_sequence<I...> all) const {
    if constexpr (fn::has_output_vjp<F>) {
      slots.store(0, F::vjp(slots.load(1), slots.load(2)));
    } else {
      Number x[inputs], g[outputs];
      for (std::size_t k = 0; k < inputs; ++k) x[k] = slots.load(inputs + k);
      for (std::size_t k = 0; k < outputs; ++k) g[k] = slots.load(2 * inputs + k);
      ((at[I] != nullptr ? slots.store(I, fn::pull_back<I>(f, x, g, all)) : void()), ...);
    }
  }
};

template <class Lane, class F>
void run_forward(const Loop& loop, const void* functor) {
  for_rows(loop, ForwardRow<Lane, F>{loop, *static_cast<const F*>(functor)});
}

template <class Lane, class F>
void run_gradient(const Loop& loop, const void* functor) {
  for_rows(loop, GradientRow<Lane, F>{loop, *static_cast<const F*>(functor)});
}

}  // namespace keratin::cpu
