// A step of an LSTM with its product, in one launch. A launch takes some microseconds however
// little it does, and a product of few rows does little. By cuBLAS a step forward is two launches
// and a step backward four.
//
// A block computes a tile of 8 rows and 8 units. Its threads share out the terms of the tile's sums
// among themselves: each thread adds up its terms for many sums, in registers, so that each element
// it loads is used several times. What the threads have is added in a fixed order.

#include <keratin/core/cuda/loop.h>
#include <keratin/core/cuda/number.h>
#include <keratin/core/functions.h>

namespace keratin::cuda {
namespace {

constexpr int tile = 8;
constexpr int gates = 4;
constexpr int threads = 256;

/// Which rows and units a block has. Behind the last of them stands the last one again.
struct Tile {
  int rows, units, first_row, first_unit;

  __device__ Tile(const LstmStep& step)
      : rows(step.rows),
        units(step.units),
        first_row(static_cast<int>(blockIdx.x) * tile),
        first_unit(static_cast<int>(blockIdx.y) * tile) {}
  __device__ int row(int r) const { return std::min(first_row + r, rows - 1); }
  __device__ int unit(int u) const { return std::min(first_unit + u, units - 1); }
  __device__ bool has(int r, int u) const { return first_row + r < rows && first_unit + u < units; }
};

__device__ std::int64_t place(int row, int columns, int column) {
  return std::int64_t{row} * columns + column;
}

// A thread adds up every 32nd term of the gates of one unit, in 8 rows.
__global__ void lstm_forward(const LstmStep s) {
  constexpr int parts = threads / tile, sums = tile * gates * tile;
  __shared__ float partial[parts][sums + tile];  // a few more, for other banks of memory
  const Tile here(s);
  const int thread = static_cast<int>(threadIdx.x), part = thread / tile, own = thread % tile;
  float sum[tile][gates] = {};
  for (int k = part; k < s.units; k += parts) {
    float w[gates];
    for (int g = 0; g < gates; ++g)
      w[g] = s.recurrent[place(k, gates * s.units, g * s.units + here.unit(own))];
    for (int r = 0; r < tile; ++r) {
      const float h = s.h0[place(here.row(r), s.units, k)];
      for (int g = 0; g < gates; ++g) sum[r][g] += h * w[g];
    }
  }
  for (int r = 0; r < tile; ++r)
    for (int g = 0; g < gates; ++g) partial[part][(r * gates + g) * tile + own] = sum[r][g];
  __syncthreads();
  float total = 0;
  for (int p = 0; p < parts; ++p) total += partial[p][thread];
  partial[0][thread] = total;  // which no other thread reads before
  __syncthreads();

  const int r = part, u = own;
  if (r >= tile || !here.has(r, u)) return;
  const std::int64_t at = place(here.row(r), s.units, here.unit(u));
  const std::int64_t gate = place(here.row(r), gates * s.units, here.unit(u));
  auto z = [&](int g) {
    return Number<float>::of(s.z[gate + g * s.units] + partial[0][(r * gates + g) * tile + u]);
  };
  auto [h, c, i, f, g, o, tanh_c] = fn::LstmForward{}(z(0), z(1), z(2), z(3), number(s.c0[at]));
  s.h1[at] = h.v;
  s.c1[at] = c.v;
  s.tanh_c[at] = tanh_c.v;
  s.z[gate] = i.v;
  s.z[gate + s.units] = f.v;
  s.z[gate + 2 * s.units] = g.v;
  s.z[gate + 3 * s.units] = o.v;
}

// A thread adds up every 128th term of the gradients of 4 units, in 8 rows.
__global__ void lstm_backward(const LstmStep s) {
  constexpr int wide = 4, groups = tile / wide, parts = threads / groups, sums = tile * tile;
  __shared__ float partial[parts][sums + 1];
  const Tile here(s);
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32;
  const int first = warp % groups * wide, part = warp / groups * 32 + thread % 32;
  float sum[tile][wide] = {};
  for (int k = part; k < gates * s.units; k += parts) {
    float w[wide];
    for (int u = 0; u < wide; ++u)
      w[u] = s.recurrent[place(here.unit(first + u), gates * s.units, k)];
    for (int r = 0; r < tile; ++r) {
      const float g = s.next_gz[place(here.row(r), gates * s.units, k)];
      for (int u = 0; u < wide; ++u) sum[r][u] += g * w[u];
    }
  }
  for (int r = 0; r < tile; ++r)
    for (int u = 0; u < wide; ++u) partial[part][r * tile + first + u] = sum[r][u];
  __syncthreads();
  // Four threads for each sum.
  constexpr int quarter = parts * sums / threads;
  float total = 0;
  for (int p = 0; p < quarter; ++p) total += partial[thread / sums * quarter + p][thread % sums];
  __syncthreads();
  partial[thread / sums][thread % sums] = total;
  __syncthreads();

  const int r = thread / tile, u = thread % tile;
  if (r >= tile || !here.has(r, u)) return;
  const std::int64_t at = place(here.row(r), s.units, here.unit(u));
  const std::int64_t gate = place(here.row(r), gates * s.units, here.unit(u));
  float gh = partial[0][thread] + partial[1][thread] + partial[2][thread] + partial[3][thread];
  if (s.gy != nullptr) gh += s.gy[here.row(r) * s.gy_stride + here.unit(u)];
  auto load = [&](int g) { return number(s.z[gate + g * s.units]); };
  auto [gc, gi, gf, gg, go] =
      fn::LstmBackward{}(load(0), load(1), load(2), load(3), number(s.tanh_c[at]), number(s.c0[at]),
                         Number<float>::of(gh), number(s.gc[at]));
  s.gc[at] = gc.v;
  s.gz[gate] = gi.v;
  s.gz[gate + s.units] = gf.v;
  s.gz[gate + 2 * s.units] = gg.v;
  s.gz[gate + 3 * s.units] = go.v;
}

void launch_tiles(void (*kernel)(const LstmStep), const LstmStep& step, Stream stream) {
  auto tiles = [](int n) { return static_cast<unsigned>((n + tile - 1) / tile); };
  if (step.rows > 0) launch(kernel, {tiles(step.rows), tiles(step.units)}, threads, stream, step);
}

}  // namespace

void lstm_step(const LstmStep& step, Stream stream) { launch_tiles(lstm_forward, step, stream); }

void lstm_step_back(const LstmStep& step, Stream stream) {
  launch_tiles(lstm_backward, step, stream);
}

}  // namespace keratin::cuda
