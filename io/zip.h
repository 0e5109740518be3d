// Zip archives in memory: what .npz and .keras files are made of. libzip inflates and deflates; the
// checks that make a stranger's archive safe to read are in zip.cpp. What the members mean is not
// known here.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

struct zip;

namespace keratin {

/// An archive to read. Nothing in it is trusted, and nothing is ever written to the disk.
class ZipArchive {
 public:
  /// `who` begins error messages. Throws std::runtime_error when the archive is damaged, when its
  /// members overlap, are encrypted, are symbolic links, inflate out of all proportion, or have
  /// names that repeat or would lead out of a folder.
  ZipArchive(std::string bytes, std::string who);
  ZipArchive(const ZipArchive&) = delete;

  /// In the order of the archive.
  const std::vector<std::string>& names() const { return names_; }

  /// The contents of member names()[index], its checksum verified.
  std::string read(std::size_t index) const;

 private:
  void check_members();

  std::string bytes_;
  std::string who_;
  std::vector<std::string> names_;
  std::unique_ptr<zip, void (*)(zip*)> archive_;
};

enum class ZipMethod { store, deflate };

/// The bytes of an archive with these (name, contents) members, in this order. Equal members give
/// equal bytes: no time is recorded. Beyond 256 MiB nothing is deflated, so that ZipArchive reads
/// whatever is written here. Throws std::invalid_argument for a name that it would refuse.
std::string format_zip(const std::vector<std::pair<std::string, std::string>>& members,
                       ZipMethod method);

}  // namespace keratin
