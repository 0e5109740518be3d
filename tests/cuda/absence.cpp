// A build with CUDA on a machine without a GPU: asking for one is an error that says why, and the
// processor works.
#include <cstdio>
#include <stdexcept>
#include <string>

#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>

using namespace keratin;

int main() {
  if (cuda_device_count() > 0) {
    std::puts("skipped: there is a GPU");
    return 77;
  }
  std::string message = "no error";
  try {
    set_default_device("cuda:0");
  } catch (const std::invalid_argument& error) {
    message = error.what();
  }
  std::puts(message.c_str());
  const bool works = sum(ones({3, 4})).item() == 12;
  return message.starts_with("device: cuda:0: no CUDA device can be used: ") && works ? 0 : 1;
}
