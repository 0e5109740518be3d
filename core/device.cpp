#include <atomic>
#include <bit>
#include <charconv>
#include <ostream>

#include <keratin/core/device.h>
#include <keratin/core/internal/backend.h>
#include <keratin/core/internal/message.h>

namespace keratin {

#ifdef KERATIN_CUDA
namespace cuda {
Backend& backend();  // core/cuda/cuda_backend.cpp
}
#endif

namespace {

std::atomic<Backend*> the_cuda_backend{nullptr};
std::atomic<bool> tf32_enabled{false};
std::atomic<std::uint16_t> program_default{std::bit_cast<std::uint16_t>(Device())};
thread_local std::optional<Device> thread_default;

void check_device(Device device) {
  if (!device.is_cpu()) backend_of(device);
}

Device parse(const std::string& name) {
  if (name == "cpu") return Device();
  if (name == "meta") return Device(Device::Type::meta);
  if (name == "cuda") return Device(Device::Type::cuda);
  if (name.starts_with("cuda:")) {
    std::uint8_t index = 0;
    auto [end, error] = std::from_chars(name.data() + 5, name.data() + name.size(), index);
    if (error == std::errc() && end == name.data() + name.size())
      return Device(Device::Type::cuda, index);
  }
  fail("device: expected \"cpu\", \"cuda\", \"cuda:N\" or \"meta\", got \"{}\"", name);
}

}  // namespace

Device::Device(const char* name) : Device(std::string(name)) {}
Device::Device(const std::string& name) { *this = parse(name); }

std::string Device::str() const {
  if (is_cpu()) return "cpu";
  return is_meta() ? "meta" : fmt::format("cuda:{}", static_cast<int>(index));
}

std::ostream& operator<<(std::ostream& out, Device device) { return out << device.str(); }

int cuda_device_count() {
  std::string why;
  Backend* backend = cuda_backend();
  return backend == nullptr ? 0 : backend->device_count(why);
}

Device default_device() {
  if (thread_default) return *thread_default;
  return std::bit_cast<Device>(program_default.load(std::memory_order_relaxed));
}

void set_default_device(Device device) {
  check_device(device);
  program_default = std::bit_cast<std::uint16_t>(device);
}

DeviceScope::DeviceScope(Device device) : before_(thread_default) {
  check_device(device);
  thread_default = device;
}
DeviceScope::~DeviceScope() { thread_default = before_; }

Backend& backend_of(Device device) {
  if (device.is_meta()) return meta_backend();
  Backend* backend = cuda_backend();
  if (backend == nullptr)
    fail("device: {}: this build has no CUDA; configure it with -DKERATIN_CUDA=ON", device.str());
  std::string why;
  const int count = backend->device_count(why);
  if (count == 0) fail("device: {}: no CUDA device can be used: {}", device.str(), why);
  if (device.index >= count)
    fail("device: {}: there {} {} CUDA device{}", device.str(), count == 1 ? "is" : "are", count,
         count == 1 ? "" : "s");
  return *backend;
}

Backend* cuda_backend() {
#ifdef KERATIN_CUDA
  if (the_cuda_backend == nullptr) the_cuda_backend = &cuda::backend();
#endif
  return the_cuda_backend;
}
void set_cuda_backend(Backend* backend) { the_cuda_backend = backend; }

void set_tf32(bool enabled) { tf32_enabled = enabled; }
bool tf32() { return tf32_enabled; }

}  // namespace keratin
