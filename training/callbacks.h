// The callbacks of Keras (keras/src/callbacks), with its options in its order, its defaults and its
// messages:
//
//   EarlyStopping stopping({.patience = 8});
//   model.fit(x, y, {.epochs = 50, .callbacks = {stopping}});
//   std::cout << stopping.best_epoch();
//
// The bar on the screen is in training/progress.h, what one's own callback derives from in
// training/callback.h.
#pragma once

#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <keratin/core/tensor.h>
#include <keratin/training/callback.h>

namespace keratin {

/// A callback that watches one value of the logs and knows which way it gets better. With mode
/// "auto" a loss should shrink, and a compiled metric says it itself; when it does not,
/// on_train_begin throws std::invalid_argument. NaN is never better.
class MonitorCallback : public Callback {
 public:
  void on_train_begin() override;
  /// The best value so far; none before the first.
  const std::optional<double>& best() const { return best_; }
  void snapshot(Snapshot& s) override { s.field("best", best_); }

 protected:
  MonitorCallback(std::string who, std::string monitor, std::string mode, double min_delta,
                  std::optional<double> best = std::nullopt);
  /// Whether value is better than the reference, if there is one, by more than min_delta.
  bool improves(double value, const std::optional<double>& reference) const;
  /// The monitored value. When the logs lack it, `warning` goes to standard error, once.
  std::optional<double> monitored(const Logs& logs, const std::string& warning);

  std::string who_, monitor_;
  std::optional<double> best_;

 private:
  std::string mode_;
  double min_delta_;
  bool up_ = false;
  bool warned_ = false;
};

/// Ends training when the monitored value has not got better for `patience` epochs.
class EarlyStopping : public MonitorCallback {
 public:
  struct Options {
    std::string monitor = "val_loss";
    double min_delta = 0;  ///< a change up to this is none
    int patience = 0;
    int verbose = 0;
    std::string mode = "auto";                      ///< or "min", "max"
    std::optional<double> baseline = std::nullopt;  ///< to be beaten, too
    bool restore_best_weights = false;              ///< when training ends, for whatever reason
    int start_from_epoch = 0;
  };
  EarlyStopping() : EarlyStopping(Options()) {}
  EarlyStopping(Options options);

  void on_train_begin() override;
  void on_epoch_end(int epoch, Logs& logs) override;
  void on_train_end(const Logs& logs) override;
  void snapshot(Snapshot& s) override;

  /// Epochs since the last improvement.
  int wait() const { return wait_; }
  /// The epoch, counted from 0, that was the last; 0 when training was not stopped.
  int stopped_epoch() const { return stopped_epoch_; }
  int best_epoch() const { return best_epoch_; }

 private:
  Options options_;
  int wait_ = 0, stopped_epoch_ = 0, best_epoch_ = 0;
  std::vector<Tensor> best_weights_;
};

/// Saves the model to a .keras file, or its weights to a .weights.h5 or .npz file, at the end of
/// each epoch or whenever it is the best so far. The path may have fields, filled in as Python's
/// str.format does: {epoch:02d}, which counts from 1, and any log: {val_loss:.2f}. Folders are
/// created. Throws std::invalid_argument for a path that ends in none of these, or whose fields are
/// unknown.
class ModelCheckpoint : public MonitorCallback {
 public:
  struct Options {
    std::string monitor = "val_loss";
    int verbose = 0;
    bool save_best_only = false;
    bool save_weights_only = false;  ///< then the path is no .keras file
    std::string mode = "auto";
    int save_freq = 0;  ///< batches; 0: at the end of each epoch
    std::optional<double> initial_value_threshold = std::nullopt;  ///< only what is better is saved
  };
  ModelCheckpoint(std::string filepath) : ModelCheckpoint(std::move(filepath), Options()) {}
  ModelCheckpoint(std::string filepath, Options options);

  void on_epoch_begin(int epoch) override { epoch_ = epoch; }
  void on_train_batch_end(int batch, const Logs& logs) override;
  void on_epoch_end(int epoch, Logs& logs) override;
  /// Saves unless only the best are saved. Where the path needs a log that there is none of yet, a
  /// warning says so.
  void on_interrupt(int batch, const Logs& logs) override;
  void snapshot(Snapshot& s) override;

 private:
  void save(const Logs& logs, std::optional<int> batch);
  bool should_save(const Logs& logs, const std::string& path);
  std::string path_for(const Logs& logs, std::optional<int> batch) const;

  std::string filepath_;
  Options options_;
  int epoch_ = 0;
  int batches_ = 0;  // since the last save
};

/// Writes each epoch's logs as a line of a table: epoch, then the logs by name. With validation its
/// columns are there even when the first epoch has none; what is missing is NA. Numbers have as
/// many digits as it takes to read back the same. Each line is on its way to the disk before the
/// next epoch begins. Throws std::runtime_error naming the file when it cannot be written.
///
/// Only a file with the same columns, in any order, can be appended to. For others
/// std::invalid_argument lists both and the file stays as it is: before the first step when loss,
/// metrics or validation differ; after it when a model's own train_step logs something else; after
/// the first epoch when a callback does.
class CSVLogger : public Callback {
 public:
  struct Options {
    char separator = ',';
    bool append = false;  ///< after what the file has; a new or empty file gets a header
  };
  CSVLogger(std::string filename) : CSVLogger(std::move(filename), Options()) {}
  CSVLogger(std::string filename, Options options);

  void on_train_begin() override;
  void on_train_batch_end(int batch, const Logs& logs) override;
  void on_epoch_end(int epoch, Logs& logs) override;
  void on_train_end(const Logs& logs) override;
  /// When fit goes on from a backup, what the file has from later on is removed.
  void snapshot(Snapshot& s) override;

 private:
  bool appends() const { return options_.append || params().resumed; }
  void read_header();
  void check_compiled_columns() const;
  void choose_columns(const Logs& logs);
  [[noreturn]] void refuse(const std::vector<std::string>& names) const;
  void write_row(const std::vector<std::string>& cells);

  std::string filename_;
  Options options_;
  std::shared_ptr<std::ofstream> file_;
  std::vector<std::string> header_;   // of the file that is appended to; empty when it has none
  std::vector<std::string> logged_;   // by the first step; empty before it
  std::vector<std::string> columns_;  // "epoch" among them; empty before the first row
  bool unfinished_ = false;           // the file ends in a line cut short, as by a full disk
};

/// Multiplies the learning rate by `factor` when the monitored value has not got better for
/// `patience` epochs. Adds learning_rate to the logs.
class ReduceLROnPlateau : public MonitorCallback {
 public:
  struct Options {
    std::string monitor = "val_loss";
    double factor = 0.1;  ///< below 1
    int patience = 10;
    int verbose = 0;
    std::string mode = "auto";
    double min_delta = 1e-4;
    int cooldown = 0;  ///< epochs after a reduction that do not count
    double min_lr = 0;
  };
  ReduceLROnPlateau() : ReduceLROnPlateau(Options()) {}
  ReduceLROnPlateau(Options options);

  void on_train_begin() override;
  void on_epoch_end(int epoch, Logs& logs) override;
  void snapshot(Snapshot& s) override;

 private:
  Options options_;
  int wait_ = 0, cooldown_left_ = 0;
};

/// Sets the learning rate at the beginning of each epoch, counted from 0, to what a function of the
/// epoch and the present rate gives. Adds learning_rate to the logs.
class LearningRateScheduler : public Callback {
 public:
  using Schedule = std::function<double(int epoch, double learning_rate)>;
  struct Options {
    int verbose = 0;
  };
  LearningRateScheduler(Schedule schedule)
      : LearningRateScheduler(std::move(schedule), Options()) {}
  LearningRateScheduler(Schedule schedule, Options options);

  void on_epoch_begin(int epoch) override;
  void on_epoch_end(int epoch, Logs& logs) override;

 private:
  Schedule schedule_;
  Options options_;
};

/// Ends training when the loss is NaN or infinite.
class TerminateOnNaN : public Callback {
 public:
  struct Options {
    bool raise_error = false;  ///< throw std::runtime_error instead
  };
  TerminateOnNaN() : TerminateOnNaN(Options()) {}
  TerminateOnNaN(Options options) : options_(options) {}

  void on_train_batch_end(int batch, const Logs& logs) override;

 private:
  Options options_;
};

/// A callback made of functions:
/// LambdaCallback({.on_epoch_end = [](int epoch, const Logs& logs) { ... }}).
class LambdaCallback : public Callback {
 public:
  struct Options {
    std::function<void(int epoch)> on_epoch_begin = {};
    std::function<void(int epoch, Logs& logs)> on_epoch_end = {};
    std::function<void()> on_train_begin = {};
    std::function<void(const Logs& logs)> on_train_end = {};
    std::function<void(int batch)> on_train_batch_begin = {};
    std::function<void(int batch, const Logs& logs)> on_train_batch_end = {};
    std::function<void()> on_test_begin = {};
    std::function<void(const Logs& logs)> on_test_end = {};
    std::function<void(int batch)> on_test_batch_begin = {};
    std::function<void(int batch, const Logs& logs)> on_test_batch_end = {};
  };
  LambdaCallback(Options options) : options_(std::move(options)) {}

  void on_train_begin() override;
  void on_train_end(const Logs& logs) override;
  void on_epoch_begin(int epoch) override;
  void on_epoch_end(int epoch, Logs& logs) override;
  void on_train_batch_begin(int batch) override;
  void on_train_batch_end(int batch, const Logs& logs) override;
  void on_test_begin() override;
  void on_test_end(const Logs& logs) override;
  void on_test_batch_begin(int batch) override;
  void on_test_batch_end(int batch, const Logs& logs) override;

 private:
  Options options_;
};

}  // namespace keratin
