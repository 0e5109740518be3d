// The same kernels on plain numbers: float64 for checks, int32 for indices.

#include <keratin/core/cpu/kernel_table.h>

namespace keratin::cpu {

constinit const KernelTable float64_table = make_table<Plain<double>>("float64");
constinit const KernelTable int32_table = make_table<Plain<std::int32_t>>("int32");

}  // namespace keratin::cpu
