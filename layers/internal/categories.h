// Categories as numbers: the ids that layers are given, and the codes that they make of ids.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <keratin/core/config.h>
#include <keratin/core/tensor.h>

namespace keratin {

/// The inputs as int32, whole numbers in 0..count-1. Others are an error, on a device when somebody
/// waits.
Tensor checked_ids(const char* who, const Tensor& inputs, std::int64_t count);

/// The inputs on the processor, row-major; numbers that are not whole are an error.
std::vector<std::int64_t> whole_numbers(const Tensor& inputs);

/// int32 ids in 0..depth as an output mode has them. "int": as they are. "one_hot": each of them
/// with 1 in a new last axis of `depth`; an axis of size 1 that was last makes room for it.
/// "multi_hot" and "count": the last axis is a sample, of which stays whether each id is there, or
/// how often. An id that equals `depth` leaves no trace. Weights of the shape of the ids make
/// "count" a sum of them.
Tensor encode(const Tensor& ids, const std::string& output_mode, std::int64_t depth, DType dtype,
              const Tensor& weights = {});

/// The shape of what encode gives.
Shape encoded_shape(const Shape& ids, const std::string& output_mode, std::int64_t depth);

/// A list as an option, where None stands for an empty one.
template <class T>
Field tokens_field(const std::string& name, std::vector<T>& tokens) {
  auto read = [&tokens]() -> Option {
    if (tokens.empty()) return {};
    return std::vector<Option>(tokens.begin(), tokens.end());
  };
  auto write = [&tokens](const Option& value) {
    tokens.clear();
    if (value.is_none()) return true;
    auto* list = std::get_if<std::vector<Option>>(&value);
    return list != nullptr && std::ranges::all_of(*list, [&](const Option& token) {
             return from_option(token, tokens.emplace_back());
           });
  };
  return {name, read, write};
}

}  // namespace keratin
