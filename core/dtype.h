// Element types. float32 is for work, float64 for checks, int32 for indices, boolean for masks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string_view>

namespace keratin {

enum class DType : std::uint8_t { boolean, int32, float32, float64 };
using enum DType;

/// Bytes per element.
std::size_t size_of(DType dtype);

/// "float32", "float64", "int32" or "bool".
std::string_view name_of(DType dtype);
std::ostream& operator<<(std::ostream& out, DType dtype);  ///< its name

/// The dtype of that name ("float32", "float64", "int32", "bool"). Throws std::invalid_argument.
DType dtype_of(std::string_view name);

/// The smallest type that holds both: bool < int32 < float32 < float64.
DType promote(DType a, DType b);

inline bool is_floating(DType dtype) { return dtype == float32 || dtype == float64; }

/// The float type that weights are made in and that inputs of a model are cast to: float32 unless
/// set, as keras.config.floatx().
DType floatx();
void set_floatx(DType dtype);

/// DType of a C++ type: float, double, std::int32_t or bool.
template <class T>
inline constexpr DType dtype_for = [] {
  static_assert(sizeof(T) == 0, "a tensor holds float, double, std::int32_t or bool");
  return float32;
}();
template <>
inline constexpr DType dtype_for<float> = float32;
template <>
inline constexpr DType dtype_for<double> = float64;
template <>
inline constexpr DType dtype_for<std::int32_t> = int32;
template <>
inline constexpr DType dtype_for<bool> = boolean;

}  // namespace keratin
