// What the fuzzing targets share. A target is one function, which libFuzzer calls with the bytes of
// a file; how files are changed is in mutators.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <string>
#include <string_view>

#include <unistd.h>

extern "C" {
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most,
                                    unsigned seed);
std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size,
                             std::size_t most);  // libFuzzer's
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// An error is as good an answer as a value, as long as it is an exception.
template <class F>
int may_refuse(const F& read) {
  try {
    read();
  } catch (const std::exception&) {
  }
  return 0;
}

/// What must hold of everything that was read; libFuzzer keeps the file where it does not.
inline void require(bool holds) {
  if (!holds) std::abort();
}

/// A file in memory with this ending, for readers that want a path.
inline std::string in_file(std::string_view bytes, const std::string& ending) {
  static const std::string stem = "/dev/shm/keratin-fuzz-" + std::to_string(::getpid());
  static std::string path;
  path = stem + ending;
  static const int registered = std::atexit([] { ::unlink(path.c_str()); });
  require(registered == 0);
  std::ofstream(path, std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return path;
}
