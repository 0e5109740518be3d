// PerAxis as an option: Keras writes a list with one number for each axis.
#pragma once

#include <algorithm>

#include <keratin/autograd/internal/window_options.h>
#include <keratin/autograd/ops.h>
#include <keratin/core/config.h>

namespace keratin {

inline Option to_option(const PerAxis& value) {
  std::vector<Option> list;
  for (std::int64_t number : value) list.push_back(number);
  return list;
}

inline bool from_option(const Option& option, PerAxis& value) {
  value.clear();
  if (option.is_none()) return true;
  auto add = [&value](const Option& one) {
    auto* number = std::get_if<std::int64_t>(&one);
    if (number != nullptr) value.push_back(*number);
    return number != nullptr;
  };
  auto* list = std::get_if<std::vector<Option>>(&option);
  if (list == nullptr) return add(option);
  return !list->empty() && std::ranges::all_of(*list, add);
}

/// One number for each axis, where there may be one for all.
inline void fill_axes(const char* who, const char* what, PerAxis& values, int axes,
                      std::int64_t least) {
  PerAxis each;
  for (int axis = 0; axis < axes; ++axis)
    each.push_back(for_axis(who, what, values, axes, axis, least));
  values = each;
}

}  // namespace keratin
