// Windows that move over the axes of a tensor between its first, the batch, and its last, the
// channels: those of a convolution or a pooling. There are always three such axes; where a tensor
// has fewer, the first ones have size 1.
#pragma once

#include <cstdint>

namespace keratin {

struct Windows {
  struct Axis {
    std::int64_t size = 1;               ///< elements of a window
    std::int64_t stride = 1;             ///< from one window to the next
    std::int64_t dilation = 1;           ///< from one element of a window to the next
    std::int64_t before = 0, after = 0;  ///< elements that are missing at the ends of the axis

    /// From the first element of a window to behind the last.
    constexpr std::int64_t reach() const { return (size - 1) * dilation + 1; }
    /// How many windows there are on an axis of n.
    constexpr std::int64_t count(std::int64_t n) const {
      const std::int64_t room = n + before + after - reach();
      return room < 0 ? 0 : room / stride + 1;
    }
    /// Where element k of window i lies; outside of 0..n-1 it is missing.
    constexpr std::int64_t place(std::int64_t i, std::int64_t k) const {
      return i * stride + k * dilation - before;
    }
  };
  Axis axis[3];

  /// Elements of a window in one channel.
  constexpr std::int64_t size() const { return axis[0].size * axis[1].size * axis[2].size; }
};

}  // namespace keratin
