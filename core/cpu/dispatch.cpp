#include <cstdlib>
#include <string_view>
#include <xsimd/config/xsimd_cpuid.hpp>

#include <keratin/core/cpu/dispatch.h>
#include <keratin/core/internal/message.h>

namespace keratin::cpu {
namespace {

const KernelTable& choose_table() {
  const char* wish = std::getenv("KERATIN_SIMD");
  std::string_view limit = wish == nullptr ? "avx512" : wish;
  if (limit != "avx512" && limit != "avx2" && limit != "baseline")
    fail("KERATIN_SIMD: expected baseline, avx2 or avx512, got \"{}\"", limit);
#ifdef KERATIN_X86
  auto has = xsimd::available_architectures();
  if (limit == "avx512" && has.avx512bw) return float32_avx512_table;
  if (limit != "baseline" && has.fma3_avx2) return float32_avx2_table;
#endif
  return float32_baseline_table;
}

}  // namespace

const KernelTable& float32_table() {
  static const KernelTable& table = choose_table();
  return table;
}

const KernelTable& table_for(DType dtype) {
  switch (dtype) {
    case float32:
      return float32_table();
    case float64:
      return float64_table;
    default:
      return int32_table;
  }
}

}  // namespace keratin::cpu
