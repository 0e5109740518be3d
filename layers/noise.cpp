#include <cmath>

#include <keratin/autograd/ops.h>
#include <keratin/layers/internal/options.h>
#include <keratin/layers/noise.h>

namespace keratin {
namespace {

// Noise of a variance that grows without limit as the rate nears 1.
Check below_one() {
  return {"of at least 0 and below 1", [](const Option& option) {
            double rate = 0;
            return from_option(option, rate) && rate >= 0 && rate < 1;
          }};
}

}  // namespace

SpatialDropout::SpatialDropout(int axes, double rate, const SpatialDropoutOptions& options)
    : axes_(axes), rate_(rate), options_(options) {
  check_fields(fmt::format("SpatialDropout{}D", axes), fields());
  apply_common(*this, options);
}

void SpatialDropout::build(const Shape& input_shape) {
  if (input_shape.rank() != axes_ + 2)
    fail("expected an input of rank {}, got {}", axes_ + 2, input_shape);
}

Tensor SpatialDropout::call(const Tensor& x) {
  build(x.shape());
  if (!training() || rate_ == 0) return x;
  const int channels = options_.data_format == "channels_first" ? 1 : axes_ + 1;
  const Shape shape =
      Shape::filled(x.rank(), 1).with(0, x.size(0)).with(channels, x.size(channels));
  return x * dropout_mask(shape, rate_, x.dtype(), random(options_.seed), x.device());
}

GaussianNoise::GaussianNoise(double stddev, const NoiseOptions& options)
    : stddev_(stddev), seed_(options.seed) {
  check_fields("GaussianNoise", fields());
  apply_common(*this, options);
}

Tensor GaussianNoise::call(const Tensor& x) {
  if (!training() || stddev_ == 0) return x;
  return x + random(seed_).normal(x.shape(), 0, stddev_, x.dtype(), x.device());
}

GaussianDropout::GaussianDropout(double rate, const NoiseOptions& options)
    : rate_(rate), seed_(options.seed) {
  check_fields("GaussianDropout", fields());
  apply_common(*this, options);
}

Tensor GaussianDropout::call(const Tensor& x) {
  if (!training() || rate_ == 0) return x;
  const double stddev = std::sqrt(rate_ / (1 - rate_));
  return x * random(seed_).normal(x.shape(), 1, stddev, x.dtype(), x.device());
}

AlphaDropout::AlphaDropout(double rate, const AlphaDropoutOptions& options)
    : rate_(rate), options_(options) {
  check_fields("AlphaDropout", fields());
  apply_common(*this, options);
}

Tensor AlphaDropout::call(const Tensor& x) {
  if (!training() || rate_ == 0) return x;
  const double least = -1.6732632423543772848170429916717 * 1.0507009873554804934193349852946;
  const double a = 1 / std::sqrt((1 - rate_) * (1 + rate_ * least * least));
  const double b = -a * rate_ * least;
  const Shape shape = noise_shape_for(x.shape(), options_.noise_shape);
  Tensor kept = random(options_.seed).uniform(shape, 0, 1, float32, x.device()) >= rate_;
  return a * where(kept, x, least) + b;
}

ActivityRegularization::ActivityRegularization(const ActivityRegularizationOptions& options)
    : options_(options) {
  check_fields("ActivityRegularization", fields());
  apply_common(*this, options);
  configured();
}
void ActivityRegularization::configured() {
  set_activity_regularizer(L1L2(options_.l1, options_.l2));
}

// --- options

std::vector<Field> SpatialDropout::fields() {
  std::vector<Field> fields{{"rate", &rate_, between(0, 1)}, {"seed", &options_.seed}};
  if (axes_ > 1) fields.push_back(data_format_field(options_.data_format));
  return fields;
}
// Keras gives no trainable, the dtype by its name alone, and both names before data_format.
Config SpatialDropout::get_config() const {
  Config config = config_of(const_cast<SpatialDropout*>(this)->fields());
  config.insert(config.begin() + 2, {{"name", name()}, {"dtype", std::string(name_of(dtype()))}});
  return config;
}

std::vector<Field> GaussianNoise::fields() {
  return {{"stddev", &stddev_, between(0, 1)}, {"seed", &seed_}};
}
std::vector<Field> GaussianDropout::fields() {
  return {{"rate", &rate_, below_one()}, {"seed", &seed_}};
}
std::vector<Field> AlphaDropout::fields() {
  return {{"rate", &rate_, below_one()},
          {"seed", &options_.seed},
          noise_shape_field(options_.noise_shape)};
}

std::vector<Field> ActivityRegularization::fields() {
  return {{"l1", &options_.l1}, {"l2", &options_.l2}};
}
// The regularizer is what l1 and l2 make.
Config ActivityRegularization::get_config() const {
  Config config = Layer::get_config();
  std::erase_if(config, [](const auto& option) { return option.first == "activity_regularizer"; });
  return config;
}

}  // namespace keratin
