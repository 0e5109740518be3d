#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>

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

std::int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Until when this thread works without a team; 0: it has one.
thread_local std::int64_t alone_until = 0;

}  // namespace

int TeamWatch::threads_for(std::int64_t pieces) {
  if (pieces < 2 || omp_in_parallel()) return 1;
  auto threads = static_cast<int>(std::min<std::int64_t>(num_threads(), pieces));
  if (threads > 1 && alone_until != 0) {
    if (now() < alone_until) return 1;
    alone_until = 0;
  }
  return threads;
}

TeamWatch::TeamWatch() : start_(now()) {}

void TeamWatch::own_share_done() { own_ = now(); }

// The shares are alike, so the others should be done soon. Working alone for eight times as long as
// was waited in vain bounds the loss to about an eighth.
void TeamWatch::all_done() {
  std::int64_t end = now(), waited = end - own_, worked = own_ - start_;
  if (waited > 2 * worked + 100'000) alone_until = end + 8 * waited;
}

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
