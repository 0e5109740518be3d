#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <system_error>
#include <thread>
#include <vector>

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

int processors() {
  static const int number = usable_processors();
  return number;
}

// Moves this thread away from a processor, if it may run on others. Afterwards it may run where it
// might before, as far as that was known.
void leave_processor(int processor) {
  cpu_set_t all, others;
  if (sched_getaffinity(0, sizeof all, &all) != 0) return;
  others = all;
  CPU_CLR(static_cast<std::size_t>(processor), &others);
  if (CPU_COUNT(&others) > 0 && sched_setaffinity(0, sizeof others, &others) == 0)
    sched_setaffinity(0, sizeof all, &all);
}

// Lets Linux notice that this thread has used up its time slice, so that another program gets the
// processor now and not a moment later: since version 6.6 it looks when it adds up a thread's time,
// which is what asking for that time makes it do. Without other programs nothing happens.
void make_way() {
  timespec used;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
}

void pause() {
#if defined(__SSE2__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Returns the value once it is no longer `old`. Watches it for a while first, since sleeping and
/// waking take longer than most pieces; then sleeps, since on a busy machine the one waited for may
/// need this very processor. `asleep` counts the sleepers.
template <class T>
T wait_while(const std::atomic<T>& value, T old, std::chrono::microseconds watch,
             std::atomic<int>* asleep = nullptr) {
  T now = value.load(std::memory_order_acquire);
  if (now != old) return now;
  auto end = std::chrono::steady_clock::now() + watch;
  do {
    for (int i = 0; i < 32; ++i) {
      now = value.load(std::memory_order_acquire);
      if (now != old) return now;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  while ((now = value.load(std::memory_order_acquire)) == old) {
    if (asleep != nullptr) ++*asleep;
    value.wait(old);
    if (asleep != nullptr) --*asleep;
  }
  return now;
}

/// The caller of parallel_for and threads that wait for work. A job is cut into pieces; each thread
/// takes those of its own share, then what is left of the others'. So nobody waits for a thread
/// that has not begun, be it asleep, without a processor, or lost in a fork: at worst the caller
/// does it all, and waits only for pieces in somebody's hands. A thread of the team that shares its
/// processor with another program therefore gives way before it takes a piece, not amid it.
class Team {
 public:
  explicit Team(int threads) : shares_(static_cast<std::size_t>(threads)) {
    try {
      for (int i = 1; i < threads; ++i)
        workers_.emplace_back([this, i] { serve(static_cast<std::size_t>(i)); });
    } catch (const std::system_error&) {  // no more threads to be had: those that are will do
    }
  }

  ~Team() {
    stop_ = true;
    call_.fetch_add(1, std::memory_order_release);
    call_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  int threads() const { return static_cast<int>(shares_.size()); }
  /// Whether the threads are watching for work; if not, it takes some 50 microseconds to wake them.
  bool awake() const { return asleep_.load(std::memory_order_relaxed) == 0; }

  struct Job {
    std::int64_t n, pieces;
    void (*piece)(const void* body, std::int64_t begin, std::int64_t end);
    const void* body;
    FloatingPointMode mode;
  };

  void run(const Job& job) {
    job_ = job;
    processor_.store(sched_getcpu(), std::memory_order_relaxed);
    unfinished_.store(static_cast<int>(job.pieces), std::memory_order_relaxed);
    std::uint64_t number = call_.load(std::memory_order_relaxed) + 1;
    auto threads = static_cast<std::int64_t>(shares_.size());
    for (std::int64_t i = 0; i < threads; ++i) {
      Share& share = shares_[static_cast<std::size_t>(i)];
      share.end = job.pieces * (i + 1) / threads;
      auto size = static_cast<std::uint64_t>(share.end - job.pieces * i / threads);
      share.was_empty.store(size == 0, std::memory_order_relaxed);
      share.untaken.store(number << 32 | size, std::memory_order_release);
    }
    call_.store(static_cast<std::uint32_t>(number), std::memory_order_release);
    call_.notify_all();
    work(0);
    for (int left; (left = unfinished_.load(std::memory_order_acquire)) != 0;)
      wait_while(unfinished_, left, patience);
  }

 private:
  // The pieces end - untaken .. end - 1. The number of the job stands above the count, so that a
  // thread that comes late never takes a piece it has not just seen.
  struct alignas(64) Share {
    std::atomic<std::uint64_t> untaken{0};
    std::int64_t end = 0;
    std::atomic<bool> was_empty{true};  // when the job was given out
  };

  void serve(std::size_t self) {
    std::chrono::microseconds watch = patience;
    for (std::uint32_t seen = 0;;) {
      seen = wait_while(call_, seen, watch, &asleep_);
      if (stop_) return;
      make_way();
      // A thread wakes where it was called from when the others are busy, and would stay there.
      int caller = processor_.load(std::memory_order_relaxed);
      if (caller >= 0 && caller == sched_getcpu()) leave_processor(caller);
      // Who came too late for his share is there for the next job.
      bool late = !work(self) && !shares_[self].was_empty.load(std::memory_order_relaxed);
      watch = late ? 10 * patience : patience;
    }
  }

  /// False when there was nothing left to do.
  bool work(std::size_t self) {
    int done = 0;
    for (std::size_t i = 0; i < shares_.size(); ++i) {
      Share& share = shares_[(self + i) % shares_.size()];
      std::uint64_t word = share.untaken.load(std::memory_order_acquire);
      while (static_cast<std::uint32_t>(word) != 0) {
        if (!share.untaken.compare_exchange_weak(word, word - 1, std::memory_order_acq_rel))
          continue;
        // The job stays as it is until this piece is counted as done.
        WithMode mode(job_.mode);
        std::int64_t piece = share.end - static_cast<std::uint32_t>(word);
        job_.piece(job_.body, job_.n * piece / job_.pieces, job_.n * (piece + 1) / job_.pieces);
        ++done;
        word = share.untaken.load(std::memory_order_acquire);
      }
    }
    if (done > 0 && unfinished_.fetch_sub(done, std::memory_order_acq_rel) == done)
      unfinished_.notify_all();
    return done > 0;
  }

  static constexpr std::chrono::microseconds patience{100};
  Job job_{};
  std::vector<Share> shares_;
  alignas(64) std::atomic<std::uint32_t> call_{0};  // the number of the last job
  alignas(64) std::atomic<int> unfinished_{0};
  std::atomic<int> asleep_{0};
  std::atomic<int> processor_{-1};  // where the last caller ran
  std::atomic<bool> stop_{false};
  std::vector<std::thread> workers_;
};

// The team lives as long as the program: at exit its threads may still wait for work.
std::atomic<bool> taken{false};
Team* team = nullptr;

// A child process has none of its parent's threads.
void begin_anew() {
  team = nullptr;
  taken = false;
}

Team& team_of(int threads) {
  static const int registered = pthread_atfork(nullptr, nullptr, begin_anew);
  static_cast<void>(registered);
  if (team != nullptr && team->threads() != threads) {
    delete team;
    team = nullptr;
  }
  if (team == nullptr) team = new Team(threads);
  return *team;
}

}  // namespace

void spread(std::int64_t n, std::int64_t threads,
            void (*piece)(const void* body, std::int64_t begin, std::int64_t end),
            const void* body) {
  // What sleeping threads are woken for: they need some 50 microseconds to come.
  constexpr std::int64_t worth_waking = 12;
  std::int64_t shares = std::min<std::int64_t>({threads, n, num_threads()});
  bool alone = shares < 2 || processors() < 2 || taken.exchange(true, std::memory_order_acquire);
  if (!alone) {
    Team& team = team_of(std::min(num_threads(), processors()));
    if (team.awake() || threads >= worth_waking) {
      // Only large shares are cut further, so that a thread which loses its processor holds up
      // less. Of small ones a thread finds in its own cache what it wrote last time.
      std::int64_t pieces = std::clamp<std::int64_t>(threads / (32 * shares), 1, 4);
      team.run({n, std::min(shares * pieces, n), piece, body, FloatingPointMode::current()});
    } else {
      alone = true;
    }
    taken.store(false, std::memory_order_release);
  }
  if (alone && n > 0) piece(body, 0, n);
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
