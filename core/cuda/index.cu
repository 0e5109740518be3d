// Indexing. The results do not depend on the order in which threads run: no atomic operations.

#include <bit>

#include <keratin/core/cuda/block.h>
#include <keratin/core/cuda/loop.h>

namespace keratin::cuda {
namespace {

constexpr std::int64_t most_checkers = 1024;

// A single block, whose threads can agree on the first bad position.
__global__ void check_all(const char* who, std::int32_t* y, const std::int32_t* indices,
                          std::int64_t count, std::int64_t lowest, std::int64_t extent,
                          IndexFault* fault) {
  std::int64_t own = count;  // where this thread saw its first bad index,
  std::int32_t bad = 0;      // and what that is
  for (std::int64_t i = threadIdx.x; i < count; i += blockDim.x) {
    std::int32_t index = indices[i];
    std::int64_t place = index < 0 ? index + extent : index;
    const bool in_range = index >= lowest && place < extent;
    if (!in_range && own == count) {
      own = i;
      bad = index;
    }
    y[i] = in_range ? static_cast<std::int32_t>(place) : 0;
  }
  const std::int64_t first = across<most_checkers>(
      whole_block(), own, [](std::int64_t a, std::int64_t b) { return std::min(a, b); });
  if (own < count && own == first && fault->found == 0) *fault = {1, bad, own, extent, who};
}

template <class T>
__global__ void take_elements(T* y, const T* x, const std::int32_t* indices, std::int64_t count,
                              const Middle size) {
  for_elements(size.outer * count * size.inner, [&](std::int64_t i) {
    Division row = divide(i, size.inner), place = divide(row.quotient, count);
    std::int64_t from = place.quotient * size.n + indices[place.remainder];
    y[i] = x[from * size.inner + row.remainder];
  });
}

// A thread for each window and channel.
template <class T>
__global__ void find_largest(T* y, std::int32_t* index, const T* x, const Pooling p) {
  const std::int64_t total = p.batch * p.m[0] * p.m[1] * p.m[2] * p.channels;
  for_elements(total, [&](std::int64_t i) {
    const Division channel = divide(i, p.channels), third = divide(channel.quotient, p.m[2]);
    const Division second = divide(third.quotient, p.m[1]), first = divide(second.quotient, p.m[0]);
    std::int64_t best = -1;
    for (std::int64_t k0 = 0; k0 < p.windows.axis[0].size; ++k0)
      for (std::int64_t k1 = 0; k1 < p.windows.axis[1].size; ++k1)
        for (std::int64_t k2 = 0; k2 < p.windows.axis[2].size; ++k2) {
          const std::int64_t p0 = p.windows.axis[0].place(first.remainder, k0);
          const std::int64_t p1 = p.windows.axis[1].place(second.remainder, k1);
          const std::int64_t p2 = p.windows.axis[2].place(third.remainder, k2);
          if (p0 < 0 || p0 >= p.n[0] || p1 < 0 || p1 >= p.n[1] || p2 < 0 || p2 >= p.n[2]) continue;
          const std::int64_t here =
              (((first.quotient * p.n[0] + p0) * p.n[1] + p1) * p.n[2] + p2) * p.channels +
              channel.remainder;
          const T value = x[here], top = best < 0 ? value : x[best];
          if (best < 0 || value > top || (value != value && top == top)) best = here;
        }
    y[i] = x[best];
    if (index != nullptr) index[i] = static_cast<std::int32_t>(best);
  });
}

// A thread for each element of y looks for its index among all of them.
template <class T>
__global__ void add_elements(T* y, const T* x, const std::int32_t* indices, std::int64_t count,
                             const Middle size) {
  for_elements(size.outer * size.n * size.inner, [&](std::int64_t i) {
    Division row = divide(i, size.inner), place = divide(row.quotient, size.n);
    const T* column = x + place.quotient * count * size.inner + row.remainder;
    T sum = y[i];
    for (std::int64_t j = 0; j < count; ++j)
      if (indices[j] == place.remainder) sum = static_cast<T>(sum + column[j * size.inner]);
    y[i] = sum;
  });
}

// A thread for each element of y finds its index among the sorted ones.
template <class T>
__global__ void add_elements_sorted(T* y, const T* x, const std::int32_t* keys,
                                    const std::int32_t* places, std::int64_t count,
                                    const Middle size) {
  for_elements(size.outer * size.n * size.inner, [&](std::int64_t i) {
    Division row = divide(i, size.inner), place = divide(row.quotient, size.n);
    const T* column = x + place.quotient * count * size.inner + row.remainder;
    std::int64_t first = 0, last = count;  // where the keys reach place.remainder
    while (first < last) {
      const std::int64_t middle = first + (last - first) / 2;
      if (keys[middle] < place.remainder)
        first = middle + 1;
      else
        last = middle;
    }
    T sum = y[i];
    for (; first < count && keys[first] == place.remainder; ++first)
      sum = static_cast<T>(sum + column[places[first] * size.inner]);
    y[i] = sum;
  });
}

constexpr std::int64_t keys_per_thread = 64;
constexpr int digits = 1 << digit_bits;

__device__ int digit_of(std::int32_t key, int shift) { return key >> shift & (digits - 1); }

__global__ void count_share(std::int32_t* counts, const std::int32_t* keys, std::int64_t count,
                            int shift, std::int64_t threads) {
  for_elements(threads, [&](std::int64_t t) {
    std::int32_t own[digits] = {};
    const std::int64_t end = std::min(count, (t + 1) * keys_per_thread);
    for (std::int64_t i = t * keys_per_thread; i < end; ++i)
      for (int d = 0; d < digits; ++d) own[d] += digit_of(keys[i], shift) == d;  // in registers
    for (int d = 0; d < digits; ++d) counts[d * threads + t] = own[d];
  });
}

// The sums say where the keys of a digit that a thread has end; it places its last one first.
__global__ void move_share(std::int32_t* keys_out, std::int32_t* places_out,
                           const std::int32_t* keys, const std::int32_t* places,
                           const std::int32_t* sums, std::int64_t count, int shift,
                           std::int64_t threads) {
  for_elements(threads, [&](std::int64_t t) {
    std::int32_t placed[digits] = {};
    const std::int64_t begin = t * keys_per_thread;
    for (std::int64_t i = std::min(count, begin + keys_per_thread) - 1; i >= begin; --i) {
      const int digit = digit_of(keys[i], shift);
      std::int32_t before = 0;
      for (int d = 0; d < digits; ++d) before += d == digit ? ++placed[d] : 0;
      const std::int64_t to = sums[digit * threads + t] - before;
      keys_out[to] = keys[i];
      places_out[to] = places == nullptr ? static_cast<std::int32_t>(i) : places[i];
    }
  });
}

}  // namespace

void check_indices(const char* who, Elements y, Elements indices, std::int64_t count,
                   std::int64_t lowest, std::int64_t extent, IndexFault* fault, Stream stream) {
  if (count == 0) return;
  const auto checkers = std::bit_ceil(static_cast<unsigned>(std::min(count, most_checkers)));
  launch(check_all, 1, checkers, stream, who, y, indices, count, lowest, extent, fault);
}

void take(Elements y, Elements x, Elements indices, std::int64_t count, const Middle& size,
          Stream stream) {
  with_any_type(x.dtype, [&](auto type) {
    launch_for(size.outer * count * size.inner, take_elements<decltype(type)>, stream, y, x,
               indices, count, size);
  });
}

void max_pool(Elements y, Elements index, Elements x, const Pooling& p, Stream stream) {
  with_type<float, double>(x.dtype, [&](auto type) {
    launch_for(p.batch * p.m[0] * p.m[1] * p.m[2] * p.channels, find_largest<decltype(type)>,
               stream, y, index, x, p);
  });
}

void scatter_add(Elements y, Elements x, Elements indices, std::int64_t count, const Middle& size,
                 Stream stream) {
  if (count == 0) return;
  with_any_type(x.dtype, [&](auto type) {
    launch_for(size.outer * size.n * size.inner, add_elements<decltype(type)>, stream, y, x,
               indices, count, size);
  });
}

void scatter_add_sorted(Elements y, Elements x, Elements keys, Elements places, std::int64_t count,
                        const Middle& size, Stream stream) {
  with_any_type(x.dtype, [&](auto type) {
    launch_for(size.outer * size.n * size.inner, add_elements_sorted<decltype(type)>, stream, y, x,
               keys, places, count, size);
  });
}

std::int64_t sort_threads(std::int64_t count) {
  return (count + keys_per_thread - 1) / keys_per_thread;
}

void count_digits(Elements counts, Elements keys, std::int64_t count, int shift, Stream stream) {
  const std::int64_t threads = sort_threads(count);
  launch_for(threads, count_share, stream, counts, keys, count, shift, threads);
}

void move_by_digit(Elements keys_out, Elements places_out, Elements keys, Elements places,
                   Elements sums, std::int64_t count, int shift, Stream stream) {
  const std::int64_t threads = sort_threads(count);
  launch_for(threads, move_share, stream, keys_out, places_out, keys, places, sums, count, shift,
             threads);
}

}  // namespace keratin::cuda
