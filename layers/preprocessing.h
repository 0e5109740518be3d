// Layers that prepare numbers for a model (keras/src/layers/preprocessing). What they know of the
// data is given as options, or found by adapt before the training:
//
//   Normalization normalize;
//   normalize.adapt(x);                 // mean and variance of each feature
//   Sequential model({normalize, Dense(8, {.activation = "relu"}), Dense(1)});
//
// Layers for whole numbers and strings without bounds are in hashing.h and lookup.h.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <keratin/layers/call_arguments.h>
#include <keratin/layers/core_layers.h>

namespace keratin {

struct NormalizationOptions {
  std::vector<int> axis = {-1};  ///< each place along these has its own mean; none: one for all
  Tensor mean = {};              ///< a number, or numbers that broadcast along these axes
  Tensor variance = {};          ///< both or neither
  bool invert = false;           ///< back from normalized inputs to the original ones
  std::string name = {};
  Shape input_shape = {};
};

/// (x - mean) / sqrt(variance), or x * sqrt(variance) + mean; the root is at least 1e-7.
class Normalization : public SameShapeLayer {
 public:
  explicit Normalization(const NormalizationOptions& options = {});
  std::vector<Field> fields() override;
  void configured() override;
  void build(const Shape& input_shape) override;
  Tensor call(const Tensor& inputs) override;
  /// Numbers that were given as options come from the processor.
  bool supports_graph() const override { return !options_.mean.defined(); }

  /// Takes mean and variance from the data: those of the population.
  void adapt(const Tensor& data);
  /// The same for data in batches.
  void adapt(const Tensors& batches);

 private:
  /// Numbers for the axes, with size 1 along all others of an input.
  Tensor along_axes(const Tensor& numbers) const;

  NormalizationOptions options_;
  Weight mean, variance, count;  // Keras counts nothing, but has the weight
};

/// Numbers in braces, {0, 1, 2}, or none at all. An empty vector makes one bin.
struct BinBoundaries : std::optional<std::vector<double>> {
  BinBoundaries() = default;
  BinBoundaries(std::initializer_list<double> each) : optional(std::vector<double>(each)) {}
  BinBoundaries(std::vector<double> each) : optional(std::move(each)) {}
};

struct DiscretizationOptions {
  BinBoundaries bin_boundaries = {};  ///< ascending
  std::optional<int> num_bins = {};   ///< for adapt, in place of boundaries
  double epsilon = 0.01;              ///< the share of the data that adapt may be wrong by
  std::string output_mode = "int";    ///< or one_hot, multi_hot, count
  std::string name = {};
  Shape input_shape = {};
};

/// The number of the bin that each number falls into: how many boundaries are not above it. Beyond
/// the last boundary, and for NaN, it is the last bin. Other output modes: see CategoryEncoding.
class Discretization : public Layer {
 public:
  explicit Discretization(const DiscretizationOptions& options);
  std::vector<Field> fields() override;
  Config get_config() const override;
  void configured() override;
  Tensor call(const Tensor& inputs) override;
  Shape compute_output_shape(const Shape& input_shape) override;

  /// Puts the boundaries where each bin holds as many numbers of the data, about.
  void adapt(const Tensor& data);
  /// The same for data in batches, of which it keeps 1 / epsilon numbers at a time.
  void adapt(const Tensors& batches);
  /// Those given, or found; none before adapt.
  std::vector<double> bin_boundaries() const;

 private:
  std::int64_t bins() const;

  DiscretizationOptions options_;
};

struct CategoryEncodingOptions {
  std::string output_mode = "multi_hot";  ///< or one_hot, count
  std::string name = {};
  Shape input_shape = {};
};

/// Codes for whole numbers in 0..num_tokens-1. "one_hot": each number as num_tokens zeros and a 1,
/// in a new last axis, or in place of a last axis of size 1. "multi_hot": the last axis is a
/// sample, and becomes num_tokens numbers, with 1 for each token that is there. "count": the same
/// with how often it is there, or in a call on {x, count_weights} with the sum of its weights.
class CategoryEncoding : public Layer, public CallArguments {
 public:
  explicit CategoryEncoding(int num_tokens, const CategoryEncodingOptions& options = {});
  std::vector<Field> fields() override;
  Tensors call(const Tensors& inputs) override;
  Shapes compute_output_shape(const Shapes& input_shapes) override;
  std::vector<Field> call_fields() override { return {}; }
  std::vector<std::string> input_arguments() const override { return {"inputs", "count_weights"}; }

 private:
  int num_tokens_;
  CategoryEncodingOptions options_;
};

}  // namespace keratin
