#include <keratin/core/internal/class_name.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/random.h>
#include <keratin/training/internal/fit_run.h>

namespace keratin {

FitRun::FitRun(Model& model, Trainer& trainer, Source& source, Source* validation,
               std::vector<AnyCallback> callbacks, int epoch)
    : epoch(epoch),
      model_(model),
      trainer_(trainer),
      source_(source),
      validation_(validation),
      callbacks_(std::move(callbacks)) {
  for (const AnyCallback& callback : callbacks_)
    if (auto* backup = dynamic_cast<BackupAndRestore*>(&*callback)) backups_.push_back(backup);
  for (std::size_t i = 0; i < backups_.size() && !backup_; ++i) backup_ = backups_[i]->load();
  if (!backup_) return;
  waiting_ = true;
  backup_->field("epoch", this->epoch);
  backup_->field("step", step);
}

void FitRun::snapshot(Snapshot& s) {
  s.field("epoch", epoch);
  s.field("step", step);
  s.field("stop_training", model_.stop_training);
  trainer_.snapshot(s);
  s.group("history", [&] { history.snapshot(s); });
  s.group("source", [&] { source_.snapshot(s); });
  if (validation_ != nullptr) s.group("validation", [&] { validation_->snapshot(s); });
  for (std::size_t i = 0; i < callbacks_.size(); ++i) {
    s.group(fmt::format("callback/{}", i), [&] {
      Callback& callback = *callbacks_[i];
      const std::string present = class_name_of(typeid(callback));
      std::string stored = present;
      s.field("class", stored);
      if (stored != present)
        s.refuse(fmt::format("callback {} was a {}, and is a {}", i, stored, present));
      callback.snapshot(s);
    });
  }
  s.group("random", [&] { default_random().snapshot(s); });
}

void FitRun::restore() {
  try {
    snapshot(*backup_);
  } catch (const std::invalid_argument& error) {
    backup_->refuse(error.what());
  }
  waiting_ = false;
}

void FitRun::save() {
  if (backups_.empty()) return;
  Snapshot s;
  snapshot(s);
  for (const BackupAndRestore* backup : backups_) backup->save(s);
}

void FitRun::save_after_step() {
  bool due = false;
  for (BackupAndRestore* backup : backups_) due |= backup->is_due();
  if (due) save();
}

void FitRun::save_after_epoch() {
  bool due = false;
  for (BackupAndRestore* backup : backups_) due |= backup->options_.save_freq == 0;
  if (due) save();
}

}  // namespace keratin
