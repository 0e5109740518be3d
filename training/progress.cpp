// The format strings are Keras', among them that a bar counts as many backspaces as the line before
// was wide. What a line shows is made as text first, then written at once.
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <iostream>

#include <keratin/core/internal/message.h>
#include <keratin/training/progress.h>

namespace keratin {
namespace {

constexpr int cells = 20;
constexpr double redraw_seconds = 0.05;

double steady_seconds() {
  using namespace std::chrono;
  return duration<double>(steady_clock::now().time_since_epoch()).count();
}

std::string times(int count, std::string_view text) {
  std::string repeated;
  for (int i = 0; i < count; ++i) repeated += text;
  return repeated;
}

// How many columns the text takes: escape sequences take none, and each code point takes one.
std::size_t visible_width(std::string_view text) {
  std::size_t width = 0;
  bool escape = false;
  for (char c : text) {
    if (c == '\33') escape = true;
    const bool continuation = (static_cast<unsigned char>(c) & 0xC0) == 0x80;
    width += !escape && !continuation;
    if (c == 'm') escape = false;
  }
  return width;
}

std::string bold(const std::string& text) { return "\33[1m" + text + "\33[0m"; }

// "9/9", the first number as wide as the second.
std::string count_of(int current, int target) {
  return fmt::format("{:>{}}/{}", current, std::to_string(target).size(), target);
}

std::string remaining(double seconds) {
  const auto whole = static_cast<long>(seconds);
  if (seconds > 3600)
    return fmt::format("{}:{:02}:{:02}", whole / 3600, whole % 3600 / 60, whole % 60);
  if (seconds > 60) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}s", whole);
}

std::string step_time(double seconds) {
  if (seconds >= 1 || seconds == 0) return fmt::format(" {:.0f}s/step", seconds);
  if (seconds >= 1e-3) return fmt::format(" {:.0f}ms/step", seconds * 1e3);
  return fmt::format(" {:.0f}us/step", seconds * 1e6);
}

std::string value_of(const std::string& name, double value, bool fixed) {
  if (std::isnan(value)) return fmt::format(" - {}: nan", name);
  return fixed ? fmt::format(" - {}: {:.4f}", name, value)
               : fmt::format(" - {}: {:.4e}", name, value);
}

}  // namespace

bool is_terminal() { return ::isatty(STDOUT_FILENO) == 1; }

ProgbarLogger::ProgbarLogger(int verbose) : ProgbarLogger(verbose, std::cout, steady_seconds) {}

ProgbarLogger::ProgbarLogger(int verbose, std::ostream& out, Clock clock)
    : verbose_(verbose), out_(&out), clock_(std::move(clock)) {}

void ProgbarLogger::start() {
  seen_ = 0;
  start_ = clock_();
  after_first_step_ = -1;
  last_drawn_ = -std::numeric_limits<double>::infinity();
  last_width_ = 0;
  values_.clear();
}

void ProgbarLogger::on_epoch_begin(int epoch) {
  start();
  if (verbose_ > 0 && params().epochs > 1)
    *out_ << "Epoch " << epoch + 1 << '/' << params().epochs << std::endl;
}

void ProgbarLogger::on_train_batch_end(int batch, const Logs& logs) {
  update(batch + 1, logs, /*last=*/false);
}

void ProgbarLogger::on_epoch_end(int, Logs& logs) {
  update(params().steps > 0 ? params().steps : seen_, logs, /*last=*/true);
}

void ProgbarLogger::on_interrupt(int, const Logs&) {
  if (verbose_ == 1) *out_ << std::endl;
}

void ProgbarLogger::on_test_begin() {
  if (!in_fit_) start();
}

void ProgbarLogger::on_test_batch_end(int batch, const Logs& logs) {
  if (!in_fit_) update(batch + 1, logs, /*last=*/false);
}

void ProgbarLogger::on_test_end(const Logs& logs) {
  if (!in_fit_) update(params().steps > 0 ? params().steps : seen_, logs, /*last=*/true);
}

void ProgbarLogger::update(int current, const Logs& logs, bool last) {
  seen_ = current;
  // To look at values may be a wait for a device. The first batch tells the order of their names.
  if (last || values_.empty()) take(logs);
  if (verbose_ == 2 && !last) return;
  const double now = clock_();
  const double per_step = seconds_per_step(current, now);
  if (verbose_ == 1 && (last || now - last_drawn_ >= redraw_seconds)) {
    take(logs);
    draw_bar(current, now, per_step, last);
    last_drawn_ = now;
  }
  if (verbose_ == 2 && current > 0) print_line(current, now, per_step);
}

// Shown are first the names of training, known since the first batch, then those of validation,
// then what callbacks have added: Keras' order, which a sorted map does not keep.
void ProgbarLogger::take(const Logs& logs) {
  auto put = [&](const std::string& name, double value) {
    auto known = std::ranges::find(values_, name, &std::pair<std::string, double>::first);
    if (known == values_.end())
      values_.emplace_back(name, value);
    else
      known->second = value;
  };
  for (const auto& [name, value] : logs)
    if (name.starts_with("val_")) put(name, value);
  for (const auto& [name, value] : logs) put(name, value);
}

// Without the first step, which is slower than the others.
double ProgbarLogger::seconds_per_step(int current, double now) {
  if (current == 0) return 0;
  if (current == 1) {
    after_first_step_ = now;
    return now - start_;
  }
  return after_first_step_ >= 0 ? (now - after_first_step_) / (current - 1)
                                : (now - start_) / current;
}

void ProgbarLogger::draw_bar(int current, double now, double per_step, bool last) {
  const int target = params().steps > 0 ? params().steps : last ? seen_ : 0;
  std::string line;
  if (target > 0) {
    const double share = static_cast<double>(current) / target;
    const int done = std::min(cells, static_cast<int>(cells * share));
    line = bold(count_of(current, target)) + " ";
    if (done > 0) line += "\33[32m" + times(done, "━") + "\33[0m";
    line += "\33[37m" + times(cells - done, "━") + "\33[0m";
  } else {
    line = fmt::format("{:7}/Unknown", current);
  }
  const bool estimate = target > 0 && !last;
  line += " " + bold(estimate ? remaining(per_step * (target - current))
                              : fmt::format("{:.0f}s", now - start_));
  line += step_time(per_step);
  for (const auto& [name, value] : values_) line += value_of(name, value, std::abs(value) > 1e-3);

  const std::size_t width = visible_width(line);
  if (last_width_ > width) line += std::string(last_width_ - width, ' ');
  *out_ << std::string(last_width_, '\b') << '\r' << line;
  if (last) *out_ << '\n';
  out_->flush();
  last_width_ = width;
}

void ProgbarLogger::print_line(int current, double now, double per_step) {
  *out_ << count_of(current, current) << fmt::format(" - {:.0f}s -", now - start_)
        << step_time(per_step);
  // Without the absolute value, as in Keras.
  for (const auto& [name, value] : values_) *out_ << value_of(name, value, value > 1e-3);
  *out_ << std::endl;
}

}  // namespace keratin
