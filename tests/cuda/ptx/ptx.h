// What the C++ that translate.cpp makes of PTX calls: an instruction is a function of its name,
// registers are unsigned integers that hold bits. Inlined at once, which halves the time that the
// compiler takes. See NVIDIA's "Parallel Thread Execution ISA".
#pragma once

#include <algorithm>
#include <bit>
#include <cfenv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <type_traits>

#include <emulator.h>

namespace ptx {

/// A kernel, which gets the addresses of its arguments.
using Function = void (*)(const void* const* arguments);

/// Makes a translated kernel known by its mangled name.
struct Registered {
  Registered(const char* name, Function function);
};

// --- registers

template <std::size_t size>
using Bits = std::conditional_t<
    size == 1, std::uint8_t,
    std::conditional_t<size == 2, std::uint16_t,
                       std::conditional_t<size == 4, std::uint32_t, std::uint64_t>>>;

/// A register, or its lower part, as a T.
template <class T, class Register>
__forceinline__ T as(Register r) {
  if constexpr (std::is_same_v<T, bool>)
    return r != 0;
  else
    return std::bit_cast<T>(static_cast<Bits<sizeof(T)>>(r));
}

/// Integers fill a wider register by their sign.
template <class Register, class T>
__forceinline__ void set(Register& r, T x) {
  if constexpr (std::is_floating_point_v<T>) {
    static_assert(sizeof(Register) == sizeof(T));
    r = std::bit_cast<Register>(x);
  } else {
    r = static_cast<Register>(x);
  }
}

// --- memory

inline constexpr std::size_t shared_limit = 48 * 1024;
/// The shared memory of the block that runs in this thread; addresses in it are offsets.
inline thread_local std::byte shared_memory[shared_limit];

inline std::uint64_t address(const void* symbol) { return reinterpret_cast<std::uint64_t>(symbol); }
inline std::uint64_t address(std::uint64_t offset) { return offset; }

/// Where a load or store of so many bytes goes.
inline std::byte* place(std::uint64_t at, std::size_t bytes) {
  if (at % bytes != 0) throw std::runtime_error("PTX: an address is not aligned");
  return reinterpret_cast<std::byte*>(at);
}
inline std::byte* shared_place(std::uint64_t at, std::size_t bytes) {
  if (at % bytes != 0) throw std::runtime_error("PTX: a shared address is not aligned");
  if (at + bytes > shared_limit) throw std::runtime_error("PTX: beyond shared memory");
  return shared_memory + at;
}
template <class T>
__forceinline__ T load(const std::byte* at) {
  T x;
  std::memcpy(&x, at, sizeof x);
  return x;
}
template <class T>
__forceinline__ void store(std::byte* at, T x) {
  std::memcpy(at, &x, sizeof x);
}

// --- arithmetic. Signed integers wrap around, so they are computed as unsigned ones.

template <class T>
struct Arithmetic {
  using type = T;
};
template <class T>
requires std::is_integral_v<T>
struct Arithmetic<T> {
  using type = std::conditional_t<(sizeof(T) < 4), std::uint32_t, std::make_unsigned_t<T>>;
};
template <class T>
using Unsigned = typename Arithmetic<T>::type;

/// Keeps the compiler from moving a computation out of a change of the rounding mode.
template <class T>
T opaque(T x) {
  asm volatile("" : "+m"(x));
  return x;
}
template <int mode, class F>
auto rounded(const F& f) {
  std::fesetround(mode);
  auto y = opaque(f());
  std::fesetround(FE_TONEAREST);
  return y;
}

// clang-format off
template <class T> __forceinline__ T add(T x, T y) { return static_cast<T>(Unsigned<T>(x) + Unsigned<T>(y)); }
template <class T> __forceinline__ T sub(T x, T y) { return static_cast<T>(Unsigned<T>(x) - Unsigned<T>(y)); }
template <class T> __forceinline__ T mul(T x, T y) { return x * y; }
template <class T> __forceinline__ T mul_lo(T x, T y) { return static_cast<T>(Unsigned<T>(x) * Unsigned<T>(y)); }
template <class T> __forceinline__ T mad_lo(T x, T y, T z) { return add(mul_lo(x, y), z); }
template <class T> __forceinline__ T neg(T x) { if constexpr (std::is_integral_v<T>) return sub(T{0}, x); else return -x; }
template <class T> __forceinline__ T abs(T x) { if constexpr (std::is_integral_v<T>) return x < 0 ? neg(x) : x; else return std::fabs(x); }
template <class T> __forceinline__ T add_rn(T x, T y) { return x + y; }
template <class T> __forceinline__ T sub_rn(T x, T y) { return x - y; }
template <class T> __forceinline__ T mul_rn(T x, T y) { return x * y; }
template <class T> __forceinline__ T div_rn(T x, T y) { return x / y; }
template <class T> __forceinline__ T rcp_rn(T x) { return 1 / x; }
template <class T> __forceinline__ T sqrt_rn(T x) { return std::sqrt(x); }
template <class T> __forceinline__ T fma_rn(T x, T y, T z) { return std::fma(x, y, z); }
template <class T> __forceinline__ T fma_rm(T x, T y, T z) { return rounded<FE_DOWNWARD>([&] { return std::fma(opaque(x), y, z); }); }
template <class T> __forceinline__ T add_rz(T x, T y) { return rounded<FE_TOWARDZERO>([&] { return opaque(x) + y; }); }
template <class T> __forceinline__ T copysign(T sign, T x) { return std::copysign(x, sign); }
template <class T> __forceinline__ T select(T x, T y, bool c) { return c ? x : y; }

// Of a number and NaN, the number.
template <class T> __forceinline__ T min(T x, T y) { if constexpr (std::is_integral_v<T>) return std::min(x, y); else return std::fmin(x, y); }
template <class T> __forceinline__ T max(T x, T y) { if constexpr (std::is_integral_v<T>) return std::max(x, y); else return std::fmax(x, y); }

template <class T> using Wide = std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>;
template <class T> __forceinline__ Wide<T> mul_wide(T x, T y) { return Wide<T>{x} * Wide<T>{y}; }
template <class T> __forceinline__ Wide<T> mad_wide(T x, T y, Wide<T> z) { return add(mul_wide(x, y), z); }
template <class T> __forceinline__ T mul_hi(T x, T y) {
  __extension__ using Product = std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>;
  return static_cast<T>((Product{x} * Product{y}) >> (8 * sizeof(T)));
}

// What a division by zero gives is not specified; here it is an error.
template <class T> void check_divisor(T y) { if (y == 0) throw std::runtime_error("PTX: an integer division by zero"); }
template <class T> __forceinline__ T div(T x, T y) { check_divisor(y); return std::is_signed_v<T> && y == T(-1) ? neg(x) : x / y; }
template <class T> __forceinline__ T rem(T x, T y) { check_divisor(y); return std::is_signed_v<T> && y == T(-1) ? 0 : x % y; }

template <class T> __forceinline__ T bit_and(T x, T y) { return x & y; }
template <class T> __forceinline__ T bit_or(T x, T y) { return x | y; }
template <class T> __forceinline__ T bit_xor(T x, T y) { return x ^ y; }
template <class T> __forceinline__ T bit_not(T x) { if constexpr (std::is_same_v<T, bool>) return !x; else return static_cast<T>(~x); }
template <class T> __forceinline__ T shl(T x, std::uint32_t by) { return by < 8 * sizeof(T) ? static_cast<T>(Unsigned<T>(x) << by) : 0; }
template <class T> __forceinline__ T shr(T x, std::uint32_t by) { return static_cast<T>(by < 8 * sizeof(T) ? x >> by : x < 0 ? -1 : 0); }
template <class T> __forceinline__ std::uint32_t clz(T x) { return static_cast<std::uint32_t>(std::countl_zero(x)); }
template <class T> __forceinline__ std::uint32_t popc(T x) { return static_cast<std::uint32_t>(std::popcount(x)); }
// y, with the lowest `bits` bits of x from bit `at` on.
template <class T> __forceinline__ T bfi(T x, T y, std::uint32_t at, std::uint32_t bits) {
  T mask = shl(sub(shl(T{1}, bits & 255), T{1}), at & 255);
  return (y & ~mask) | (shl(x, at & 255) & mask);
}

// Sums and products with the carry, of 32 bits.
inline std::uint32_t with_carry(std::uint64_t sum, std::uint32_t& carry) { carry = sum >> 32 & 1; return static_cast<std::uint32_t>(sum); }
template <class T> __forceinline__ T add_cc(T x, T y, T& carry) { return with_carry(std::uint64_t{x} + y, carry); }
template <class T> __forceinline__ T addc_cc(T x, T y, T& carry) { return with_carry(std::uint64_t{x} + y + carry, carry); }
template <class T> __forceinline__ T addc(T x, T y, T& carry) { return x + y + carry; }
template <class T> __forceinline__ T sub_cc(T x, T y, T& carry) { return with_carry(std::uint64_t{x} - y, carry); }
template <class T> __forceinline__ T subc_cc(T x, T y, T& carry) { return with_carry(std::uint64_t{x} - y - carry, carry); }
template <class T> __forceinline__ T subc(T x, T y, T& carry) { return x - y - carry; }
template <class T> __forceinline__ T mad_lo_cc(T x, T y, T z, T& carry) { return add_cc(mul_lo(x, y), z, carry); }
template <class T> __forceinline__ T madc_lo_cc(T x, T y, T z, T& carry) { return addc_cc(mul_lo(x, y), z, carry); }
template <class T> __forceinline__ T madc_hi_cc(T x, T y, T z, T& carry) { return addc_cc(mul_hi(x, y), z, carry); }
template <class T> __forceinline__ T madc_hi(T x, T y, T z, T& carry) { return addc(mul_hi(x, y), z, carry); }

// Approximations: by the host's functions, which are closer; rcp of float64 has 20 bits only. With
// ftz a subnormal number counts as 0.
template <class T> __forceinline__ T ftz(T x) { return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(T{0}, x) : x; }
template <class T> __forceinline__ T ex2_approx(T x) { return std::exp2(x); }
template <class T> __forceinline__ T ex2_approx_ftz(T x) { return ftz(std::exp2(ftz(x))); }
template <class T> __forceinline__ T lg2_approx(T x) { return std::log2(x); }
template <class T> __forceinline__ T rcp_approx_ftz(T x) {
  T y = ftz(1 / ftz(x));
  if constexpr (sizeof(T) == 8) if (y == y) y = std::bit_cast<T>(std::bit_cast<std::uint64_t>(y) & ~0xffffffffull);
  return y;
}

// Comparisons. Those that end in u hold where an operand is NaN; the others do not.
template <class T> __forceinline__ bool unordered(T x, T y) { return x != x || y != y; }
template <class T> __forceinline__ bool eq(T x, T y) { return x == y; }
template <class T> __forceinline__ bool ne(T x, T y) { return x != y && !unordered(x, y); }
template <class T> __forceinline__ bool lt(T x, T y) { return x < y; }
template <class T> __forceinline__ bool le(T x, T y) { return x <= y; }
template <class T> __forceinline__ bool gt(T x, T y) { return x > y; }
template <class T> __forceinline__ bool ge(T x, T y) { return x >= y; }
template <class T> __forceinline__ bool equ(T x, T y) { return x == y || unordered(x, y); }
template <class T> __forceinline__ bool neu(T x, T y) { return x != y; }
template <class T> __forceinline__ bool ltu(T x, T y) { return !(x >= y); }
template <class T> __forceinline__ bool leu(T x, T y) { return !(x > y); }
template <class T> __forceinline__ bool gtu(T x, T y) { return !(x <= y); }
template <class T> __forceinline__ bool geu(T x, T y) { return !(x < y); }
template <class T> __forceinline__ bool num(T x, T y) { return !unordered(x, y); }
template <class T> __forceinline__ bool nan(T x, T y) { return unordered(x, y); }

// Conversions. Numbers beyond an integer's range become its nearest bound. NaN becomes 0 where both
// types have 32 bits or less, else only the first bit is set.
template <class To, class From> __forceinline__ To cvt(From x) { return static_cast<To>(x); }
template <class To, class From> __forceinline__ To cvt_rn(From x) { return static_cast<To>(x); }
template <class To, class From> __forceinline__ To whole(From x) {
  if constexpr (std::is_floating_point_v<To>) {
    return x;
  } else {
    if (x != x) return sizeof(To) == 8 || sizeof(From) == 8 ? static_cast<To>(std::uint64_t{1} << (8 * sizeof(To) - 1)) : To{0};
    if (x <= static_cast<From>(std::numeric_limits<To>::min())) return std::numeric_limits<To>::min();
    if (x >= static_cast<From>(std::numeric_limits<To>::max())) return std::numeric_limits<To>::max();
    return static_cast<To>(x);
  }
}
template <class To, class From> __forceinline__ To cvt_rni(From x) { return whole<To>(std::nearbyint(x)); }
template <class To, class From> __forceinline__ To cvt_rzi(From x) { return whole<To>(std::trunc(x)); }
template <class To, class From> __forceinline__ To cvt_rmi(From x) { return whole<To>(std::floor(x)); }
template <class To, class From> __forceinline__ To cvt_rpi(From x) { return whole<To>(std::ceil(x)); }
template <class To, class From> __forceinline__ To cvt_sat(From x) { return x > 0 ? std::min(x, From{1}) : From{0}; }
// clang-format on

}  // namespace ptx
