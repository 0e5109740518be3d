// What Ctrl-C (SIGINT) and SIGTERM do while fit runs: the batch is finished, callbacks save what
// would be lost (BackupAndRestore its backup, ModelCheckpoint the model), and then fit ends. A
// second signal, half a second later or more, ends the process at once.
#pragma once

#include <stdexcept>
#include <string>

namespace keratin {

enum class OnSignal {
  end_process,  ///< by the same signal: a shell sees 130 or 143
  raise_error,  ///< fit throws Interrupted
  leave         ///< signals are none of fit's business
};

/// What fit throws for a signal, if it was asked to.
class Interrupted : public std::runtime_error {
 public:
  Interrupted(int signal, const std::string& message)
      : std::runtime_error(message), signal_(signal) {}
  /// SIGINT or SIGTERM.
  int signal() const { return signal_; }

 private:
  int signal_;
};

}  // namespace keratin
