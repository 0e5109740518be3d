#include <algorithm>

#include <keratin/autograd/internal/window_options.h>
#include <keratin/core/internal/message.h>

namespace keratin {

std::int64_t for_axis(const char* who, const char* what, const PerAxis& values, int axes, int axis,
                      std::int64_t least) {
  if (values.size() != 1 && static_cast<int>(values.size()) != axes)
    fail("{}: {}: expected one number, or one for each of {} axes, got {}", who, what, axes,
         values.size());
  const std::int64_t value = values[values.size() == 1 ? 0 : static_cast<std::size_t>(axis)];
  if (value < least) fail("{}: expected {} of at least {}, got {}", who, what, least, value);
  return value;
}

void check_padding(const char* who, const std::string& padding, bool causal) {
  if (padding == "valid" || padding == "same" || (padding == "causal" && causal)) return;
  fail("{}: expected padding \"valid\"{}, got \"{}\"", who,
       causal ? ", \"same\" or \"causal\"" : " or \"same\"", padding);
}

Windows windows_of(const char* who, const PerAxis& sizes, const PerAxis& strides,
                   const PerAxis& dilation, int axes) {
  Windows windows;
  for (int i = 0; i < axes; ++i) {
    Windows::Axis& axis = windows.axis[3 - axes + i];
    axis.size = for_axis(who, "a size", sizes, axes, i, 1);
    axis.stride = for_axis(who, "strides", strides, axes, i, 1);
    axis.dilation = for_axis(who, "dilation_rate", dilation, axes, i, 1);
  }
  return windows;
}

std::int64_t pad_axis(const char* who, const std::string& padding, Windows::Axis& axis,
                      std::int64_t n) {
  if (padding == "same") {
    const std::int64_t count = (n + axis.stride - 1) / axis.stride;
    const std::int64_t missing =
        std::max<std::int64_t>((count - 1) * axis.stride + axis.reach() - n, 0);
    axis.before = missing / 2;
    axis.after = missing - axis.before;
  } else if (padding == "causal") {
    axis.before = axis.reach() - 1;
  }
  const std::int64_t count = axis.count(n);
  if (count == 0)
    fail("{}: a window that reaches over {} elements does not fit an axis of {}", who, axis.reach(),
         n);
  return count;
}

std::int64_t transposed_extent(const std::string& padding, Windows::Axis& axis, std::int64_t m,
                               const std::optional<std::int64_t>& output_padding) {
  const bool same = padding == "same";
  const std::int64_t reach = axis.reach(), last = (m - 1) * axis.stride;  // where one begins
  const std::int64_t beyond = output_padding ? (same ? reach % 2 : reach) + *output_padding
                              : same         ? axis.stride
                                             : std::max(reach, axis.stride);
  if (same) {
    // What Keras cuts off in front (keras/src/backend/common/backend_utils.py).
    const std::int64_t whole = beyond + reach - 2;
    axis.before = reach - 1 - std::min((whole + 1) / 2, reach - 1);
  }
  // The last window may reach further than what is left.
  axis.after = std::max<std::int64_t>(reach - axis.before - beyond, 0);
  return m == 0 ? 0 : last + beyond;
}

}  // namespace keratin
