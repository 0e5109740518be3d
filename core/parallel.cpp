// Threads by OpenMP. A loop's parts are tasks: whichever thread of the team is free takes the next
// one, and the caller takes them all if no other thread comes in time. So a thread that has lost
// its processor to another program delays nobody before it has begun a part.

#include <omp.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <exception>

#include <keratin/core/internal/message.h>
#include <keratin/core/internal/parallel.h>

namespace keratin {
namespace {

std::atomic<int> chosen{0};

// Asking the system takes longer than a small loop.
int processors() {
  static const int count = omp_get_num_procs();
  return count;
}

// Whether a thread has a team. There is one team at a time: many threads that predict at once are
// parallel already, and each works alone.
std::atomic<bool> team_taken{false};

// A child process has none of its parent's threads, and OpenMP would wait for them: it works alone.
void work_alone_from_now_on() { team_taken = true; }

bool take_team() {
  static const int registered = pthread_atfork(nullptr, nullptr, work_alone_from_now_on);
  static_cast<void>(registered);
  return !team_taken.exchange(true, std::memory_order_acquire);
}

}  // namespace

std::int64_t threads_for(std::int64_t n, std::int64_t threads) {
  if (n < 2 || threads < 2 || omp_in_final()) return 1;
  return std::min({n, threads, static_cast<std::int64_t>(num_threads())});
}

void with_team(const std::function<void()>& f) {
  const int threads = std::min(num_threads(), processors());
  if (threads < 2 || omp_in_parallel() || !take_team()) return f();
  std::exception_ptr error;
#pragma omp parallel num_threads(threads)
#pragma omp master
  try {
    f();
  } catch (...) {
    error = std::current_exception();
  }
  team_taken.store(false, std::memory_order_release);
  if (error) std::rethrow_exception(error);
}

void share_out(std::int64_t n, std::int64_t threads,
               void (*part)(const void* body, std::int64_t begin, std::int64_t end),
               const void* body) {
  if (!omp_in_parallel()) {
    auto loop = [&] { omp_in_parallel() ? share_out(n, threads, part, body) : part(body, 0, n); };
    return with_team(std::ref(loop));  // which may find the team taken
  }
  const FloatingPointMode mode = FloatingPointMode::current();
  auto run = [=](std::int64_t i) {
    WithMode here(mode);
    part(body, n * i / threads, n * (i + 1) / threads);
  };
  // Loops inside a final task find omp_in_final() and run alone.
  for (std::int64_t i = 1; i < threads; ++i) {
#pragma omp task final(true) firstprivate(i) shared(run)
    run(i);
  }
#pragma omp task final(true) if (false) shared(run)
  run(0);
#pragma omp taskwait
}

int num_threads() {
  if (int n = chosen.load(std::memory_order_relaxed)) return n;
  return std::clamp(omp_get_max_threads(), 1, processors());
}

void set_num_threads(int threads) {
  if (threads < 0 || threads > 1024)
    fail("set_num_threads: expected 0 (default) to 1024, got {}", threads);
  chosen = threads;
}

}  // namespace keratin
