#include <string_view>

#include <keratin/core/internal/message.h>
#include <keratin/io/file.h>
#include <keratin/io/npy.h>
#include <keratin/io/npz.h>
#include <keratin/io/zip.h>

namespace keratin {
namespace {

constexpr std::string_view extension = ".npy";

}  // namespace

std::map<std::string, Tensor> parse_npz(std::string bytes, const std::string& who) {
  const ZipArchive archive(std::move(bytes), who);
  std::map<std::string, Tensor> tensors;
  for (std::size_t i = 0; i < archive.names().size(); ++i) {
    const std::string& name = archive.names()[i];
    if (!name.ends_with(extension))
      fail_io("{}: expected .npy members only, found \"{}\"", who, name);
    tensors[name.substr(0, name.size() - extension.size())] =
        parse_npy(archive.read(i), fmt::format("{}: {}", who, name));
  }
  return tensors;
}

std::string format_npz(const std::vector<std::pair<std::string, Tensor>>& tensors) {
  std::vector<std::pair<std::string, std::string>> members;
  for (const auto& [name, tensor] : tensors) {
    if (!tensor.defined()) fail("npz: the tensor \"{}\" is undefined", name);
    members.emplace_back(name + std::string(extension), format_npy(tensor));
  }
  return format_zip(members, ZipMethod::deflate);
}

std::map<std::string, Tensor> load_npz(const std::string& path) {
  return parse_npz(read_file(path), path);
}

void save_npz(const std::string& path, const std::vector<std::pair<std::string, Tensor>>& tensors) {
  write_file(path, format_npz(tensors));
}

}  // namespace keratin
