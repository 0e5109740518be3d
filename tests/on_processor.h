// TEST_CASE("..." * on_processor()): a test of what only the processor has, such as data() or its
// memory. It is left out where the suite runs on another device.
#pragma once

#include <doctest/doctest.h>

#include <cstdlib>

struct on_processor {
  void fill(doctest::detail::TestCase& test) const {
    test.m_skip = test.m_skip || std::getenv("KERATIN_DEVICE") != nullptr;
  }
};
