// A run of fit: where it stands, and what brings another process there.
#pragma once

#include <optional>
#include <vector>

#include <keratin/training/backup.h>
#include <keratin/training/internal/data.h>
#include <keratin/training/internal/trainer.h>

namespace keratin {

class FitRun {
 public:
  FitRun(Model& model, Trainer& trainer, Source& source, Source* validation,
         std::vector<AnyCallback> callbacks, int epoch);

  /// The next step is this one of this epoch. Its number is 0 between epochs.
  int epoch, step = 0;
  History history = {};

  /// Whether a backup is waiting to be restored at this step.
  bool waits_for_restoring() const { return waiting_; }
  bool is_resumed() const { return backup_.has_value(); }
  void restore();

  /// After a step and at the end of an epoch: saves where it is time to.
  void save_after_step();
  void save_after_epoch();
  void save();

 private:
  void snapshot(Snapshot& s);

  Model& model_;
  Trainer& trainer_;
  Source& source_;
  Source* validation_;
  std::vector<AnyCallback> callbacks_;
  std::vector<BackupAndRestore*> backups_;  // among the callbacks
  std::optional<Snapshot> backup_;          // that was found
  bool waiting_ = false;
};

}  // namespace keratin
