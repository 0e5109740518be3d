// Where a tensor's memory lives. Every tensor carries its device; the kernels of that device do its
// arithmetic (core/kernels.h), and a result is where its operands are.
//
//   set_default_device("cuda:0");              // from here on, in the whole program
//   auto scope = keratin::device("cuda:0");    // until the scope ends, in this thread
//   Tensor y = x.to("cuda:0");                 // this tensor
//
// On the device "meta", a tensor has a shape and a type, and no elements: an op there finds the
// shape and the type of its result, and takes no memory for it. Operands on meta may meet those on
// any device, and the result is on meta. Whoever asks for elements, as item() does, gets a
// std::runtime_error. A model on meta shows its shapes and counts its weights, however large it is.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>

namespace keratin {

struct Device {
  enum class Type : std::uint8_t { cpu, cuda, meta };
  Type type = Type::cpu;
  std::uint8_t index = 0;

  constexpr Device() = default;
  constexpr explicit Device(Type type, std::uint8_t index = 0) : type(type), index(index) {}
  /// "cpu", "cuda" (the first one), "cuda:0", "cuda:1", ..., "meta". Throws std::invalid_argument
  /// for another name; whether there is such a device is found when it is used.
  Device(const char* name);
  Device(const std::string& name);

  /// "cpu", "cuda:0", "meta"
  std::string str() const;
  constexpr bool is_cpu() const { return type == Type::cpu; }
  constexpr bool is_meta() const { return type == Type::meta; }
  constexpr bool operator==(const Device&) const = default;
};
std::ostream& operator<<(std::ostream& out, Device device);  ///< its name

/// How many CUDA devices this program can use: 0 where there is no driver, no device, or a build
/// without CUDA.
int cuda_device_count();

/// Where new tensors and weights are made: the processor, unless a scope of this thread or
/// set_default_device says another.
Device default_device();
/// For the whole program. Throws std::invalid_argument when there is no such device.
void set_default_device(Device device);

/// New tensors of this thread are made on the device while the scope lives.
class [[nodiscard]] DeviceScope {
 public:
  explicit DeviceScope(Device device);
  ~DeviceScope();
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;

 private:
  std::optional<Device> before_;
};

/// auto scope = keratin::device("cuda:0"); Throws std::invalid_argument when there is no such
/// device.
inline DeviceScope device(Device device) { return DeviceScope(device); }

/// Whether products of float32 on a CUDA device may use TF32: factors are rounded to 11 significant
/// bits, sums stay float32, and it is several times as fast. For the whole program; off at first.
void set_tf32(bool enabled);
bool tf32();

}  // namespace keratin
