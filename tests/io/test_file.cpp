#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <csignal>
#include <fstream>
#include <thread>
#include <vector>

#include <keratin/io/file.h>

#include "temporary_directory.h"

TEST_SUITE_BEGIN("io");

using namespace keratin;

namespace {

// The message of the error that reading or writing ends in.
template <class Action>
std::string error_of(const Action& action) {
  try {
    action();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "no error";
}

std::string read_error(const std::string& path) {
  return error_of([&] { read_file(path); });
}
std::string write_error(const std::string& path) {
  return error_of([&] { write_file(path, "new"); });
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// No file may grow beyond `bytes` while this lives: the write fails as on a full disk.
class SmallDisk {
 public:
  explicit SmallDisk(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &saved_);
    const rlimit small{bytes, saved_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small);
  }
  ~SmallDisk() {
    ::setrlimit(RLIMIT_FSIZE, &saved_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  void (*handler_)(int);
  rlimit saved_{};
};

}  // namespace

TEST_CASE("a file reads back as it was written") {
  const TemporaryDirectory folder;
  for (const std::string& bytes :
       {std::string(), std::string("a\0b\n\r\n\xff", 7), std::string(1 << 20, 'x')}) {
    write_file(folder / "file", bytes);
    CHECK(read_file(folder / "file") == bytes);
  }
  CHECK(folder.files() == 1);
}

TEST_CASE("a file that does not know its size is read to its end") {
  CHECK(!read_file("/proc/self/status").empty());
}

TEST_CASE("reading what is no readable file is an error that names path and reason") {
  const TemporaryDirectory folder;
  CHECK(contains(read_error(folder / "missing"), folder / "missing"));
  CHECK(contains(read_error(folder / "missing"), "No such file"));
  CHECK(contains(read_error(folder / ""), "a directory"));
  CHECK(contains(read_error("/dev/zero"), "a device"));
  REQUIRE(::mkfifo((folder / "fifo").c_str(), 0600) == 0);
  CHECK(contains(read_error(folder / "fifo"), "a FIFO"));  // and does not wait
  if (::geteuid() != 0) {                                  // root may read anything
    write_file(folder / "secret", "old");
    ::chmod((folder / "secret").c_str(), 0);
    CHECK(contains(read_error(folder / "secret"), "Permission denied"));
  }
}

TEST_CASE("writing where no file can be is an error that names path and reason") {
  const TemporaryDirectory folder;
  CHECK(contains(write_error(folder / "missing/file"), "missing/file: cannot create"));
  CHECK(contains(write_error(folder / "missing/file"), "No such file"));
  CHECK(contains(write_error(folder / ""), "a directory"));
  CHECK(contains(write_error("/dev/null"), "a device"));
  std::filesystem::create_directory(folder / "blocked.tmp");
  CHECK(contains(write_error(folder / "blocked"), "Is a directory"));
  if (::geteuid() != 0) {
    write_file(folder / "kept", "old");
    ::chmod((folder / "kept").c_str(), 0400);
    CHECK(contains(write_error(folder / "kept"), "Permission denied"));
    ::chmod((folder / "").c_str(), 0500);
    CHECK(contains(write_error(folder / "new"), "Permission denied"));
    ::chmod((folder / "").c_str(), 0700);
    CHECK(read_file(folder / "kept") == "old");
  }
}

TEST_CASE("a full disk leaves the old file and nothing else") {
  const TemporaryDirectory folder;
  write_file(folder / "file", "old");
  {
    const SmallDisk disk(1000);
    const std::string error =
        error_of([&] { write_file(folder / "file", std::string(5000, 'x')); });
    CHECK(contains(error, "File too large"));
  }
  CHECK(read_file(folder / "file") == "old");
  CHECK(folder.files() == 1);
}

TEST_CASE("a temporary file left behind is taken over") {
  const TemporaryDirectory folder;
  std::ofstream(folder / "file.tmp") << "much longer than what is written next";
  write_file(folder / "file", "new");
  CHECK(read_file(folder / "file") == "new");
  CHECK(folder.files() == 1);
}

TEST_CASE("a temporary name that is a link is not followed") {
  const TemporaryDirectory folder;
  write_file(folder / "other", "old");
  std::filesystem::create_symlink("other", folder / "file.tmp");
  CHECK(contains(write_error(folder / "file"), "file.tmp"));
  CHECK(read_file(folder / "other") == "old");
}

TEST_CASE("writing through a link replaces what it points to, and keeps its mode") {
  const TemporaryDirectory folder;
  write_file(folder / "file", "old");
  ::chmod((folder / "file").c_str(), 0640);
  std::filesystem::create_symlink("file", folder / "link");
  write_file(folder / "link", "new");
  CHECK(std::filesystem::is_symlink(folder / "link"));
  CHECK(read_file(folder / "file") == "new");
  struct stat status {};
  REQUIRE(::stat((folder / "file").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0640);
}

TEST_CASE("of several writers at once the last wins, and the file is whole") {
  const TemporaryDirectory folder;
  std::vector<std::thread> writers;
  for (char letter : {'a', 'b', 'c', 'd'})
    writers.emplace_back([&folder, letter] {
      for (std::size_t i = 0; i < 10; ++i)
        write_file(folder / "file", std::string(10000 + i, letter));
    });
  for (auto& writer : writers) writer.join();
  const std::string bytes = read_file(folder / "file");
  CHECK(bytes == std::string(10009, bytes.at(0)));
  CHECK(folder.files() == 1);
}

TEST_CASE("a process killed while it saves leaves the old file or the new one") {
  const TemporaryDirectory folder;
  const std::string path = folder / "file";
  const std::size_t size = 300000;
  write_file(path, std::string(size, 'a'));
  for (int round = 0; round < 20; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (char letter = 'a';; letter = letter == 'z' ? 'a' : static_cast<char>(letter + 1))
        write_file(path, std::string(size, letter));
    }
    REQUIRE(child > 0);
    ::usleep(1000 + 700 * round);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const std::string bytes = read_file(path);
    REQUIRE(bytes == std::string(size, bytes.at(0)));
  }
  write_file(path, "done");
  CHECK(folder.files() == 1);
}

TEST_SUITE_END();
