// The compiled loops of one element type and instruction set, by op.
#pragma once

#include <keratin/core/catalogue.h>
#include <keratin/core/cpu/channel_kernels.h>
#include <keratin/core/cpu/packed.h>
#include <keratin/core/cpu/reductions.h>

namespace keratin::cpu {

inline constexpr int pointwise_count = static_cast<int>(Pointwise::count);

struct KernelTable {
  const char* name;
  LoopFunction forward[pointwise_count];
  LoopFunction gradient[pointwise_count];  // null for a step: it has none
  int cost[pointwise_count];  // of the functor, in numbers read or written in the same time
  ReduceFunction reduce[reduction_count];
  SoftmaxFunction softmax;
  SoftmaxGradientFunction softmax_gradient;
  ChannelKernels channels;
  PackedKernels packed;  // float32 only
};

template <class F>
constexpr int cost_of() {
  if constexpr (requires { F::cost; })
    return F::cost;
  else
    return 0;
}

/// Every kernel for numbers of one kind.
template <class Lane>
constexpr KernelTable make_table(const char* name, const PackedKernels& packed = {}) {
  return {
      name,
      {
#define KERATIN_UNARY(op, Functor) run_forward<Lane, fn::Functor>,
#define KERATIN_BINARY(op, Functor) run_forward<Lane, fn::Functor>,
#define KERATIN_FUNCTOR(Functor) run_forward<Lane, fn::Functor>,
#define KERATIN_STEP(Functor) run_forward<Lane, fn::Functor>,
#include <keratin/core/catalogue.def>
      },
      {
#define KERATIN_UNARY(op, Functor) run_gradient<Lane, fn::Functor>,
#define KERATIN_BINARY(op, Functor) run_gradient<Lane, fn::Functor>,
#define KERATIN_FUNCTOR(Functor) run_gradient<Lane, fn::Functor>,
#define KERATIN_STEP(Functor) nullptr,
#include <keratin/core/catalogue.def>
      },
      {
#define KERATIN_UNARY(op, Functor) cost_of<fn::Functor>(),
#define KERATIN_BINARY(op, Functor) cost_of<fn::Functor>(),
#define KERATIN_FUNCTOR(Functor) cost_of<fn::Functor>(),
#define KERATIN_STEP(Functor) cost_of<fn::Functor>(),
#include <keratin/core/catalogue.def>
      },
      {reduce<Reduction::sum, Lane>, reduce<Reduction::max, Lane>, reduce<Reduction::min, Lane>},
      softmax<Lane>,
      softmax_gradient<Lane>,
      {sum_channel_products<Lane>, add_channel_products<Lane>, largest_of_channels<Lane>},
      packed,
  };
}

extern const KernelTable float64_table;
extern const KernelTable int32_table;
extern const KernelTable float32_baseline_table;
extern const KernelTable float32_avx2_table;
extern const KernelTable float32_avx512_table;

/// The float32 kernels for the best instruction set of this processor, chosen once; the environment
/// variable KERATIN_SIMD (baseline, avx2, avx512) names a lesser one.
const KernelTable& float32_table();

}  // namespace keratin::cpu
