// Snapshots from a file that was damaged: a field is what it can be, or an error that names it.

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include <keratin/core/create.h>
#include <keratin/core/snapshot.h>

#include "error_of.h"

TEST_SUITE_BEGIN("core");

using namespace keratin;

namespace {

Snapshot holding(const std::string& name, const Tensor& value) {
  return Snapshot({{name, value}}, "file");
}

Tensor number(double value) { return full({1}, value, float64); }

}  // namespace

TEST_CASE("a field that counts takes whole numbers of its range alone") {
  for (double odd : {std::nan(""), 0.5, 2147483648.0, -1e300, HUGE_VAL}) {
    CAPTURE(odd);
    int value = 3;
    CHECK(error_of([&] {
            holding("n", number(odd)).field("n", value);
          }).starts_with("file: \"n\": expected a whole number"));
  }
  int value = 3;
  holding("n", number(-2147483648.0)).field("n", value);
  CHECK(value == -2147483648);
}

TEST_CASE("a field of text takes letters alone") {
  Snapshot noted;
  std::string text = "größe";
  noted.field("t", text);
  std::string read;
  Snapshot(noted.arrays(), "file").field("t", read);
  CHECK(read == "größe");
  for (double odd : {std::nan(""), 0.5, 256.0, -129.0, 1e300})
    CHECK(error_of([&] {
            holding("t", number(odd)).field("t", read);
          }).starts_with("file: \"t\": expected a text"));
}

TEST_CASE("a list of tensors is not made as long as a damaged file says") {
  std::vector<Tensor> values;
  for (double odd : {-1.0, 2e9})
    CHECK(error_of([&] {
            holding("v", number(odd)).field("v", values);
          }).starts_with("file: \"v\": expected a count"));
}

TEST_CASE("a tensor that is there is replaced by one of its dtype and shape alone") {
  Tensor sums = zeros({2}, float64);
  auto restoring = [&](const Tensor& value) {
    return error_of([&] { holding("sums", value).field("sums", sums); });
  };
  CHECK(restoring(zeros({3}, float64)) ==
        "file: \"sums\": expected float64 (2,), found float64 (3,)");
  CHECK(restoring(zeros({2}, float32)) ==
        "file: \"sums\": expected float64 (2,), found float32 (2,)");
  CHECK(error_of([&] { Snapshot({}, "file").field("sums", sums); }) ==
        "file: \"sums\": expected float64 (2,), found none");
  CHECK(restoring(ones({2}, float64)) == "no error");
  CHECK(sums.item(1) == 1);
  Tensor later = zeros({0}, float64);  // its size is not known yet
  holding("sums", ones({4}, float64)).field("sums", later);
  CHECK(later.shape() == Shape{4});
}
