// The rules and the messages are Keras 3.15's; errors are worded as elsewhere in this library.
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <system_error>
#include <typeinfo>

#include <keratin/core/internal/message.h>
#include <keratin/training/callbacks.h>
#include <keratin/training/model.h>
#include <keratin/training/sequential.h>

namespace keratin {
namespace {

void print(const std::string& message) { std::cout << message << std::endl; }

// As Python writes a float: the shortest digits that read back the same, with a point.
std::string python_float(double value) {
  if (std::isnan(value)) return "nan";
  std::string text = fmt::format("{}", value);
  return text.find_first_not_of("-0123456789") == text.npos ? text + ".0" : text;
}

void check_count(const char* who, const char* what, int value) {
  if (value < 0) fail("{}: expected {} of at least 0, got {}", who, what, value);
}

std::string names_of(const Logs& logs) {
  std::string names;
  for (const auto& [name, value] : logs) names += (names.empty() ? "" : ",") + name;
  return names;
}

}  // namespace

// --- MonitorCallback

MonitorCallback::MonitorCallback(std::string who, std::string monitor, std::string mode,
                                 double min_delta, std::optional<double> best)
    : who_(std::move(who)),
      monitor_(std::move(monitor)),
      best_(best),
      mode_(std::move(mode)),
      min_delta_(std::abs(min_delta)) {
  if (mode_ != "auto" && mode_ != "min" && mode_ != "max") {
    warn("{}", fmt::format("{} mode '{}' is unknown, fallback to auto mode.", who_, mode_));
    mode_ = "auto";
  }
}

void MonitorCallback::on_train_begin() {
  warned_ = false;
  up_ = mode_ == "max";
  if (mode_ != "auto") return;
  const Direction direction = model().direction_of(monitor_);
  if (direction == Direction::unknown)
    fail("{}: cannot tell whether \"{}\" should grow or shrink: pass .mode = \"max\" or \"min\"",
         who_, monitor_);
  up_ = direction == Direction::up;
}

bool MonitorCallback::improves(double value, const std::optional<double>& reference) const {
  if (std::isnan(value)) return false;
  if (!reference) return true;
  return up_ ? value - min_delta_ > *reference : value + min_delta_ < *reference;
}

std::optional<double> MonitorCallback::monitored(const Logs& logs, const std::string& warning) {
  auto found = logs.find(monitor_);
  if (found != logs.end()) return found->second;
  if (!warned_) warn("{}", warning);
  warned_ = true;
  return std::nullopt;
}

// --- EarlyStopping

EarlyStopping::EarlyStopping(Options options)
    : MonitorCallback("EarlyStopping", options.monitor, options.mode, options.min_delta),
      options_(std::move(options)) {
  check_count("EarlyStopping", "patience", options_.patience);
  check_count("EarlyStopping", "start_from_epoch", options_.start_from_epoch);
}

void EarlyStopping::on_train_begin() {
  MonitorCallback::on_train_begin();
  wait_ = stopped_epoch_ = best_epoch_ = 0;
  best_.reset();
  best_weights_.clear();
}

void EarlyStopping::on_epoch_end(int epoch, Logs& logs) {
  const auto current = monitored(
      logs, fmt::format("Early stopping conditioned on metric `{}` which is not available. "
                        "Available metrics are: {}",
                        monitor_, names_of(logs)));
  if (!current || epoch < options_.start_from_epoch) return;

  ++wait_;
  if (improves(*current, best_)) {
    best_ = current;
    best_epoch_ = epoch;
    if (options_.restore_best_weights) best_weights_ = model().get_weights();
    // Patience begins anew only when the baseline, too, is beaten.
    if (!options_.baseline || improves(*current, options_.baseline)) wait_ = 0;
    return;
  }
  if (wait_ >= options_.patience && epoch > 0) {
    stopped_epoch_ = epoch;
    model().stop_training = true;
  }
}

void EarlyStopping::on_train_end(const Logs&) {
  if (stopped_epoch_ > 0 && options_.verbose > 0)
    print(fmt::format("Epoch {}: early stopping", stopped_epoch_ + 1));
  if (best_weights_.empty()) return;
  if (options_.verbose > 0)
    print(fmt::format("Restoring model weights from the end of the best epoch: {}.",
                      best_epoch_ + 1));
  model().set_weights(best_weights_);
}

void EarlyStopping::snapshot(Snapshot& s) {
  MonitorCallback::snapshot(s);
  s.field("wait", wait_);
  s.field("stopped_epoch", stopped_epoch_);
  s.field("best_epoch", best_epoch_);
  s.field("best_weights", best_weights_);
}

// --- ModelCheckpoint

namespace {

// A field's value, formatted as its specification says: for Python and fmt alike "02d", ".2f".
std::string format_field(double value, bool whole, const std::string& spec) {
  if (spec.empty()) return whole ? fmt::format("{:.0f}", value) : python_float(value);
  const std::string format = "{:" + spec + "}";
  // An integer may be written as a float, but not the other way round.
  if (whole && std::string("eEfFgG").find(spec.back()) == std::string::npos)
    return fmt::format(fmt::runtime(format), static_cast<int>(value));
  return fmt::format(fmt::runtime(format), value);
}

}  // namespace

ModelCheckpoint::ModelCheckpoint(std::string filepath, Options options)
    : MonitorCallback("ModelCheckpoint", options.monitor, options.mode, 0,
                      options.initial_value_threshold),
      filepath_(std::move(filepath)),
      options_(std::move(options)) {
  const bool whole = filepath_.ends_with(".keras");
  if (whole && options_.save_weights_only)
    fail(
        "ModelCheckpoint: \"{}\": weights only are saved to a path that ends in .weights.h5 or "
        ".npz",
        filepath_);
  if (!whole && !filepath_.ends_with(".weights.h5") && !filepath_.ends_with(".npz"))
    fail(
        "ModelCheckpoint: \"{}\": expected a path that ends in .keras, or for weights only in "
        ".weights.h5 or .npz",
        filepath_);
  if (options_.save_freq < 0)
    fail("ModelCheckpoint: expected save_freq of at least 0, got {}", options_.save_freq);
}

void ModelCheckpoint::on_train_batch_end(int batch, const Logs& logs) {
  if (options_.save_freq == 0 || ++batches_ < options_.save_freq) return;
  batches_ = 0;
  save(logs, batch);
}

void ModelCheckpoint::on_epoch_end(int, Logs& logs) {
  if (options_.save_freq == 0) save(logs, std::nullopt);
}

void ModelCheckpoint::on_interrupt(int batch, const Logs& logs) {
  if (options_.save_best_only) return;
  try {
    save(logs, batch);
  } catch (const std::invalid_argument& error) {
    warn("{}: not saved in the middle of an epoch", error.what());
  }
}

void ModelCheckpoint::snapshot(Snapshot& s) {
  MonitorCallback::snapshot(s);
  s.field("batches", batches_);
}

void ModelCheckpoint::save(const Logs& logs, std::optional<int> batch) {
  const std::string path = path_for(logs, batch);
  if (!should_save(logs, path)) return;
  const auto folder = std::filesystem::path(path).parent_path();
  std::error_code error;
  if (!folder.empty()) std::filesystem::create_directories(folder, error);
  if (error) fail_io("ModelCheckpoint: {}: cannot create: {}", folder.string(), error.message());
  if (path.ends_with(".keras"))
    model().save(path);
  else
    model().save_weights(path);
  if (options_.verbose > 0)
    print(fmt::format("\nEpoch {}: finished saving model to {}", epoch_ + 1, path));
}

bool ModelCheckpoint::should_save(const Logs& logs, const std::string& path) {
  if (!options_.save_best_only) {
    if (options_.verbose > 0)
      print(fmt::format("\nEpoch {}: saving model to {}", epoch_ + 1, path));
    return true;
  }
  const auto current =
      monitored(logs, fmt::format("Can save best model only with {} available.", monitor_));
  if (!current) return true;
  const std::string before = best_ ? fmt::format("{:.5f}", *best_) : "None";
  if (!improves(*current, best_)) {
    if (options_.verbose > 0)
      print(fmt::format("\nEpoch {}: {} did not improve from {}", epoch_ + 1, monitor_, before));
    return false;
  }
  if (options_.verbose > 0)
    print(fmt::format("\nEpoch {}: {} improved from {} to {:.5f}, saving model to {}", epoch_ + 1,
                      monitor_, before, *current, path));
  best_ = current;
  return true;
}

std::string ModelCheckpoint::path_for(const Logs& logs, std::optional<int> batch) const {
  std::string path;
  for (std::size_t i = 0; i < filepath_.size(); ++i) {
    const char c = filepath_[i];
    const bool brace = c == '{' || c == '}';
    if (!brace || filepath_.compare(i, 2, std::string(2, c)) == 0) {
      path += c;
      i += brace;  // a doubled brace stands for one
      continue;
    }
    const std::size_t end = filepath_.find('}', i);
    if (c == '}' || end == filepath_.npos)
      fail("ModelCheckpoint: \"{}\": a brace without its other half", filepath_);
    const std::string field = filepath_.substr(i + 1, end - i - 1);
    const std::string name = field.substr(0, field.find(':'));
    const std::string spec = field.substr(std::min(name.size() + 1, field.size()));
    i = end;
    try {
      if (name == "epoch")
        path += format_field(epoch_ + 1, true, spec);
      else if (name == "batch" && batch)
        path += format_field(*batch + 1, true, spec);
      else if (auto log = logs.find(name); log != logs.end())
        path += format_field(log->second, false, spec);
      else
        fail("ModelCheckpoint: \"{}\": there is no \"{}\". Known: epoch,{}{}", filepath_, name,
             batch ? "batch," : "", names_of(logs));
    } catch (const fmt::format_error& error) {
      fail("ModelCheckpoint: \"{}\": {{{}}}: {}", filepath_, field, error.what());
    }
  }
  return path;
}

// --- CSVLogger

namespace {

// As Python's csv module: quoted only where it must be.
std::string csv_cell(const std::string& text, char separator) {
  if (text.find_first_of(std::string("\"\r\n") + separator) == text.npos) return text;
  std::string quoted = "\"";
  for (char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + '"';
}

// The cells of a table's first row. What stands in quotes ends neither a cell nor the row.
std::vector<std::string> first_csv_row(std::istream& in, char separator) {
  std::vector<std::string> cells(1);
  bool quoted = false;
  for (char c; in.get(c) && (quoted || c != '\n');) {
    if (c == '"' && quoted && in.peek() == '"')
      cells.back() += static_cast<char>(in.get());
    else if (c == '"')
      quoted = !quoted;
    else if (c == separator && !quoted)
      cells.emplace_back();
    else if (quoted || c != '\r')
      cells.back() += c;
  }
  return cells;
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

std::vector<std::string> columns_of(std::vector<std::string> names) {
  std::ranges::sort(names);
  names.insert(names.begin(), "epoch");
  return names;
}

// A model of a class of one's own may have steps of its own, and log what it likes.
bool logs_what_was_compiled(const Model& model) {
  return typeid(model) == typeid(Model) || typeid(model) == typeid(Sequential);
}

}  // namespace

CSVLogger::CSVLogger(std::string filename, Options options)
    : filename_(std::move(filename)), options_(options) {}

void CSVLogger::refuse(const std::vector<std::string>& names) const {
  fail(
      "CSVLogger: {}: cannot append, as the columns differ. The file has: {}. To be written are: "
      "{}",
      filename_, fmt::join(header_, ", "), fmt::join(columns_of(names), ", "));
}

void CSVLogger::read_header() {
  header_.clear();
  unfinished_ = false;
  if (!appends()) return;
  std::ifstream before(filename_, std::ios::binary | std::ios::ate);
  if (!before || before.tellg() <= 0) return;
  before.seekg(-1, std::ios::end);
  unfinished_ = before.get() != '\n';
  before.seekg(0);
  header_ = first_csv_row(before, options_.separator);
}

// What a model without steps of its own logs is known before the first one: what was compiled, and
// with validation the same as val_... What else the file has may come from callbacks.
void CSVLogger::check_compiled_columns() const {
  std::vector<std::string> columns = model().metrics_names();
  bool fits = contains(header_, "epoch");
  for (std::size_t i = columns.size(); i > 0; --i) {
    const std::string name = "val_" + columns[i - 1];
    if (params().validation)
      columns.push_back(name);
    else
      fits &= !contains(header_, name);
  }
  for (const std::string& name : columns) fits &= contains(header_, name);
  if (!fits) refuse(columns);
}

void CSVLogger::on_train_begin() {
  columns_.clear();
  logged_.clear();
  read_header();
  if (!header_.empty() && logs_what_was_compiled(model())) check_compiled_columns();
  errno = 0;
  file_ = std::make_shared<std::ofstream>(
      filename_, std::ios::binary | (appends() ? std::ios::app : std::ios::trunc));
  if (!*file_) fail_io("{}: cannot write: {}", filename_, std::generic_category().message(errno));
}

void CSVLogger::on_train_batch_end(int, const Logs& logs) {
  if (!logged_.empty()) return;
  bool fits = true;
  for (const auto& [name, value] : logs) {
    logged_.push_back(name);
    fits &= header_.empty() || contains(header_, name);
  }
  if (!fits) refuse(logged_);
}

void CSVLogger::choose_columns(const Logs& logs) {
  std::vector<std::string> names;
  for (const auto& [name, value] : logs) names.push_back(name);
  auto is_validation = [](const std::string& name) { return name.starts_with("val_"); };
  if (params().validation && std::ranges::none_of(names, is_validation)) {
    const std::vector<std::string> validated = logged_.empty() ? names : logged_;
    for (const std::string& name : validated) names.push_back("val_" + name);
  }
  const std::vector<std::string> columns = columns_of(names);
  if (header_.empty()) {
    write_row(columns);
  } else if (!std::ranges::is_permutation(columns, header_)) {
    refuse(names);
  } else if (unfinished_) {
    *file_ << "\r\n";
  }
  columns_ = header_.empty() ? columns : header_;
}

void CSVLogger::on_epoch_end(int epoch, Logs& logs) {
  if (columns_.empty()) choose_columns(logs);
  std::vector<std::string> row;
  for (const std::string& name : columns_) {
    if (name == "epoch")
      row.push_back(std::to_string(epoch));
    else if (auto log = logs.find(name); log != logs.end())
      row.push_back(python_float(log->second));
    else
      row.push_back("NA");
  }
  write_row(row);
}

void CSVLogger::snapshot(Snapshot& s) {
  std::error_code error;
  auto size = static_cast<std::uint64_t>(std::filesystem::file_size(filename_, error));
  if (error) fail_io("{}: cannot read its size: {}", filename_, error.message());
  const std::uint64_t now = size;
  s.field("size", size);
  if (size >= now) return;
  std::filesystem::resize_file(filename_, size, error);
  if (error) fail_io("{}: cannot be cut: {}", filename_, error.message());
  read_header();
}

void CSVLogger::on_train_end(const Logs&) { file_.reset(); }

void CSVLogger::write_row(const std::vector<std::string>& cells) {
  std::string row;
  for (const std::string& cell : cells)
    row += (&cell == &cells.front() ? "" : std::string(1, options_.separator)) +
           csv_cell(cell, options_.separator);
  errno = 0;
  *file_ << row << "\r\n" << std::flush;
  if (!*file_) fail_io("{}: cannot write: {}", filename_, std::generic_category().message(errno));
}

// --- ReduceLROnPlateau

ReduceLROnPlateau::ReduceLROnPlateau(Options options)
    : MonitorCallback("ReduceLROnPlateau", options.monitor, options.mode, options.min_delta),
      options_(std::move(options)) {
  if (!(options_.factor < 1))
    fail("ReduceLROnPlateau: expected a factor below 1, got {}", options_.factor);
  check_count("ReduceLROnPlateau", "patience", options_.patience);
  check_count("ReduceLROnPlateau", "cooldown", options_.cooldown);
}

void ReduceLROnPlateau::on_train_begin() {
  MonitorCallback::on_train_begin();
  if (model().compiled() && model().optimizer().learning_rate_rule().is_schedule())
    fail("ReduceLROnPlateau: the optimizer's learning rate follows a schedule and cannot be set");
  best_.reset();
  wait_ = cooldown_left_ = 0;
}

void ReduceLROnPlateau::snapshot(Snapshot& s) {
  MonitorCallback::snapshot(s);
  s.field("wait", wait_);
  s.field("cooldown_left", cooldown_left_);
}

void ReduceLROnPlateau::on_epoch_end(int epoch, Logs& logs) {
  Optimizer& optimizer = model().optimizer();
  const double rate = optimizer.learning_rate();
  logs["learning_rate"] = rate;
  const auto current = monitored(
      logs, fmt::format("Learning rate reduction is conditioned on metric `{}` which is not "
                        "available. Available metrics are: {}.",
                        monitor_, names_of(logs)));
  if (!current) return;

  if (cooldown_left_ > 0) {
    --cooldown_left_;
    wait_ = 0;
  }
  if (improves(*current, best_)) {
    best_ = current;
    wait_ = 0;
  } else if (cooldown_left_ == 0 && ++wait_ >= options_.patience && rate > options_.min_lr) {
    const double reduced = std::max(rate * options_.factor, options_.min_lr);
    optimizer.set_learning_rate(reduced);
    if (options_.verbose > 0)
      print(fmt::format("\nEpoch {}: ReduceLROnPlateau reducing learning rate to {}.", epoch + 1,
                        python_float(reduced)));
    cooldown_left_ = options_.cooldown;
    wait_ = 0;
  }
}

// --- LearningRateScheduler

LearningRateScheduler::LearningRateScheduler(Schedule schedule, Options options)
    : schedule_(std::move(schedule)), options_(options) {}

void LearningRateScheduler::on_epoch_begin(int epoch) {
  Optimizer& optimizer = model().optimizer();
  const double rate = schedule_(epoch, optimizer.learning_rate());
  optimizer.set_learning_rate(rate);
  if (options_.verbose > 0)
    print(fmt::format("\nEpoch {}: LearningRateScheduler setting learning rate to {}.", epoch + 1,
                      python_float(rate)));
}

void LearningRateScheduler::on_epoch_end(int, Logs& logs) {
  logs["learning_rate"] = model().optimizer().learning_rate();
}

// --- TerminateOnNaN

void TerminateOnNaN::on_train_batch_end(int batch, const Logs& logs) {
  auto loss = logs.find("loss");
  if (loss == logs.end() || std::isfinite(loss->second)) return;
  if (options_.raise_error)
    fail_io(
        "NaN or Inf loss encountered at batch {}. Loss value: {}. Terminating training "
        "immediately.",
        batch, python_float(loss->second));
  print(fmt::format("Batch {}: Invalid loss, terminating training", batch));
  model().stop_training = true;
}

// --- LambdaCallback

namespace {

template <class Function, class... Args>
void call(const Function& function, Args&&... args) {
  if (function) function(std::forward<Args>(args)...);
}

}  // namespace

void LambdaCallback::on_train_begin() { call(options_.on_train_begin); }
void LambdaCallback::on_train_end(const Logs& logs) { call(options_.on_train_end, logs); }
void LambdaCallback::on_epoch_begin(int epoch) { call(options_.on_epoch_begin, epoch); }
void LambdaCallback::on_epoch_end(int epoch, Logs& logs) {
  call(options_.on_epoch_end, epoch, logs);
}
void LambdaCallback::on_train_batch_begin(int batch) { call(options_.on_train_batch_begin, batch); }
void LambdaCallback::on_train_batch_end(int batch, const Logs& logs) {
  call(options_.on_train_batch_end, batch, logs);
}
void LambdaCallback::on_test_begin() { call(options_.on_test_begin); }
void LambdaCallback::on_test_end(const Logs& logs) { call(options_.on_test_end, logs); }
void LambdaCallback::on_test_batch_begin(int batch) { call(options_.on_test_batch_begin, batch); }
void LambdaCallback::on_test_batch_end(int batch, const Logs& logs) {
  call(options_.on_test_batch_end, batch, logs);
}

}  // namespace keratin
