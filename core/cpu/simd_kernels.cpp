// The float32 kernels, compiled once for each instruction set: the build defines KERATIN_SIMD_ARCH
// (an xsimd architecture) and KERATIN_SIMD_NAME.

#include <keratin/core/cpu/kernel_table.h>
#include <keratin/core/cpu/simd.h>

namespace keratin::cpu {

#define KERATIN_JOIN(a, b, c) a##b##c
#define KERATIN_TABLE(name) KERATIN_JOIN(float32_, name, _table)
#define KERATIN_TEXT2(name) #name
#define KERATIN_TEXT(name) KERATIN_TEXT2(name)

extern const KernelTable KERATIN_TABLE(KERATIN_SIMD_NAME);
using Simd = fn::Simd<xsimd::KERATIN_SIMD_ARCH>;
using Product = PackedProduct<Simd>;
constinit const KernelTable KERATIN_TABLE(KERATIN_SIMD_NAME) = make_table<Vector<Simd>>(
    KERATIN_TEXT(KERATIN_SIMD_NAME),
    {Product::width, Product::lanes == 16, Product::pack, Product::multiply});

}  // namespace keratin::cpu
