#include <algorithm>
#include <array>
#include <atomic>
#include <ostream>

#include <keratin/core/internal/message.h>

namespace keratin {
namespace {

struct Entry {
  std::string_view name;
  std::size_t size;
};
constexpr std::array<Entry, 4> entries{{{"bool", 1}, {"int32", 4}, {"float32", 4}, {"float64", 8}}};

std::atomic<DType> default_float{float32};

}  // namespace

std::size_t size_of(DType dtype) { return entries[static_cast<int>(dtype)].size; }

std::string_view name_of(DType dtype) { return entries[static_cast<int>(dtype)].name; }

std::ostream& operator<<(std::ostream& out, DType dtype) { return out << name_of(dtype); }

DType dtype_of(std::string_view name) {
  for (std::size_t i = 0; i < entries.size(); ++i)
    if (entries[i].name == name) return static_cast<DType>(i);
  fail("dtype: unknown name \"{}\". Known: bool, int32, float32, float64", name);
}

DType promote(DType a, DType b) { return std::max(a, b); }

DType floatx() { return default_float.load(std::memory_order_relaxed); }

void set_floatx(DType dtype) {
  if (!is_floating(dtype)) fail("set_floatx: expected float32 or float64, got {}", dtype);
  default_float = dtype;
}

}  // namespace keratin
