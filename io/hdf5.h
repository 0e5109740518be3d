// HDF5 files in memory, as far as Keras uses them: groups, arrays of numbers, and attributes of
// text. The HDF5 library reads and writes the bytes; the checks that make a stranger's file safe to
// read are in hdf5.cpp. What the groups mean is not known here.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <keratin/core/tensor.h>

namespace keratin {

/// A group and all that is in it.
struct Hdf5Group {
  std::vector<std::pair<std::string, Hdf5Group>> groups = {};
  std::vector<std::pair<std::string, Tensor>> arrays = {};
  std::vector<std::pair<std::string, std::string>> texts = {};  ///< attributes of one text
  std::vector<std::pair<std::string, std::vector<std::string>>> lists = {};  ///< and of several

  /// What lies at this path ("layers/dense/vars"), or null.
  const Hdf5Group* group(const std::string& path) const;
  const Tensor* array(const std::string& path) const;
  const std::string* text(const std::string& attribute) const;
  const std::vector<std::string>* list(const std::string& attribute) const;
  /// The group at this path, made if it is not there.
  Hdf5Group& make_group(const std::string& path);
};

/// Whether the library was built with HDF5. Without it the two functions below throw
/// std::runtime_error, which says so.
bool has_hdf5();

/// The file's groups, arrays and texts; numbers of 16 and 32 bits become float32 or int32. Other
/// attributes are left out. Throws std::runtime_error, which `who` begins, when the bytes are
/// damaged and when they point outside themselves: by links other than hard ones, external storage
/// or virtual datasets; when groups contain themselves; when an array declares far more than is
/// stored.
Hdf5Group parse_hdf5(const std::string& bytes, const std::string& who);

/// The bytes of a file with this content, which every version of HDF5 reads.
std::string format_hdf5(const Hdf5Group& root);

}  // namespace keratin
