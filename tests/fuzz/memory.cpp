// A config may ask for any number of units, and nothing is wrong with a model that does not fit the
// memory. In the targets that build models, memory for tensors is short, so that this is soon found
// out; what is not a tensor's is limited by libFuzzer's -malloc_limit_mb.
#include <cstddef>
#include <cstdlib>

extern "C" void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  constexpr std::size_t most = 4 << 20;
  void* block = nullptr;
  return size <= most && posix_memalign(&block, alignment, size) == 0 ? block : nullptr;
}
