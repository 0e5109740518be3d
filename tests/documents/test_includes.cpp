// Who may include whom. The folders of the library form layers:
//
//   core <- autograd <- {layers, optim} <- training <- export        core <- io <- training
//
// and no public header brings in a third-party one, or the library's own machinery.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

TEST_SUITE_BEGIN("documents");

namespace {

namespace fs = std::filesystem;

const fs::path root = KERATIN_SOURCE_DIR;

const std::map<std::string, std::set<std::string>> allowed{
    {"core", {"core"}},
    {"autograd", {"core", "autograd"}},
    {"layers", {"core", "autograd", "layers"}},
    {"optim", {"core", "autograd", "optim"}},
    {"io", {"core", "io"}},
    {"training", {"core", "autograd", "layers", "optim", "io", "training"}},
    {"export", {"core", "autograd", "layers", "optim", "io", "training", "export"}},
    {"cli", {"core", "autograd", "layers", "optim", "io", "training", "export", "cli"}},
};

// What follows each #include of a file: <keratin/core/shape.h>, "file.h", <vector>.
std::vector<std::string> includes_of(const fs::path& file) {
  std::ifstream in(file);
  std::vector<std::string> found;
  for (std::string line; std::getline(in, line);) {
    std::size_t hash = line.find_first_not_of(" \t");
    if (hash == std::string::npos || line[hash] != '#') continue;
    std::size_t word = line.find_first_not_of(" \t", hash + 1);
    if (word == std::string::npos || line.compare(word, 7, "include") != 0) continue;
    std::size_t open = line.find_first_of("<\"", word);
    std::size_t close = line.find_first_of(">\"", open + 1);
    if (close != std::string::npos) found.push_back(line.substr(open, close - open + 1));
  }
  return found;
}

// core/shape.h of <keratin/core/shape.h>; empty for others' headers.
std::string own(const std::string& include) {
  const std::string prefix = "<keratin/";
  if (include.compare(0, prefix.size(), prefix) != 0) return "";
  return include.substr(prefix.size(), include.size() - prefix.size() - 1);
}

std::string folder_of(const std::string& path) { return path.substr(0, path.find('/')); }

// Every source file of the library, relative to its root.
std::vector<std::string> library_files() {
  std::vector<std::string> files;
  for (auto& [folder, may_include] : allowed) {
    if (!fs::is_directory(root / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      fs::path kind = entry.path().extension();
      if (kind == ".h" || kind == ".cpp" || kind == ".def" || kind == ".cu" || kind == ".cuh")
        files.push_back(entry.path().lexically_relative(root).generic_string());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

bool is_public(const std::string& file) {
  return fs::path(file).extension() == ".h" && file.find("/internal/") == std::string::npos &&
         file.find("/cpu/") == std::string::npos && file.find("/cuda/") == std::string::npos;
}

bool is_private(const std::string& include) {
  for (const char* name : {"<fmt/", "<xsimd/", "<omp.h", "<doctest", "<cblas", "<zip.h", "<hdf5",
                           "<H5", "<cuda", "<mpi", "<google", ".pb.h"})
    if (include.find(name) != std::string::npos) return true;
  return include.find("/internal/") != std::string::npos;
}

}  // namespace

TEST_CASE("the folders to check are there") {
  auto files = library_files();
  for (const char* file : {"core/tensor.h", "core/cpu/gemm.cpp", "autograd/internal/record.h"})
    CHECK(std::find(files.begin(), files.end(), file) != files.end());
  auto found = includes_of(root / "keratin.h");
  CHECK(std::find(found.begin(), found.end(), "<keratin/core/tensor.h>") != found.end());
}

TEST_CASE("every include follows the arrows between the folders") {
  for (const std::string& file : library_files())
    for (const std::string& include : includes_of(root / file)) {
      std::string target = own(include);
      if (target.empty()) continue;
      CAPTURE(file);
      CAPTURE(include);
      CHECK(allowed.at(folder_of(file)).count(folder_of(target)) == 1);
    }
}

TEST_CASE("the library's own headers are included by their full name, and exist") {
  for (const std::string& file : library_files())
    for (const std::string& include : includes_of(root / file)) {
      CAPTURE(file);
      CAPTURE(include);
      CHECK(include.front() == '<');
      if (std::string target = own(include); !target.empty()) CHECK(fs::exists(root / target));
    }
}

TEST_CASE("no public header includes third-party headers or machinery, not even through others") {
  std::vector<std::string> headers{"keratin.h"};
  for (const std::string& file : library_files())
    if (is_public(file)) headers.push_back(file);
  for (const std::string& header : headers) {
    std::set<std::string> seen{header};
    std::vector<std::string> open{header};
    while (!open.empty()) {
      std::string file = open.back();
      open.pop_back();
      for (const std::string& include : includes_of(root / file)) {
        CAPTURE(header);
        CAPTURE(file);
        CAPTURE(include);
        CHECK_FALSE(is_private(include));
        if (std::string target = own(include); !target.empty() && seen.insert(target).second)
          open.push_back(target);
      }
    }
  }
}

TEST_SUITE_END();
