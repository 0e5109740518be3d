// What users have registered of one kind: functions by value, classes by a function that makes an
// object of the class.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <typeindex>
#include <utility>

#include <keratin/core/internal/class_name.h>
#include <keratin/core/internal/message.h>

namespace keratin {

/// "package>name", as Keras calls them.
inline std::string registered_name(const std::string& package, const std::string& name) {
  if (package.empty() || name.empty() || (package + name).find('>') != std::string::npos)
    fail(
        "register_keras_serializable: expected a package and a name without '>', got \"{}\" and "
        "\"{}\"",
        package, name);
  return package + ">" + name;
}

template <class T, class Key = std::string>
class CustomObjects {
 public:
  /// A later object of the same name takes the place of the first.
  void add(const Key& name, T object) {
    std::lock_guard lock(mutex_);
    objects_.insert_or_assign(name, std::move(object));
  }
  std::optional<T> find(const Key& name) const {
    std::lock_guard lock(mutex_);
    auto found = objects_.find(name);
    return found == objects_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  mutable std::mutex mutex_;
  std::map<Key, T> objects_;
};

/// Classes, which are also known by their C++ type.
template <class Any>
class CustomClasses {
 public:
  using Make = std::function<Any()>;
  /// Without a name: under that of the class.
  void add(const std::type_info& type, const std::string& package, const std::string& name,
           Make make) {
    const std::string full = registered_name(package, name.empty() ? class_name_of(type) : name);
    names_.add(type, full);
    makers_.add(full, std::move(make));
  }
  /// "package>name", or nothing.
  std::string name_of(const std::type_info& type) const { return names_.find(type).value_or(""); }
  std::optional<Make> find(const std::string& name) const { return makers_.find(name); }
  /// An object of a class that is there.
  Any made(const std::string& name) const {
    const Make make = find(name).value_or(nullptr);
    if (!make)
      fail("{}: register_keras_serializable needs a function that makes an object of this class",
           name);
    return make();
  }

 private:
  CustomObjects<std::string, std::type_index> names_;
  CustomObjects<Make> makers_;
};

}  // namespace keratin
