// CUDA_TEST_CASE("..."): a test that says itself where its tensors are. It needs a device, real or
// emulated, and is left out where the whole suite runs on one.
#pragma once

#include <doctest/doctest.h>

#include <keratin/core/device.h>

#include "../on_processor.h"

#ifdef KERATIN_CUDA
inline bool no_device() { return keratin::cuda_device_count() == 0; }
#else
inline bool no_device() { return false; }
#endif

#define CUDA_TEST_CASE(name) TEST_CASE(name* doctest::skip(no_device()) * on_processor())
