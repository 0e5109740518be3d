#include <sched.h>

#include <atomic>

#include <keratin/core/internal/message.h>
#include <keratin/core/internal/parallel.h>

namespace keratin {
namespace {

std::atomic<int> chosen{0};

int usable_processors() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return omp_get_num_procs();
  return std::max(CPU_COUNT(&set), 1);
}

}  // namespace

int num_threads() {
  if (int n = chosen.load(std::memory_order_relaxed)) return n;
  static const int processors = usable_processors();
  return std::clamp(omp_get_max_threads(), 1, processors);
}

void set_num_threads(int threads) {
  if (threads < 0 || threads > 1024)
    fail("set_num_threads: expected 0 (default) to 1024, got {}", threads);
  chosen = threads;
}

}  // namespace keratin
