#include <keratin/core/cpu/draws.h>
#include <keratin/core/internal/parallel.h>

namespace keratin::cpu {
namespace {

template <class T>
void draw_numbers(T* y, std::int64_t n, const Draw& draw) {
  with_kind(draw.kind, [&](auto kind) {
    parallel_for(n, n / 1000, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        y[i] = static_cast<T>(number_of<kind()>(draw, static_cast<std::uint64_t>(i)));
    });
  });
}

}  // namespace

void random(float* y, std::int64_t n, const Draw& draw) { draw_numbers(y, n, draw); }
void random(double* y, std::int64_t n, const Draw& draw) { draw_numbers(y, n, draw); }

}  // namespace keratin::cpu
