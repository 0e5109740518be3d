// Where a tensor's memory lives. Every tensor carries its device; the kernels of that device do its
// arithmetic (core/kernels.h).
#pragma once

#include <cstdint>

namespace keratin {

struct Device {
  enum class Type : std::uint8_t { cpu, cuda };
  Type type = Type::cpu;
  std::uint8_t index = 0;

  bool operator==(const Device&) const = default;
};

}  // namespace keratin
