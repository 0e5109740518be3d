// How weights begin (keras/src/initializers). An Initializer is a name such as "glorot_uniform",
// one of the objects below, or any function of a shape, a dtype and a generator.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include <keratin/core/config.h>
#include <keratin/core/random.h>
#include <keratin/core/tensor.h>

namespace keratin {

class Initializer {
 public:
  using Function = std::function<Tensor(const Shape&, DType, Random&)>;

  /// None: the layer's own default is used.
  Initializer() = default;
  /// By Keras' name. Throws std::invalid_argument for one it does not know.
  Initializer(const std::string& name);
  Initializer(const char* name) : Initializer(std::string(name)) {}
  template <class F>
  requires std::is_invocable_r_v<Tensor, F, const Shape&, DType, Random&> Initializer(F function)
      : function_(std::move(function)) {}

  bool defined() const { return function_ != nullptr; }
  /// A new tensor of the shape. With a seed the same numbers each time, else the next ones of
  /// default_random().
  Tensor operator()(const Shape& shape, DType dtype = float32) const;
  Initializer& with_seed(std::optional<std::uint64_t> seed);

  /// Keras's class name and config; empty for a function of one's own.
  const std::string& class_name() const { return class_name_; }
  const Config& config() const { return config_; }
  static Initializer from_config(const std::string& class_name, const Config& config);
  /// The same initializer as an object of this class and config.
  Initializer described_as(std::string class_name, Config config) const;

 private:
  Function function_;
  std::optional<std::uint64_t> seed_;
  std::string class_name_;
  Config config_;
};

/// As an object. Throws std::invalid_argument for a function of one's own.
Option to_option(const Initializer& initializer);
bool from_option(const Option& option, Initializer& initializer);

/// A function of one's own gets the name "package>name", by which strings and configs know it.
void register_keras_serializable(const std::string& package, const std::string& name,
                                 const Initializer& function);

/// What an initializer by variance needs to know: the numbers of inputs and outputs of one unit.
struct Fans {
  double in, out;
};
Fans fans_of(const Shape& shape);

struct NormalOptions {
  double mean = 0, stddev = 0.05;
  std::optional<std::uint64_t> seed = {};
};
struct UniformOptions {
  double minval = -0.05, maxval = 0.05;
  std::optional<std::uint64_t> seed = {};
};
struct VarianceScalingOptions {
  double scale = 1;
  std::string mode = "fan_in";                    ///< fan_in, fan_out or fan_avg
  std::string distribution = "truncated_normal";  ///< or untruncated_normal, uniform
  std::optional<std::uint64_t> seed = {};
};
struct GainOptions {
  double gain = 1;
  std::optional<std::uint64_t> seed = {};
};
struct SeedOption {
  std::optional<std::uint64_t> seed = {};
};

Initializer Zeros();
Initializer Ones();
Initializer Constant(double value = 0);
Initializer RandomNormal(const NormalOptions& options = {});
/// Values beyond two standard deviations are drawn again.
Initializer TruncatedNormal(const NormalOptions& options = {});
Initializer RandomUniform(const UniformOptions& options = {});
/// Variance scale / n, with n by the mode from the fans.
Initializer VarianceScaling(const VarianceScalingOptions& options = {});
Initializer GlorotUniform(const SeedOption& options = {});
Initializer GlorotNormal(const SeedOption& options = {});
Initializer HeUniform(const SeedOption& options = {});
Initializer HeNormal(const SeedOption& options = {});
Initializer LecunUniform(const SeedOption& options = {});
Initializer LecunNormal(const SeedOption& options = {});
/// Orthonormal rows or columns, whichever are fewer, of the matrix (all axes but the last, last).
Initializer Orthogonal(const GainOptions& options = {});
/// Ones on the diagonal of a matrix, times the gain.
Initializer Identity(double gain = 1);

}  // namespace keratin
