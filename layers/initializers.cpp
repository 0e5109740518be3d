#include <algorithm>
#include <cmath>
#include <map>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/suggest.h>
#include <keratin/layers/initializers.h>
#include <keratin/layers/layer.h>

namespace keratin {
namespace {

// The rows of a (m, n) matrix, m <= n, made orthonormal: Q^T of the QR decomposition of its
// transpose, with the signs that make R's diagonal positive. Gram and Schmidt's method; cleaning
// each row twice is enough (Giraud et al., 2005).
Tensor orthonormal_rows(Tensor a) {
  for (std::int64_t i = 0; i < a.size(0); ++i) {
    Tensor v = a[i], before = slice(a, {range(0, i)});
    for (int pass = 0; pass < 2 && i > 0; ++pass) v = v - dot(dot(before, v), before);
    a[i].assign(v / norm(v));
  }
  return a;
}

Tensor orthogonal(const Shape& shape, DType dtype, Random& random, double gain) {
  if (shape.rank() < 2) fail("orthogonal: expected a shape of rank 2 or more, got {}", shape);
  std::int64_t columns = shape[-1], rows = shape.numel() / std::max<std::int64_t>(columns, 1);
  std::int64_t tall = std::max(rows, columns), wide = std::min(rows, columns);
  Tensor q = orthonormal_rows(random.normal({wide, tall}, 0, 1, float64));
  Tensor matrix = rows < columns ? q : q.transpose();
  return (matrix * gain).reshape(shape).astype(dtype);
}

Tensor variance_scaled(const Shape& shape, DType dtype, Random& random,
                       const VarianceScalingOptions& options) {
  Fans fans = fans_of(shape);
  double n = options.mode == "fan_in"    ? fans.in
             : options.mode == "fan_out" ? fans.out
                                         : (fans.in + fans.out) / 2;
  double variance = options.scale / std::max(1.0, n);
  if (options.distribution == "uniform") {
    double limit = std::sqrt(3 * variance);
    return random.uniform(shape, -limit, limit, dtype);
  }
  double stddev = std::sqrt(variance);
  if (options.distribution == "untruncated_normal") return random.normal(shape, 0, stddev, dtype);
  // Cutting at two standard deviations takes this much of the spread away.
  return random.truncated_normal(shape, 0, stddev / 0.87962566103423978, dtype);
}

Initializer scaled(double scale, const char* mode, const char* distribution,
                   const SeedOption& options) {
  return VarianceScaling({scale, mode, distribution, options.seed});
}

const std::map<std::string, Initializer (*)()>& by_name() {
  static const std::map<std::string, Initializer (*)()> table{
      {"zeros", [] { return Zeros(); }},
      {"ones", [] { return Ones(); }},
      {"zero", [] { return Zeros(); }},
      {"one", [] { return Ones(); }},
      {"constant", [] { return Constant(); }},
      {"random_normal", [] { return RandomNormal(); }},
      {"normal", [] { return RandomNormal(); }},
      {"random_uniform", [] { return RandomUniform(); }},
      {"uniform", [] { return RandomUniform(); }},
      {"truncated_normal", [] { return TruncatedNormal(); }},
      {"variance_scaling", [] { return VarianceScaling(); }},
      {"glorot_uniform", [] { return GlorotUniform(); }},
      {"glorot_normal", [] { return GlorotNormal(); }},
      {"he_uniform", [] { return HeUniform(); }},
      {"he_normal", [] { return HeNormal(); }},
      {"lecun_uniform", [] { return LecunUniform(); }},
      {"lecun_normal", [] { return LecunNormal(); }},
      {"orthogonal", [] { return Orthogonal(); }},
      {"identity", [] { return Identity(); }},
  };
  return table;
}

}  // namespace

Initializer::Initializer(const std::string& name) {
  auto found = by_name().find(name);
  if (found == by_name().end()) {  // a class name: "GlorotUniform", "OrthogonalInitializer"
    std::string words = to_snake_case(name);
    if (words.ends_with("_initializer")) words.resize(words.size() - 12);
    if (words != name) found = by_name().find(words);
  }
  if (found == by_name().end()) fail_unknown("unknown initializer", name, by_name());
  *this = found->second();
}

Tensor Initializer::operator()(const Shape& shape, DType dtype) const {
  NoGradient scope;
  if (!seed_) return function_(shape, dtype, default_random());
  Random random(*seed_);
  return function_(shape, dtype, random);
}

Initializer& Initializer::with_seed(std::optional<std::uint64_t> seed) {
  seed_ = seed;
  return *this;
}

// Of a shape with more than two axes, all but the last two are the receptive field of a
// convolution.
Fans fans_of(const Shape& shape) {
  if (shape.rank() == 0) return {1, 1};
  if (shape.rank() == 1) return {double(shape[0]), double(shape[0])};
  double field = 1;
  for (int axis = 0; axis < shape.rank() - 2; ++axis) field *= double(shape[axis]);
  return {double(shape[-2]) * field, double(shape[-1]) * field};
}

Initializer Constant(double value) {
  return [=](const Shape& shape, DType dtype, Random&) { return full(shape, value, dtype); };
}
Initializer Zeros() { return Constant(0); }
Initializer Ones() { return Constant(1); }

Initializer RandomNormal(const NormalOptions& o) {
  auto draw = [o](const Shape& shape, DType dtype, Random& random) {
    return random.normal(shape, o.mean, o.stddev, dtype);
  };
  return Initializer(draw).with_seed(o.seed);
}

Initializer TruncatedNormal(const NormalOptions& o) {
  auto draw = [o](const Shape& shape, DType dtype, Random& random) {
    return random.truncated_normal(shape, o.mean, o.stddev, dtype);
  };
  return Initializer(draw).with_seed(o.seed);
}

Initializer RandomUniform(const UniformOptions& o) {
  auto draw = [o](const Shape& shape, DType dtype, Random& random) {
    return random.uniform(shape, o.minval, o.maxval, dtype);
  };
  return Initializer(draw).with_seed(o.seed);
}

Initializer VarianceScaling(const VarianceScalingOptions& o) {
  if (o.mode != "fan_in" && o.mode != "fan_out" && o.mode != "fan_avg")
    fail("VarianceScaling: expected mode fan_in, fan_out or fan_avg, got \"{}\"", o.mode);
  if (o.distribution != "truncated_normal" && o.distribution != "untruncated_normal" &&
      o.distribution != "uniform")
    fail("VarianceScaling: unknown distribution \"{}\"", o.distribution);
  if (!(o.scale > 0)) fail("VarianceScaling: expected a positive scale, got {}", o.scale);
  auto draw = [o](const Shape& shape, DType dtype, Random& random) {
    return variance_scaled(shape, dtype, random, o);
  };
  return Initializer(draw).with_seed(o.seed);
}

Initializer GlorotUniform(const SeedOption& o) { return scaled(1, "fan_avg", "uniform", o); }
Initializer GlorotNormal(const SeedOption& o) {
  return scaled(1, "fan_avg", "truncated_normal", o);
}
Initializer HeUniform(const SeedOption& o) { return scaled(2, "fan_in", "uniform", o); }
Initializer HeNormal(const SeedOption& o) { return scaled(2, "fan_in", "truncated_normal", o); }
Initializer LecunUniform(const SeedOption& o) { return scaled(1, "fan_in", "uniform", o); }
Initializer LecunNormal(const SeedOption& o) { return scaled(1, "fan_in", "truncated_normal", o); }

Initializer Orthogonal(const GainOptions& o) {
  auto draw = [o](const Shape& shape, DType dtype, Random& random) {
    return orthogonal(shape, dtype, random, o.gain);
  };
  return Initializer(draw).with_seed(o.seed);
}

Initializer Identity(double gain) {
  return [=](const Shape& shape, DType dtype, Random&) {
    if (shape.rank() != 2) fail("identity: expected a shape of rank 2, got {}", shape);
    return eye(shape[0], shape[1], dtype) * gain;
  };
}

}  // namespace keratin
