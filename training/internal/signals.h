// Ctrl-C and SIGTERM, noted for a loop that asks now and then.
#pragma once

namespace keratin {

/// While one lives, the two signals are noted and do nothing else, if the process has not chosen
/// what they do. A second signal, half a second later or more, has its usual effect.
class NotedSignals {
 public:
  explicit NotedSignals(bool on);
  ~NotedSignals();
  NotedSignals(const NotedSignals&) = delete;
  NotedSignals& operator=(const NotedSignals&) = delete;

  /// The signal that came, or 0.
  int received() const;

 private:
  bool on_;
};

/// Ends the process as if this signal had not been noted.
[[noreturn]] void end_process_by(int signal);

}  // namespace keratin
