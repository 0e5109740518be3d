// Whole files as bytes, read with a clear error for whatever is wrong and written so that no crash
// leaves half a file. What the bytes mean is for npy.h, npz.h and csv.h.
#pragma once

#include <string>
#include <string_view>

namespace keratin {

/// All bytes of a regular file. Throws std::runtime_error naming the path and the system's reason;
/// a directory, FIFO or device is refused, without waiting for one to be written to.
std::string read_file(const std::string& path);

/// Replaces or creates the file, as a whole: at each moment, also after a crash or a full disk, the
/// path holds either its old bytes or the new ones. They are written to "<path>.tmp", synced to the
/// disk, and renamed. Several threads or processes may save to one path at the same time: the last
/// one wins. Links are followed. Throws std::runtime_error naming the path and the system's reason.
void write_file(const std::string& path, std::string_view bytes);

}  // namespace keratin
