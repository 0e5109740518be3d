// NumPy's .npy format: one array in a file. Several in one file are in npz.h.
//
// Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#pragma once

#include <string>
#include <string_view>

#include <keratin/core/tensor.h>

namespace keratin {

/// The array that np.save wrote, row-major. Reads versions 1.0, 2.0 and 3.0, either byte order and
/// Fortran order. Becomes float32 from float16 and float32, float64 from float64, bool from bool,
/// and int32 from integers of any size. Throws std::runtime_error naming the file and the reason
/// when the file is damaged, holds another type (Python objects are never unpickled), or an integer
/// does not fit int32.
Tensor load_npy(const std::string& path);

/// Writes the tensor, of any strides, as np.save does.
void save_npy(const std::string& path, const Tensor& tensor);

/// load_npy of bytes in memory; `who` begins the error message.
Tensor parse_npy(std::string_view bytes, std::string_view who);

/// The bytes that save_npy writes.
std::string format_npy(const Tensor& tensor);

}  // namespace keratin
