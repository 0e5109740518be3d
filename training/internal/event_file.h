// Files that TensorBoard reads: a record for each value, with its tag and its step.
#pragma once

#include <cstdint>
#include <fstream>
#include <string>

#include <keratin/core/tensor.h>

namespace keratin {

/// Whether the library was built with Protocol Buffers, which such files need.
bool has_event_files();

class EventFile {
 public:
  /// A new file in the folder, which is made if it is not there. Throws std::runtime_error when it
  /// cannot be made.
  explicit EventFile(const std::string& folder);

  void scalar(const std::string& tag, double value, std::int64_t step);
  /// How many of the numbers lie where, in 30 parts of equal width.
  void histogram(const std::string& tag, const Tensor& numbers, std::int64_t step);
  /// (number, height, width, channels), numbers from 0 to 1; of more than `most` the first ones. As
  /// many as TensorFlow writes, if nothing is said.
  void images(const std::string& tag, const Tensor& images, std::int64_t step,
              std::int64_t most = 3);
  /// A model's to_json, for the page of graphs.
  void graph(const std::string& json);
  /// What was written is on the disk. Throws std::runtime_error when it cannot be.
  void flush();

 private:
  void record(const std::string& bytes);
  std::string path_;
  std::ofstream file_;
};

}  // namespace keratin
