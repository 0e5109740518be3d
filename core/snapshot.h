// Snapshot: what objects must keep to go on later as if nothing had happened. A class says it once,
// in a function that both notes the values and sets them again:
//
//   void snapshot(Snapshot& s) override { s.field("wait", wait_), s.field("best", best_); }
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <keratin/core/tensor.h>

namespace keratin {

class Snapshot {
 public:
  using Arrays = std::map<std::string, Tensor>;

  /// An empty one, in which fields are noted.
  Snapshot() = default;
  /// One that sets fields to what these arrays hold; `who` begins its error messages.
  Snapshot(Arrays arrays, std::string who)
      : arrays_(std::move(arrays)), who_(std::move(who)), restores_(true) {}

  /// Whether it sets fields, and does not note them.
  bool restores() const { return restores_; }
  /// What was noted, each under its full name.
  const Arrays& arrays() const { return arrays_; }

  // Throw std::runtime_error naming the field when there is none of that name, or one of another
  // form.
  void field(const std::string& name, bool& value);
  void field(const std::string& name, int& value);
  void field(const std::string& name, std::int64_t& value);
  void field(const std::string& name, std::uint64_t& value);
  void field(const std::string& name, double& value);
  void field(const std::string& name, std::string& value);
  void field(const std::string& name, std::optional<double>& value);
  void field(const std::string& name, std::vector<double>& values);
  /// Copied. One that has elements already is replaced by its dtype and shape alone.
  void field(const std::string& name, Tensor& value);
  void field(const std::string& name, std::vector<Tensor>& values);

  /// Fields of f have names that begin with "name/".
  void group(const std::string& name, const std::function<void()>& f);
  /// Throws std::runtime_error: the message says that the snapshot does not fit.
  [[noreturn]] void refuse(const std::string& reason) const;

 private:
  const Tensor* found(const std::string& name) const;
  const Tensor& array(const std::string& name) const;
  void note(const std::string& name, const Tensor& value);

  Arrays arrays_ = {};
  std::string who_ = {}, prefix_ = {};
  bool restores_ = false;
};

}  // namespace keratin
