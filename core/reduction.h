// The reductions a device provides; the others are composed of them.
#pragma once

namespace keratin {

enum class Reduction { sum, max, min };
inline constexpr int reduction_count = 3;

}  // namespace keratin
