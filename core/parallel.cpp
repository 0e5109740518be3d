#include <linux/futex.h>
#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
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

// Moves a thread to this processor, or away from it, if it may run there. Afterwards it may run
// where it might before, as far as that was known.
void move_thread(pthread_t thread, bool here) {
  const int processor = sched_getcpu();
  cpu_set_t all, some;
  if (processor < 0 || pthread_getaffinity_np(thread, sizeof all, &all) != 0) return;
  CPU_ZERO(&some);
  CPU_SET(static_cast<std::size_t>(processor), &some);
  if (here)
    CPU_AND(&some, &some, &all);
  else
    CPU_XOR(&some, &some, &all);
  if (CPU_COUNT(&some) > 0 && pthread_setaffinity_np(thread, sizeof some, &some) == 0)
    pthread_setaffinity_np(thread, sizeof all, &all);
}

// Whether a thread does not run at the moment.
bool stands_still(pthread_t thread) {
  clockid_t clock;
  timespec before, after;
  return pthread_getcpuclockid(thread, &clock) == 0 && clock_gettime(clock, &before) == 0 &&
         clock_gettime(clock, &after) == 0 && before.tv_sec == after.tv_sec &&
         before.tv_nsec == after.tv_nsec;
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

/// A number, and threads that wait until it changes: std::atomic's wait without the sched_yield
/// that libstdc++ begins it with. A thread that yields to another program loses what it had left of
/// its share of the processor (Linux 6.18).
class Signal {
 public:
  std::uint32_t get() const { return value_.load(std::memory_order_acquire); }
  /// For who is alone with it: wakes nobody.
  void prepare(std::uint32_t value) { value_.store(value, std::memory_order_relaxed); }
  void set(std::uint32_t value) {
    value_.store(value);
    wake();
  }
  void subtract(std::uint32_t n) {
    if (value_.fetch_sub(n) == n) wake();
  }
  int sleepers() const { return sleepers_.load(std::memory_order_relaxed); }

  /// Watches the number for as long as a training step goes on without other threads, which is
  /// longer than sleeping and waking would take. Whether it has changed.
  bool changes_soon(std::uint32_t old) const {
    constexpr std::chrono::microseconds patience{250};
    if (get() != old) return true;
    auto end = std::chrono::steady_clock::now() + patience;
    do {
      for (int i = 0; i < 32; ++i) {
        if (get() != old) return true;
        pause();
      }
    } while (std::chrono::steady_clock::now() < end);
    return false;
  }

  void sleep_while(std::uint32_t old) {
    ++sleepers_;  // before the look that decides, as set() changes the value before it looks
    while (get() == old) futex(FUTEX_WAIT_PRIVATE, old);
    --sleepers_;
  }

 private:
  void wake() {
    if (sleepers_ > 0) futex(FUTEX_WAKE_PRIVATE, std::numeric_limits<int>::max());
  }
  // Sleeps if the number is still `number` (FUTEX_WAIT), or wakes that many (FUTEX_WAKE).
  void futex(int operation, std::uint32_t number) {
    static_assert(sizeof value_ == sizeof(std::uint32_t));
    syscall(SYS_futex, &value_, operation, number, nullptr, nullptr, 0);
  }

  std::atomic<std::uint32_t> value_{0};
  std::atomic<int> sleepers_{0};
};

/// The caller of parallel_for and threads that wait for work. A job is cut into pieces; each thread
/// takes those of its own share, then what is left of the others'. So nobody waits for a thread
/// that has not begun, be it asleep, without a processor, or lost in a fork: at worst the caller
/// does it all, and waits only for pieces in somebody's hands. A thread of the team that shares its
/// processor with another program therefore gives way before it takes a piece, not amid it; one
/// that has lost its processor all the same goes on with its piece on that of the waiting caller.
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
    call_.set(call_.get() + 1);
    for (std::thread& worker : workers_) worker.join();
  }

  int threads() const { return static_cast<int>(shares_.size()); }
  /// Whether the threads are watching for work; if not, it takes some 50 microseconds to wake them.
  bool awake() const { return call_.sleepers() == 0; }

  struct Job {
    std::int64_t n, pieces;
    void (*piece)(const void* body, std::int64_t begin, std::int64_t end);
    const void* body;
    FloatingPointMode mode;
  };

  void run(const Job& job) {
    job_ = job;
    processor_.store(sched_getcpu(), std::memory_order_relaxed);
    unfinished_.prepare(static_cast<std::uint32_t>(job.pieces));
    const std::uint32_t number = call_.get() + 1;
    auto threads = static_cast<std::int64_t>(shares_.size());
    for (std::int64_t i = 0; i < threads; ++i) {
      Share& share = shares_[static_cast<std::size_t>(i)];
      share.end = job.pieces * (i + 1) / threads;
      auto size = static_cast<std::uint64_t>(share.end - job.pieces * i / threads);
      share.untaken.store(std::uint64_t{number} << 32 | size, std::memory_order_release);
    }
    call_.set(number);
    work(0);
    for (std::uint32_t left; (left = unfinished_.get()) != 0;) {
      if (unfinished_.changes_soon(left)) continue;
      bring_one_here();
      unfinished_.sleep_while(left);
    }
  }

 private:
  // The pieces end - untaken .. end - 1. The number of the job stands above the count, so that a
  // thread that comes late never takes a piece it has not just seen.
  struct alignas(64) Share {
    std::atomic<std::uint64_t> untaken{0};
    std::int64_t end = 0;
    std::atomic<bool> at_work{false};  // the thread whose share it is
  };

  void serve(std::size_t self) {
    Share& own = shares_[self];
    for (std::uint32_t seen = 0;;) {
      if (!call_.changes_soon(seen)) call_.sleep_while(seen);
      seen = call_.get();
      if (stop_) return;
      make_way();
      // A thread wakes where it was called from when the others are busy, and would stay there.
      int caller = processor_.load(std::memory_order_relaxed);
      if (caller >= 0 && caller == sched_getcpu()) move_thread(pthread_self(), false);
      own.at_work.store(true, std::memory_order_relaxed);
      work(self);
      own.at_work.store(false, std::memory_order_relaxed);
    }
  }

  /// The caller is about to sleep: its processor is free for a thread that has lost its own.
  void bring_one_here() {
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      pthread_t worker = workers_[i].native_handle();
      if (!shares_[i + 1].at_work.load(std::memory_order_relaxed) || !stands_still(worker))
        continue;
      return move_thread(worker, true);
    }
  }

  void work(std::size_t self) {
    std::uint32_t done = 0;
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
    if (done > 0) unfinished_.subtract(done);
  }

  Job job_{};
  std::vector<Share> shares_;
  alignas(64) Signal call_;         // the number of the last job
  alignas(64) Signal unfinished_;   // pieces of it
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
