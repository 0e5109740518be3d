// The numbers that real Keras computed (tests/golden/README.md), for tests to compare with.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include <keratin/core/tensor.h>
#include <keratin/io/npz.h>

namespace keratin {

/// One file of them: a field is found by `case/field`, and a case is usually `kind/variant`.
class Golden {
 public:
  explicit Golden(const std::string& name)
      : fields_(load_npz(KERATIN_SOURCE_DIR "/tests/golden/" + name + ".npz")) {}

  bool has(const std::string& key) const { return fields_.contains(key); }
  const Tensor& operator[](const std::string& key) const {
    auto found = fields_.find(key);
    if (found == fields_.end()) throw std::out_of_range("no golden value " + key);
    return found->second;
  }
  /// Undefined where there is none.
  Tensor get(const std::string& key) const { return has(key) ? (*this)[key] : Tensor(); }

  /// The names of all cases that begin with `prefix`, sorted.
  std::vector<std::string> cases(const std::string& prefix = {}) const {
    std::set<std::string> names;
    for (const auto& [key, value] : fields_)
      if (key.starts_with(prefix)) names.insert(key.substr(0, key.rfind('/')));
    return {names.begin(), names.end()};
  }

 private:
  std::map<std::string, Tensor> fields_;
};

/// The file of that name, read once.
inline const Golden& golden(const std::string& name) {
  static std::map<std::string, Golden> files;
  return files.try_emplace(name, name).first->second;
}

/// While it lives, layers are made in float64, in which the numbers were recorded.
struct Float64 {
  Float64() { set_floatx(float64); }
  ~Float64() { set_floatx(float32); }
};

/// The largest |a - b| over the larger of `floor` and the largest |b|: infinite when the shapes
/// differ or when NaN or infinity stands in one of them alone.
inline double max_relative_difference(const Tensor& a, const Tensor& b, double floor = 1e-12) {
  if (a.shape() != b.shape()) return INFINITY;
  std::vector<double> x = a.to_vector<double>(), y = b.to_vector<double>();
  double largest = floor, difference = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (x[i] == y[i] || (std::isnan(x[i]) && std::isnan(y[i]))) continue;
    if (!std::isfinite(x[i] - y[i])) return INFINITY;
    difference = std::max(difference, std::abs(x[i] - y[i]));
  }
  for (double v : y)
    if (std::isfinite(v)) largest = std::max(largest, std::abs(v));
  return difference / largest;
}

}  // namespace keratin
