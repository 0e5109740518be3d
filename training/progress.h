// The progress of training on the screen, byte for byte as Keras shows it
// (keras/src/utils/progbar.py, keras/src/callbacks/progbar_logger.py):
//
//   Epoch 12/50
//   9/9 ━━━━━━━━━━━━━━━━━━━━ 0s 4ms/step - accuracy: 0.9741 - loss: 0.0932 - val_loss: 0.2210
#pragma once

#include <functional>
#include <iosfwd>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <keratin/training/callback.h>

namespace keratin {

/// Whether standard output is a terminal, where a bar can be drawn over itself.
bool is_terminal();

/// Seconds from some fixed moment.
using Clock = std::function<double()>;

/// Prints each epoch: with verbose 1 a bar that moves, with 2 a line when the epoch is over. In
/// evaluate it prints likewise; validation during fit is silent. Comes after the user's callbacks,
/// so that what they add to the logs is shown.
class ProgbarLogger : public Callback {
 public:
  /// On standard output.
  explicit ProgbarLogger(int verbose = 1);
  /// On a stream that must outlive this, in the time of a clock.
  ProgbarLogger(int verbose, std::ostream& out, Clock clock);

  void on_train_begin() override { in_fit_ = true; }
  void on_epoch_begin(int epoch) override;
  void on_train_batch_end(int batch, const Logs& logs) override;
  void on_epoch_end(int epoch, Logs& logs) override;
  void on_interrupt(int batch, const Logs& logs) override;
  void on_test_begin() override;
  void on_test_batch_end(int batch, const Logs& logs) override;
  void on_test_end(const Logs& logs) override;

 private:
  void start();
  void update(int current, const Logs& logs, bool last);
  void take(const Logs& logs);
  double seconds_per_step(int current, double now);
  void draw_bar(int current, double now, double per_step, bool last);
  void print_line(int current, double now, double per_step);

  int verbose_;
  std::ostream* out_;
  Clock clock_;
  bool in_fit_ = false;

  // Of the present epoch.
  int seen_ = 0;
  double start_ = 0;
  double after_first_step_ = -1;  // negative while there was none
  double last_drawn_ = -std::numeric_limits<double>::infinity();
  std::size_t last_width_ = 0;
  std::vector<std::pair<std::string, double>> values_;  // in the order they are shown
};

}  // namespace keratin
