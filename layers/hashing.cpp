#include <cmath>

#include <keratin/core/create.h>
#include <keratin/layers/hashing.h>
#include <keratin/layers/internal/categories.h>
#include <keratin/layers/internal/hashes.h>
#include <keratin/layers/internal/named.h>
#include <keratin/layers/internal/options.h>

namespace keratin {

Hashing::Hashing(int num_bins, const HashingOptions& options)
    : num_bins_(num_bins), options_(options) {
  check_fields("Hashing", fields());
  apply_common(*this, options);
}

std::vector<Field> Hashing::fields() {
  MaskValue& mask = options_.mask_value;
  auto read = [&mask]() -> Option {
    if (auto* number = std::get_if<std::int64_t>(&mask)) return *number;
    if (auto* text = std::get_if<std::string>(&mask)) return *text;
    return {};
  };
  auto write = [&mask](const Option& value) {
    std::int64_t number = 0;
    std::string text;
    if (from_option(value, number)) return mask = number, true;
    if (from_option(value, text)) return mask = text, true;
    return mask = {}, value.is_none();
  };
  return {{"num_bins", &num_bins_, at_least(1)},
          salt_field(options_.salt),
          {"mask_value", read, write},
          {"output_mode", &options_.output_mode, one_of({"int", "one_hot", "multi_hot", "count"})},
          Field::fixed("sparse", false)};
}

// Bins have the type int64 in Keras, where they are not encoded.
Config Hashing::get_config() const {
  Config config = Layer::get_config();
  if (options_.output_mode == "int")
    for (auto& [option, value] : config)
      if (option == "dtype") value = object_option("keras", "DTypePolicy", {{"name", "int64"}});
  return config;
}

template <class T>
Tensor Hashing::hashed(const std::vector<T>& values, const Shape& shape, Device device) const {
  const T* mask = std::get_if<T>(&options_.mask_value);
  const bool masks = options_.mask_value.index() != 0 && num_bins_ > 1;
  if (masks && mask == nullptr) fail("expected a mask_value of the type of the inputs");
  std::vector<std::int32_t> bins;
  for (const T& value : values) {
    const bool masked = masks && value == *mask;
    const std::int64_t bin =
        masked ? 0 : hash_bin(text_of(value), num_bins_ - masks, options_.salt) + masks;
    bins.push_back(static_cast<std::int32_t>(bin));
  }
  return encode(tensor(bins, shape, int32, device), options_.output_mode, num_bins_, dtype());
}

Tensor Hashing::call(const Tensor& inputs) {
  return hashed(whole_numbers(inputs), inputs.shape(), inputs.device());
}

Tensor Hashing::operator()(const Strings& inputs) const {
  return named(*this, [&] { return hashed(inputs.values(), inputs.shape(), default_device()); });
}

Shape Hashing::compute_output_shape(const Shape& input_shape) {
  ensure_built(input_shape);
  return encoded_shape(input_shape, options_.output_mode, num_bins_);
}

}  // namespace keratin
