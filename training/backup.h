// BackupAndRestore: training that survives the end of its process
// (keras/src/callbacks/backup_and_restore.py):
//
//   model.fit(x, y, {.epochs = 500, .callbacks = {BackupAndRestore("backup")}});
//
// The same program, run again after it was killed, goes on from the last backup. It then gives the
// weights and the history that it would have given without the interruption, to the last bit.
#pragma once

#include <optional>
#include <string>

#include <keratin/core/snapshot.h>
#include <keratin/training/callback.h>

namespace keratin {

/// Keeps all that fit needs to go on in one file, backup_dir/latest.npz: weights, the optimizer's
/// state, random generators, the order of the samples and the place among them, metrics, the
/// history, and what the callbacks state in Callback::snapshot. The file is replaced as a whole, so
/// that at each moment there is a complete one. It is written after all callbacks have done their
/// part, wherever this one stands in the list.
///
/// fit begins with the backup if there is one. Model, data, batch size and callbacks must be those
/// of the run that wrote it: else std::runtime_error names the file and what differs. A dataset
/// must give the same batches in each run.
class BackupAndRestore : public Callback {
 public:
  struct Options {
    int save_freq = 0;               ///< batches; 0: at the end of each epoch
    bool double_checkpoint = false;  ///< keep the one before, too, as latest.npz.bkp
    bool delete_checkpoint = true;   ///< when training is complete
  };
  /// Throws std::invalid_argument for an empty path and a negative save_freq.
  BackupAndRestore(std::string backup_dir) : BackupAndRestore(std::move(backup_dir), Options()) {}
  BackupAndRestore(std::string backup_dir, Options options);

  /// Throws std::invalid_argument for a model without weights yet.
  void on_train_begin() override;
  void on_train_end(const Logs& logs) override;

 private:
  friend class FitRun;
  bool is_due();
  void save(const Snapshot& snapshot) const;
  std::optional<Snapshot> load() const;

  std::string folder_, path_;
  Options options_;
  int batches_ = 0;  // since the last backup
};

}  // namespace keratin
