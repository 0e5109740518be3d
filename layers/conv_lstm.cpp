#include <keratin/autograd/internal/window_options.h>
#include <keratin/layers/conv_lstm.h>
#include <keratin/layers/core_layers.h>
#include <keratin/layers/internal/options.h>
#include <keratin/layers/internal/per_axis.h>

namespace keratin {
namespace {

/// One step, with the channels where the layer has them. Keras does not export its cell either.
class ConvLSTMCell : public RNNCell {
 public:
  ConvLSTMCell(const char* layer, int axes, int filters, const PerAxis& kernel_size,
               const ConvLSTMOptions& options)
      : layer_(layer),
        axes_(axes),
        filters_(filters),
        kernel_size_(kernel_size),
        options_(options) {
    configured();
    set_name("conv_lstm_cell");
  }

  std::vector<Field> fields() override {
    ConvLSTMOptions& o = options_;
    return {{"filters", &filters_, at_least(1)},
            {"kernel_size", &kernel_size_},
            {"strides", &o.strides},
            {"padding", &o.padding},
            data_format_field(o.data_format),
            {"dilation_rate", &o.dilation_rate},
            {"activation", &o.activation},
            {"recurrent_activation", &o.recurrent_activation},
            {"use_bias", &o.use_bias},
            {"kernel_initializer", &o.kernel_initializer},
            {"recurrent_initializer", &o.recurrent_initializer},
            {"bias_initializer", &o.bias_initializer},
            {"unit_forget_bias", &o.unit_forget_bias},
            {"kernel_regularizer", &o.kernel_regularizer},
            {"recurrent_regularizer", &o.recurrent_regularizer},
            {"bias_regularizer", &o.bias_regularizer},
            {"kernel_constraint", &o.kernel_constraint},
            {"recurrent_constraint", &o.recurrent_constraint},
            {"bias_constraint", &o.bias_constraint},
            {"dropout", &o.dropout, between(0, 1)},
            {"recurrent_dropout", &o.recurrent_dropout, between(0, 1)},
            {"seed", &o.seed}};
  }

  void configured() override {
    ConvLSTMOptions& o = options_;
    check_fields(layer_, fields());
    check_padding(layer_, o.padding, /*causal=*/false);
    fill_axes(layer_, "kernel_size", kernel_size_, axes_, 1);
    fill_axes(layer_, "strides", o.strides, axes_, 1);
    fill_axes(layer_, "dilation_rate", o.dilation_rate, axes_, 1);
    if (std::ranges::max(o.strides) > 1 && std::ranges::max(o.dilation_rate) > 1)
      fail("{}: strides and dilation_rate cannot both be more than 1", layer_);
  }

  void build(const Shape& input_shape) override {
    const ConvLSTMOptions& o = options_;
    for (std::int64_t extent : input_shape.without(0))
      if (extent == None) fail("all sizes but batch and time must be known, got {}", input_shape);
    kernel = add_weight("kernel", kernel_shape(input_shape[last_channels() ? -1 : 1]),
                        o.kernel_initializer, o.kernel_regularizer, o.kernel_constraint);
    recurrent_kernel =
        add_weight("recurrent_kernel", kernel_shape(filters_), o.recurrent_initializer,
                   o.recurrent_regularizer, o.recurrent_constraint);
    if (!o.use_bias) return;
    bias = add_weight("bias", {4 * filters_}, o.bias_initializer, o.bias_regularizer,
                      o.bias_constraint);
    if (!o.unit_forget_bias) return;
    Tensor values = bias.value().copy();
    slice(values, {range(filters_, 2 * filters_)}).assign(1.0);
    bias.assign(values);
  }

  int input_rank() const override { return axes_ + 2; }
  std::vector<int> state_size() const override { return {filters_, filters_}; }  // h, c
  Shapes state_shapes() const override {
    Shape shape = input_shape().without(0);
    shape[last_channels() ? -1 : 0] = filters_;
    for (int axis = 0; axis < axes_; ++axis) {
      const auto i = static_cast<std::size_t>(axis);
      Windows::Axis windows{kernel_size_[i], options_.strides[i], options_.dilation_rate[i]};
      std::int64_t& extent = shape[last_channels() ? axis : axis + 1];
      extent = pad_axis(layer_, options_.padding, windows, extent);
    }
    return {shape, shape};
  }
  Shape output_shape() const override { return state_shapes()[0]; }
  bool supports_graph() const override { return true; }  // the layer answers for the activations

  void begin_sequence(std::int64_t batch) override {
    const ConvLSTMOptions& o = options_;
    end_sequence();  // the loop before may have been one that does not call it
    if (!training()) return;
    Random& source = random(o.seed);
    const Shape x = input_shape().with(0, batch), h = output_shape().inserted(0, batch);
    for (int gate = 0; o.dropout > 0 && gate < 4; ++gate)
      input_masks_.push_back(dropout_mask(x, o.dropout, dtype(), source, device()));
    for (int gate = 0; o.recurrent_dropout > 0 && gate < 4; ++gate)
      recurrent_masks_.push_back(dropout_mask(h, o.recurrent_dropout, dtype(), source, device()));
  }

  // Threads that predict at the same time share a cell: what has no masks is not written to.
  void end_sequence() override {
    for (Tensors* masks : {&input_masks_, &recurrent_masks_})
      if (!masks->empty()) masks->clear();
  }

  Tensors step(const Tensor& x, const Tensors& states) override {
    const ConvLSTMOptions& o = options_;
    const auto &sigma = o.recurrent_activation, &g = o.activation;
    Tensor sum = convolve(x, kernel, input_masks_, {o.strides, o.padding, o.dilation_rate}) +
                 convolve(states[0], recurrent_kernel, recurrent_masks_, {.padding = "same"});
    if (bias.defined()) sum = sum + bias;
    auto z = split(sum, 4, -1);  // i, f, c, o
    auto c1 = sigma(z[1]) * channels_to_end(states[1]) + sigma(z[0]) * g(z[2]);
    auto h1 = channels_to_place(sigma(z[3]) * g(c1));
    return {h1, h1, channels_to_place(c1)};
  }

 private:
  bool last_channels() const { return options_.data_format == "channels_last"; }
  Tensor channels_to_end(const Tensor& x) const { return last_channels() ? x : moveaxis(x, 1, -1); }
  Tensor channels_to_place(const Tensor& x) const {
    return last_channels() ? x : moveaxis(x, -1, 1);
  }

  Shape kernel_shape(std::int64_t channels) const {
    Shape shape;
    for (std::int64_t size : kernel_size_) shape.push_back(size);
    shape.push_back(channels);
    shape.push_back(4 * filters_);
    return shape;
  }

  /// With the channels last; mask i scales x for gate i.
  Tensor convolve(const Tensor& x, const Tensor& weights, const Tensors& masks,
                  const ConvOptions& windows) const {
    if (masks.empty()) return conv(channels_to_end(x), weights, windows);
    Tensors gates = split(weights, 4, -1);
    for (std::size_t i = 0; i < gates.size(); ++i)
      gates[i] = conv(channels_to_end(x * masks[i]), gates[i], windows);
    return concatenate(gates, -1);
  }

  const char* layer_;
  int axes_, filters_;
  PerAxis kernel_size_;
  ConvLSTMOptions options_;
  Weight kernel, recurrent_kernel, bias;
  Tensors input_masks_, recurrent_masks_;
};

}  // namespace

ConvLSTM::ConvLSTM(const char* class_name, int axes, int filters, const PerAxis& kernel_size,
                   const ConvLSTMOptions& o)
    : RNN(ConvLSTMCell(class_name, axes, filters, kernel_size, o),
          {o.return_sequences, o.return_state, o.go_backwards, o.stateful, o.zero_output_for_mask,
           o.name, o.input_shape}) {
  set_activity_regularizer(o.activity_regularizer);
}

void ConvLSTM::configured() {
  cell().configured();
  RNN::configured();
}

}  // namespace keratin
