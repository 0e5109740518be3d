// NumPy's .npz format: named arrays in one file, each an .npy member of a zip archive.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include <keratin/core/tensor.h>

namespace keratin {

/// The arrays that np.savez or np.savez_compressed wrote, by name; types as load_npy. Throws
/// std::runtime_error naming file, member and reason for whatever is wrong with the file.
std::map<std::string, Tensor> load_npz(const std::string& path);

/// Writes named tensors as np.savez_compressed does. A name may contain slashes
/// ("sequential/lstm/kernel"). Throws std::invalid_argument when a name appears twice or would lead
/// out of a folder.
void save_npz(const std::string& path, const std::vector<std::pair<std::string, Tensor>>& tensors);

/// load_npz of bytes in memory; `who` begins the error message.
std::map<std::string, Tensor> parse_npz(std::string bytes, const std::string& who);

/// The bytes that save_npz writes.
std::string format_npz(const std::vector<std::pair<std::string, Tensor>>& tensors);

}  // namespace keratin
