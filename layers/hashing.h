// Hashing: a bin for each number or string, without a vocabulary (keras/src/layers/preprocessing).
#pragma once

#include <string>
#include <variant>

#include <keratin/autograd/ops.h>
#include <keratin/layers/layer.h>
#include <keratin/layers/strings.h>

namespace keratin {

/// What a mask value may be: none, a number, or a string.
struct MaskValue : std::variant<std::monostate, std::int64_t, std::string> {
  MaskValue() = default;
  MaskValue(std::int64_t number) : variant(number) {}
  MaskValue(int number) : variant(std::int64_t{number}) {}
  MaskValue(std::string text) : variant(std::move(text)) {}
  MaskValue(const char* text) : variant(std::string(text)) {}
};

struct HashingOptions {
  MaskValue mask_value = {};        ///< goes to bin 0, which is then kept for it
  PerAxis salt = {};                ///< two numbers that change the function, or one used twice
  std::string output_mode = "int";  ///< or one_hot, multi_hot, count: see CategoryEncoding
  std::string name = {};
  Shape input_shape = {};
};

/// A bin in 0..num_bins-1 for each whole number or string, by a hash function: FarmHash's
/// Fingerprint64, or with a salt SipHash-2-4. A number is hashed as its decimal digits.
class Hashing : public Layer {
 public:
  explicit Hashing(int num_bins, const HashingOptions& options = {});
  std::vector<Field> fields() override;
  Config get_config() const override;
  Tensor call(const Tensor& inputs) override;
  Shape compute_output_shape(const Shape& input_shape) override;
  bool supports_graph() const override { return false; }  // the processor hashes

  using Layer::operator();
  Tensor operator()(const Strings& inputs) const;

 private:
  template <class T>
  Tensor hashed(const std::vector<T>& values, const Shape& shape, Device device) const;

  int num_bins_;
  HashingOptions options_;
};

}  // namespace keratin
