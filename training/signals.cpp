#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <mutex>

#include <keratin/training/internal/signals.h>

namespace keratin {
namespace {

constexpr std::array noted{SIGINT, SIGTERM};

std::atomic<int> last_signal = 0;
static_assert(std::atomic<std::int64_t>::is_always_lock_free);

std::atomic<std::int64_t> came_at = 0;  // in milliseconds; 0: none came

std::int64_t milliseconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{1000} * now.tv_sec + now.tv_nsec / 1000000;
}

// One wish may come as two signals, as when `timeout` tells a process and its group, and two
// threads may take them at the same time. A later one ends the process.
extern "C" void note_signal(int signal) {
  constexpr std::int64_t at_once = 500;
  std::int64_t first = 0;
  if (came_at.compare_exchange_strong(first, milliseconds())) {
    last_signal = signal;
  } else if (milliseconds() - first > at_once) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
}

// Several threads may train at once: the first one sets the handlers, the last one restores them.
std::mutex mutex;
int users = 0;
std::array<bool, noted.size()> set{};

void set_handlers() {
  last_signal = 0;
  came_at = 0;
  for (std::size_t i = 0; i < noted.size(); ++i) {
    struct sigaction present {};
    sigaction(noted[i], nullptr, &present);
    set[i] = present.sa_handler == SIG_DFL && (present.sa_flags & SA_SIGINFO) == 0;
    if (!set[i]) continue;
    struct sigaction ours {};
    ours.sa_handler = note_signal;
    ours.sa_flags = SA_RESTART;
    sigemptyset(&ours.sa_mask);
    sigaction(noted[i], &ours, nullptr);
  }
}

void restore_handlers() {
  for (std::size_t i = 0; i < noted.size(); ++i) {
    if (!set[i]) continue;
    struct sigaction present {};
    sigaction(noted[i], nullptr, &present);
    if (present.sa_handler == note_signal) std::signal(noted[i], SIG_DFL);
  }
}

}  // namespace

NotedSignals::NotedSignals(bool on) : on_(on) {
  if (!on_) return;
  std::lock_guard lock(mutex);
  if (users++ == 0) set_handlers();
}
NotedSignals::~NotedSignals() {
  if (!on_) return;
  std::lock_guard lock(mutex);
  if (--users == 0) restore_handlers();
}
int NotedSignals::received() const { return on_ ? last_signal.load() : 0; }

void end_process_by(int signal) {
  std::signal(signal, SIG_DFL);
  std::raise(signal);
  std::_Exit(128 + signal);  // the signal is blocked
}

}  // namespace keratin
