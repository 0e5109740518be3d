#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include <keratin/core/internal/message.h>
#include <keratin/io/file.h>

namespace keratin {
namespace {

std::string reason(int error = errno) { return std::generic_category().message(error); }

// Calls a system function again while signals interrupt it.
template <class Call>
auto retry(const Call& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

class Descriptor {
 public:
  Descriptor(const std::string& path, int flags, mode_t mode = 0)
      : fd_(retry([&] { return ::open(path.c_str(), flags | O_CLOEXEC, mode); })) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  operator int() const { return fd_; }

 private:
  int fd_;
};

const char* kind_of(const struct stat& status) {
  if (S_ISDIR(status.st_mode)) return "a directory";
  if (S_ISFIFO(status.st_mode)) return "a FIFO";
  return "a device or socket";
}

// The temporary file has one name, so that a later save takes over what a killed one left behind,
// and is locked, so that two writers do not mix. Whoever waited for the lock may hold a file that
// has been renamed or removed meanwhile: then it starts again.
Descriptor open_locked(const std::string& path, const std::string& temporary) {
  while (true) {
    Descriptor file(temporary, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (file < 0) fail_io("{}: cannot create {}: {}", path, temporary, reason());
    // Some cluster file systems have no locks; then writers must keep out of each other's way.
    const bool locked = retry([&] { return ::flock(file, LOCK_EX); }) == 0;
    if (!locked && errno != ENOSYS && errno != ENOTSUP && errno != ENOLCK)
      fail_io("{}: cannot lock {}: {}", path, temporary, reason());
    struct stat mine {
    }, named{};
    if (::fstat(file, &mine) != 0) fail_io("{}: {}: {}", path, temporary, reason());
    if (!S_ISREG(mine.st_mode)) fail_io("{}: {} is {}", path, temporary, kind_of(mine));
    if (::lstat(temporary.c_str(), &named) == 0 && named.st_ino == mine.st_ino &&
        named.st_dev == mine.st_dev)
      return file;
  }
}

void write_and_sync(int file, std::string_view bytes) {
  auto check = [](std::ptrdiff_t result) {
    if (result < 0) throw std::system_error(errno, std::generic_category());
  };
  check(retry([&] { return ::ftruncate(file, 0); }));
  while (!bytes.empty()) {
    auto written = retry([&] { return ::write(file, bytes.data(), bytes.size()); });
    check(written);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  check(retry([&] { return ::fsync(file); }));
}

}  // namespace

std::string read_file(const std::string& path) {
  Descriptor file(path, O_RDONLY | O_NONBLOCK);
  if (file < 0) fail_io("{}: cannot open: {}", path, reason());
  struct stat status {};
  if (::fstat(file, &status) != 0) fail_io("{}: cannot read: {}", path, reason());
  if (!S_ISREG(status.st_mode)) fail_io("{}: expected a file, found {}", path, kind_of(status));

  // Read to the end, whatever the size was: a file may grow, shrink, or not know its size (/proc).
  std::string bytes(static_cast<std::size_t>(status.st_size) + 1, '\0');
  std::size_t size = 0;
  while (true) {
    if (size == bytes.size()) bytes.resize(2 * size);
    auto got = retry([&] { return ::read(file, bytes.data() + size, bytes.size() - size); });
    if (got < 0) fail_io("{}: cannot read: {}", path, reason());
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  bytes.resize(size);
  return bytes;
}

void write_file(const std::string& path, std::string_view bytes) {
  std::error_code not_there;
  const auto real = std::filesystem::canonical(path, not_there);
  const std::string target = not_there ? path : real.string();
  const std::string temporary = target + ".tmp";

  struct stat status {};
  const bool exists = ::stat(target.c_str(), &status) == 0;
  if (exists && !S_ISREG(status.st_mode))
    fail_io("{}: cannot write: it is {}", path, kind_of(status));
  if (exists && ::access(target.c_str(), W_OK) != 0)
    fail_io("{}: cannot write: {}", path, reason());

  Descriptor file = open_locked(path, temporary);
  try {
    write_and_sync(file, bytes);
    if (exists) ::fchmod(file, status.st_mode & 07777);
    if (::rename(temporary.c_str(), target.c_str()) != 0)
      throw std::system_error(errno, std::generic_category());
  } catch (const std::system_error& error) {
    ::unlink(temporary.c_str());
    fail_io("{}: cannot write: {}", path, reason(error.code().value()));
  }

  const auto folder = std::filesystem::path(target).parent_path();
  Descriptor directory(folder.empty() ? "." : folder.string(), O_RDONLY | O_DIRECTORY);
  // Some file systems cannot sync a directory and say EINVAL: they have nothing to sync.
  if (directory < 0 || (retry([&] { return ::fsync(directory); }) != 0 && errno != EINVAL))
    fail_io("{}: written, but a power failure may undo it: {}", path, reason());
}

}  // namespace keratin
