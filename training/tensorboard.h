// What happens in a training, for TensorBoard to show (keras/src/callbacks/tensorboard.py):
//
//   model.fit(x, y, {.epochs = 20, .callbacks = {TensorBoard({.histogram_freq = 1})}});
//
// and in the shell: tensorboard --logdir logs. Without Keras's profile_batch and its embeddings.
#pragma once

#include <memory>
#include <string>

#include <keratin/training/callback.h>
#include <keratin/training/per_output.h>

namespace keratin {

/// Writes event files into the folders "train" and "validation" of log_dir, with Keras's tags: the
/// values of an epoch as epoch_loss, the learning rate as epoch_learning_rate; those of an
/// evaluation as evaluation_loss_vs_iterations; weights as dense/kernel/histogram.
class TensorBoard : public Callback {
 public:
  /// "epoch", or "batch", or how many batches there are from one record of batch_loss to the next.
  struct UpdateFrequency {
    UpdateFrequency(int batches) : batches(batches) {}
    UpdateFrequency(const std::string& word);
    UpdateFrequency(const char* word) : UpdateFrequency(std::string(word)) {}
    int batches = 0;  ///< 0: "epoch"
  };
  struct Options {
    std::string log_dir = "logs";
    int histogram_freq = 0;     ///< epochs from one record of the weights to the next; 0: none
    bool write_graph = true;    ///< the layers and how they are connected
    bool write_images = false;  ///< with the histograms, weights as pictures
    bool write_steps_per_second = false;  ///< how many batches a second takes
    UpdateFrequency update_freq = "epoch";
    /// A batch on which attention is drawn after each epoch, under tags such as
    /// attention_layer/attention, up to 16 pictures of each layer. AttentionLayer: one, with a row
    /// for each sample. Attention: one for each sample, with a row for each query.
    /// MultiHeadAttention: one for each head, of the first sample. Keras has no such option.
    Arrays attention_of = {};
  };
  TensorBoard() : TensorBoard(Options()) {}
  /// Throws std::invalid_argument for a frequency below 0, and std::runtime_error in a build
  /// without Protocol Buffers.
  TensorBoard(Options options);

  void on_train_begin() override;
  void on_train_end(const Logs& logs) override;
  void on_epoch_begin(int epoch) override;
  void on_epoch_end(int epoch, Logs& logs) override;
  void on_train_batch_begin(int batch) override;
  void on_train_batch_end(int batch, const Logs& logs) override;
  void on_test_end(const Logs& logs) override;
  void snapshot(Snapshot& s) override { s.field("batch", batch_); }

 private:
  class EventFile& train();
  class EventFile& validation();
  void write_weights(int epoch);
  void write_attention(int epoch);

  Options options_;
  std::shared_ptr<class EventFile> train_, validation_;  // made when something is to be written
  std::int64_t batch_ = 0, iterations_before_ = 0;       // of the training; before the epoch
  double epoch_began_ = 0, batch_began_ = 0;             // in seconds of a steady clock
};

}  // namespace keratin
