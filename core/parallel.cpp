// Threads by OpenMP: a parallel region is a team, whose master runs the program while the others
// wait for loops. Whichever thread is free takes the next part of a loop, and the master takes
// those that nobody has begun. So inside a team a thread that has lost its processor to another
// program delays nobody before it has begun a part.
//
// The parts are not OpenMP tasks: LLVM's runtime crashes after the end of a thread whose tasks
// another one ran.

#include <omp.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <utility>

#include <keratin/core/internal/message.h>
#include <keratin/core/internal/parallel.h>

namespace keratin {
namespace {

constexpr int most_threads = 1024;
std::atomic<int> chosen{0};

// Asking the system takes longer than a small loop.
int processors() {
  static const int count = omp_get_num_procs();
  return count;
}

// How long a thread looks before it sleeps: longer than a master works between two loops of a step.
constexpr std::chrono::milliseconds awake{1};

void wait_for_change(const std::atomic<std::uint32_t>& value, std::uint32_t from) {
  const auto begin = std::chrono::steady_clock::now();
  do {
    for (int look = 0; look < 100; ++look) {
      if (value != from) return;
#if defined(__SSE2__)
      _mm_pause();
#endif
    }
  } while (std::chrono::steady_clock::now() - begin < awake);
  value.wait(from);
}

// The loops of a team, one after another. The master shares them out; the others serve.
class Team {
 public:
  /// By the master: runs body(i) for i = 0..parts-1, shared out.
  template <class Body>
  void share(std::uint32_t parts, const Body& body) {
    body_ = &body;
    run_ = [](const void* it, std::uint32_t i) noexcept { (*static_cast<const Body*>(it))(i); };
    parts_ = unfinished_ = parts;
    ticket_ += next_loop + parts;
    ticket_.notify_all();
    take_parts();
    while (const std::uint32_t left = unfinished_) wait_for_change(unfinished_, left);
  }

  /// By the others: takes parts until the master calls end().
  void serve() {
    for (std::uint32_t ticket; !((ticket = take_parts()) & ended);)
      wait_for_change(ticket_, ticket);
  }
  void end() {
    ticket_ |= ended;
    ticket_.notify_all();
  }

 private:
  // Does parts until none is left to begin; returns the ticket that says so.
  std::uint32_t take_parts() {
    std::uint32_t ticket = ticket_;
    while (const std::uint32_t left = ticket % ended) {
      if (!ticket_.compare_exchange_weak(ticket, ticket - 1)) continue;
      run_(body_, parts_ - left);
      if (--unfinished_ == 0) unfinished_.notify_one();
      ticket = ticket_;
    }
    return ticket;
  }

  // The last bits of the ticket say how many parts of the loop nobody has begun. The thread that
  // counts one down owns a part, and the loop waits for it. Then comes the bit that ends the team;
  // the bits above it change with each loop.
  static constexpr std::uint32_t ended = 2048, next_loop = 2 * ended;
  static_assert(most_threads < ended);
  std::atomic<std::uint32_t> ticket_{0}, unfinished_{0};
  std::uint32_t parts_ = 0;
  const void* body_ = nullptr;
  void (*run_)(const void* body, std::uint32_t i) noexcept = nullptr;
};

// The team that this thread is the master of; none while it runs a part.
thread_local Team* team = nullptr;

// Whether a thread has a team. There is one team at a time: many threads that predict at once are
// parallel already, and each works alone.
std::atomic<bool> team_taken{false};

// A child process has none of its parent's threads, and OpenMP would wait for them: it works alone.
void work_alone_from_now_on() { team_taken = true; }

bool take_team() {
  static const int registered = pthread_atfork(nullptr, nullptr, work_alone_from_now_on);
  static_cast<void>(registered);
  return !team_taken.exchange(true);
}

}  // namespace

std::int64_t threads_for(std::int64_t n, std::int64_t threads) {
  if (n < 2 || threads < 2 || (!team && omp_in_parallel())) return 1;
  return std::min({n, threads, static_cast<std::int64_t>(num_threads())});
}

void with_team(const std::function<void()>& f) {
  const int threads = std::min(num_threads(), processors());
  if (threads < 2 || team || omp_in_parallel() || !take_team()) return f();
  Team here;
  std::exception_ptr error;
#pragma omp parallel num_threads(threads)
  if (omp_get_thread_num() != 0) {
    here.serve();
  } else {
    team = &here;
    try {
      f();
    } catch (...) {
      error = std::current_exception();
    }
    team = nullptr;
    here.end();
  }
  team_taken = false;
  if (error) std::rethrow_exception(error);
}

void share_out(std::int64_t n, std::int64_t threads,
               void (*part)(const void* body, std::int64_t begin, std::int64_t end),
               const void* body) {
  if (!team) {
    auto loop = [&] { team ? share_out(n, threads, part, body) : part(body, 0, n); };
    return with_team(std::ref(loop));  // which may find the team taken
  }
  const FloatingPointMode mode = FloatingPointMode::current();
  Team& mine = *std::exchange(team, nullptr);  // a loop inside a part runs alone
  mine.share(static_cast<std::uint32_t>(threads), [=](std::int64_t i) {
    WithMode here(mode);
    part(body, n * i / threads, n * (i + 1) / threads);
  });
  team = &mine;
}

int num_threads() {
  if (int n = chosen.load(std::memory_order_relaxed)) return n;
  return std::clamp(omp_get_max_threads(), 1, std::min(processors(), most_threads));
}

void set_num_threads(int threads) {
  if (threads < 0 || threads > most_threads)
    fail("set_num_threads: expected 0 (default) to {}, got {}", most_threads, threads);
  chosen = threads;
}

}  // namespace keratin
