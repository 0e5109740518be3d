// Random numbers on the processor: the loop over the numbers of a draw.
#pragma once

#include <cstdint>

#include <keratin/core/internal/draw.h>

namespace keratin::cpu {

/// y[i] = number i of the draw, computed in float64.
void random(float* y, std::int64_t n, const Draw& draw);
void random(double* y, std::int64_t n, const Draw& draw);

}  // namespace keratin::cpu
