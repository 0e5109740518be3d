// Callbacks: code that runs at certain moments of training (keras/src/callbacks/callback.py). One
// of your own overrides what it needs; where one function is all there is, LambdaCallback will do.
#pragma once

#include <concepts>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <keratin/core/snapshot.h>

namespace keratin {

class Model;

/// Values by name, sorted: {"accuracy", 0.97}, {"loss", 0.09}, {"val_loss", 0.2}. Those of a batch
/// are found when they are first looked at, because that may be a wait for a device; a copy is such
/// a look.
class Logs {
 public:
  using Map = std::map<std::string, double>;
  using value_type = Map::value_type;
  using iterator = Map::iterator;
  using const_iterator = Map::const_iterator;

  Logs() = default;
  Logs(std::initializer_list<value_type> values) : values_(values) {}
  Logs(Map values) : values_(std::move(values)) {}
  /// What `find` gives at the first look.
  explicit Logs(std::function<Map()> find) : find_(std::move(find)) {}
  Logs(const Logs& other) : values_(other.values()) {}
  Logs(Logs&&) noexcept = default;
  Logs& operator=(const Logs& other) { return *this = Logs(other); }
  Logs& operator=(Logs&&) noexcept = default;

  double& operator[](const std::string& name) { return values()[name]; }
  /// Throws std::out_of_range when there is none of that name.
  double& at(const std::string& name) { return values().at(name); }
  double at(const std::string& name) const { return values().at(name); }
  bool contains(const std::string& name) const { return values().contains(name); }
  std::size_t count(const std::string& name) const { return values().count(name); }
  iterator find(const std::string& name) { return values().find(name); }
  const_iterator find(const std::string& name) const { return values().find(name); }
  std::size_t erase(const std::string& name) { return values().erase(name); }
  iterator begin() { return values().begin(); }
  iterator end() { return values().end(); }
  const_iterator begin() const { return values().begin(); }
  const_iterator end() const { return values().end(); }
  std::size_t size() const { return values().size(); }
  bool empty() const { return values().empty(); }
  const Map& map() const { return values(); }
  friend bool operator==(const Logs& a, const Logs& b) { return a.values() == b.values(); }

 private:
  Map& values() const {
    if (find_) values_ = std::exchange(find_, nullptr)();
    return values_;
  }

  mutable Map values_;
  mutable std::function<Map()> find_;
};

/// What evaluate returns: the values by name, scores["loss"], or by their place in metrics_names(),
/// scores[0].
class Scores : public Logs {
 public:
  Scores() = default;
  Scores(Logs logs, std::vector<std::string> names)
      : Logs(std::move(logs)), names_(std::move(names)) {}
  const std::vector<std::string>& names() const { return names_; }
  double operator[](const char* name) const { return at(name); }
  double operator[](const std::string& name) const { return at(name); }
  double operator[](int place) const { return at(names_.at(static_cast<std::size_t>(place))); }

 private:
  std::vector<std::string> names_;
};

/// What fit tells its callbacks before it begins.
struct TrainingParams {
  int epochs = 1;
  int steps = 0;  ///< batches in an epoch
  int verbose = 1;
  bool validation = true;  ///< whether val_... values come, or may come
  bool resumed = false;    ///< whether it goes on from a backup (training/backup.h)
};

class Callback {
 public:
  virtual ~Callback() = default;

  virtual void on_train_begin() {}
  virtual void on_train_end(const Logs&) {}
  /// Epochs and batches count from 0.
  virtual void on_epoch_begin(int /*epoch*/) {}
  /// With validation's results as val_...; what is added here comes into the History.
  virtual void on_epoch_end(int /*epoch*/, Logs&) {}
  virtual void on_train_batch_begin(int /*batch*/) {}
  /// Means over the epoch so far.
  virtual void on_train_batch_end(int /*batch*/, const Logs&) {}
  virtual void on_test_begin() {}
  virtual void on_test_end(const Logs&) {}
  virtual void on_test_batch_begin(int /*batch*/) {}
  virtual void on_test_batch_end(int /*batch*/, const Logs&) {}
  /// After the batch in which fit was told to end, by Ctrl-C or SIGTERM: to save what would be
  /// lost.
  virtual void on_interrupt(int /*batch*/, const Logs&) {}

  /// What the callback must know to go on from a backup as if it had not been interrupted.
  virtual void snapshot(Snapshot&) {}

  /// The model in training. Set by fit and evaluate.
  Model& model() const {
    if (model_ == nullptr)
      throw std::logic_error("callback: there is no model outside of training");
    return *model_;
  }
  const TrainingParams& params() const { return params_; }
  void attach(Model& model, const TrainingParams& params) {
    model_ = &model;
    params_ = params;
  }

 private:
  Model* model_ = nullptr;
  TrainingParams params_;
};

/// Any callback. One that has a name is used itself, so that its state can be read after training;
/// it must live as long as the options that it is put into.
///
///   EarlyStopping stopping({.patience = 8});
///   model.fit(x, y, {.epochs = 50, .callbacks = {stopping, CSVLogger("log.csv")}});
///   std::cout << stopping.best_epoch();
class AnyCallback {
 public:
  template <std::derived_from<Callback> C>
  AnyCallback(C& callback) : callback_(std::shared_ptr<void>(), &callback) {}
  template <std::derived_from<Callback> C>
  AnyCallback(C&& callback) : callback_(std::make_shared<C>(std::move(callback))) {}
  template <std::derived_from<Callback> C>
  AnyCallback(std::shared_ptr<C> callback) : callback_(std::move(callback)) {
    if (callback_ == nullptr) throw std::invalid_argument("callback: the pointer is null");
  }

  Callback* operator->() const { return callback_.get(); }
  Callback& operator*() const { return *callback_; }

 private:
  std::shared_ptr<Callback> callback_;
};

/// What fit returns: each log's values, one for each epoch.
class History {
 public:
  /// Throws std::invalid_argument for a name that was not logged.
  const std::vector<double>& operator[](const std::string& name) const;
  bool contains(const std::string& name) const { return values_.contains(name); }
  std::vector<std::string> names() const;
  const std::vector<int>& epoch() const { return epoch_; }
  void append(int epoch, const Logs& logs);
  void snapshot(Snapshot& s);

 private:
  std::map<std::string, std::vector<double>> values_;
  std::vector<int> epoch_;
};

}  // namespace keratin
