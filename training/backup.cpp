#include <filesystem>
#include <system_error>

#include <keratin/core/internal/message.h>
#include <keratin/io/file.h>
#include <keratin/io/npz.h>
#include <keratin/training/backup.h>
#include <keratin/training/internal/saving.h>

namespace keratin {

namespace fs = std::filesystem;

BackupAndRestore::BackupAndRestore(std::string backup_dir, Options options)
    : folder_(std::move(backup_dir)), path_(folder_ + "/latest.npz"), options_(options) {
  if (folder_.empty()) fail("BackupAndRestore: backup_dir is empty");
  if (options_.save_freq < 0)
    fail("BackupAndRestore: expected save_freq of at least 0, got {}", options_.save_freq);
}

void BackupAndRestore::on_train_begin() {
  check_built("BackupAndRestore", model());
  batches_ = 0;
}

bool BackupAndRestore::is_due() {
  if (options_.save_freq == 0 || ++batches_ < options_.save_freq) return false;
  batches_ = 0;
  return true;
}

void BackupAndRestore::save(const Snapshot& snapshot) const {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) fail_io("BackupAndRestore: {}: cannot create: {}", folder_, error.message());
  if (options_.double_checkpoint && fs::exists(path_)) write_file(path_ + ".bkp", read_file(path_));
  save_npz(path_, {snapshot.arrays().begin(), snapshot.arrays().end()});
}

std::optional<Snapshot> BackupAndRestore::load() const {
  if (!fs::exists(path_)) return {};
  try {
    return Snapshot(load_npz(path_), path_);
  } catch (const std::runtime_error& error) {
    const std::string before = path_ + ".bkp";
    if (!fs::exists(before)) throw;
    warn("BackupAndRestore: {}: going on from {}", error.what(), before);
    return Snapshot(load_npz(before), before);
  }
}

void BackupAndRestore::on_train_end(const Logs&) {
  if (!options_.delete_checkpoint) return;
  std::error_code ignored;
  fs::remove(path_, ignored);
  fs::remove(path_ + ".bkp", ignored);
  fs::remove(folder_, ignored);  // unless there are other files in it
}

}  // namespace keratin
