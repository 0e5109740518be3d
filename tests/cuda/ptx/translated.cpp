// Runs each kernel of the backend twice from the same memory: as the emulator does, and as nvcc
// translated it. What they leave in all memory that the arguments lead to must be the same. Where
// nvcc may contract products and sums, or its library computes a function, floats may differ by a
// little.

#include "translated.h"

#include <cxxabi.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <regex>
#include <span>
#include <stdexcept>

#include "../emulator/emulation.h"
#include "ptx.h"

// Tells where the program was loaded.
extern "C" void keratin_ptx_anchor() {}

namespace ptx {
namespace {

constexpr double float32_tolerance = 1e-6, float64_tolerance = 1e-13;

struct Kernel {
  Function function = nullptr;
  std::int64_t launches = 0;
};

/// By mangled name.
std::map<std::string, Kernel>& kernels() {
  static std::map<std::string, Kernel> all;
  return all;
}

double largest_difference[2] = {};  // of float32 and float64
std::mutex report_mutex;

std::string readable(const std::string& name) {
  char* text = abi::__cxa_demangle(name.c_str(), nullptr, nullptr, nullptr);
  std::string result = text != nullptr ? text : name;
  std::free(text);
  const std::string unnamed = "(anonymous namespace)::";
  for (auto at = result.find(unnamed); at != result.npos; at = result.find(unnamed))
    result.erase(at, unnamed.size());
  return result.substr(0, result.rfind('('));
}

/// The names of the program's functions, which include those that no other file sees.
std::map<const void*, std::string> read_symbols() {
  const std::string command = "nm /proc/" + std::to_string(getpid()) + "/exe";
  std::FILE* nm = popen(command.c_str(), "r");
  if (nm == nullptr) throw std::runtime_error("PTX: nm does not run");
  std::map<std::uint64_t, std::string> found;
  std::uint64_t anchor = 0;
  char line[8192], name[8192], kind;
  unsigned long long value;
  while (std::fgets(line, sizeof line, nm) != nullptr)
    if (std::sscanf(line, "%llx %c %8191s", &value, &kind, name) == 3) {
      if (std::strchr("TtWw", kind) != nullptr) found[value] = name;
      if (std::strcmp(name, "keratin_ptx_anchor") == 0) anchor = value;
    }
  if (pclose(nm) != 0 || anchor == 0) throw std::runtime_error("PTX: nm gives no symbols");
  const auto base = reinterpret_cast<std::uint64_t>(&keratin_ptx_anchor) - anchor;
  std::map<const void*, std::string> symbols;
  for (const auto& [address, symbol] : found)
    symbols[reinterpret_cast<const void*>(base + address)] = symbol;
  return symbols;
}

/// The name of the kernel, where it is one of the backend's; those of the emulator's own tests have
/// no PTX.
const std::string* name_of(const void* kernel) {
  static const std::map<const void*, std::string> symbols = read_symbols();
  auto found = symbols.find(kernel);
  if (found == symbols.end()) throw std::runtime_error("PTX: a kernel without a name");
  return found->second.starts_with("_ZN7keratin4cuda") ? &found->second : nullptr;
}

/// What a kernel computes: f float32, d float64, or the letter of another type; and whether its
/// numbers may differ a little.
struct Result {
  char type = 0;
  bool exact = true;
};
Result result_of(const std::string& name) {
  static const std::regex first_argument("[a-z]I(?:LNS_9ReductionE[0-9]E)?([a-z])");
  static const std::regex inexact(
      "7forwardI|8gradientI|4stepI|softmax_|lstm_|12draw_numbersI.LNS_4Draw4KindE[12]E");
  Result result;
  std::smatch m;
  if (std::regex_search(name, m, first_argument)) result.type = *m[1].first;
  if (name.find("lstm_") != name.npos) result.type = 'f';
  result.exact = !std::regex_search(name, inexact);
  return result;
}

struct Block {
  std::span<std::byte> memory;
  std::vector<std::byte> before, expected;
};

void copy(std::span<std::byte> to, std::span<const std::byte> from) {
  std::memcpy(to.data(), from.data(), from.size());
}

/// All memory to which the arguments hold a pointer.
std::vector<Block> blocks_of(const emulator::Call& call) {
  std::map<std::byte*, std::span<std::byte>> found;
  for (const std::vector<std::byte>& argument : call.arguments)
    for (std::size_t at = 0; at + sizeof(void*) <= argument.size(); at += sizeof(void*)) {
      const void* pointer;
      std::memcpy(&pointer, argument.data() + at, sizeof pointer);
      const auto block = emulation::block_around(pointer);
      if (!block.empty()) found[block.data()] = block;
    }
  std::vector<Block> blocks;
  for (const auto& [_, memory] : found) blocks.push_back({memory, {}, {}});
  return blocks;
}

/// Every NaN is as good as another.
template <class T>
void compare_numbers(const Block& block, double tolerance, double& largest) {
  for (std::size_t at = 0; at + sizeof(T) <= block.memory.size(); at += sizeof(T)) {
    T x, y;
    std::memcpy(&x, block.memory.data() + at, sizeof x);
    std::memcpy(&y, block.expected.data() + at, sizeof y);
    if (std::memcmp(&x, &y, sizeof x) == 0 || (x != x && y != y)) continue;
    if (x == y && tolerance > 0) continue;
    const double difference = std::fabs(double{x} - double{y}) /
                              std::max({1.0, std::fabs(double{x}), std::fabs(double{y})});
    if (!(difference <= tolerance) || tolerance == 0) {
      char text[200];
      std::snprintf(text, sizeof text, "element %zu is %.17g and should be %.17g", at / sizeof(T),
                    double{x}, double{y});
      throw std::runtime_error(text);
    }
    std::lock_guard lock(report_mutex);
    largest = std::max(largest, difference);
  }
}

void compare(const Block& block, const Result& result) {
  const auto [x, y] = std::ranges::mismatch(block.memory, block.expected);
  if (x == block.memory.end()) return;
  if (result.type == 'f')
    compare_numbers<float>(block, result.exact ? 0 : float32_tolerance, largest_difference[0]);
  else if (result.type == 'd')
    compare_numbers<double>(block, result.exact ? 0 : float64_tolerance, largest_difference[1]);
  else
    throw std::runtime_error("byte " + std::to_string(x - block.memory.begin()) + " differs");
}

void run_both(dim3 grid, dim3 size, const emulator::Call& call) {
  const std::string* name = name_of(call.kernel);
  if (name == nullptr) return emulator::run_grid(grid, size, call.body);
  auto kernel = kernels().find(*name);
  if (kernel == kernels().end()) throw std::runtime_error("no PTX for " + readable(*name));

  std::vector<Block> blocks = blocks_of(call);
  for (Block& b : blocks) b.before.assign(b.memory.begin(), b.memory.end());
  emulator::run_grid(grid, size, call.body);
  for (Block& b : blocks) b.expected.assign(b.memory.begin(), b.memory.end());

  for (Block& b : blocks) copy(b.memory, b.before);
  std::vector<const void*> arguments;
  for (const std::vector<std::byte>& argument : call.arguments)
    arguments.push_back(argument.data());
  emulator::run_grid(grid, size, [&] { kernel->second.function(arguments.data()); });
  ++kernel->second.launches;
  try {
    for (const Block& b : blocks) compare(b, result_of(*name));
  } catch (const std::exception& error) {
    throw std::runtime_error("PTX of " + readable(*name) + ": " + error.what());
  }
}

const bool installed = (emulation::run_instead = run_both, true);

}  // namespace

Registered::Registered(const char* name, Function function) {
  if (!kernels().emplace(name, Kernel{function, 0}).second)
    throw std::runtime_error(std::string("PTX: two kernels of one name, ") + name);
}

Report report() {
  Report result;
  for (const auto& [name, kernel] : kernels()) {
    ++result.kernels;
    result.launches += kernel.launches;
    if (kernel.launches > 0)
      ++result.run;
    else
      result.not_run.push_back(readable(name));
  }
  result.float32 = largest_difference[0];
  result.float64 = largest_difference[1];
  return result;
}

}  // namespace ptx
