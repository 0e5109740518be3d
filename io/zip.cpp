// libzip, asked for strictness, finds damage: truncation, wrong checksums, repeated names, local
// headers that contradict the central directory. What it lets pass is checked here: overlapping
// members, names, links, encryption, zip bombs. For that the central directory is walked once more.
//
// Format: APPNOTE.TXT of PKWARE. The bombs: Fifield, "A better zip bomb", WOOT 2019.
#include <sys/stat.h>
#include <zip.h>
#include <algorithm>
#include <cstdint>
#include <string_view>

#include <keratin/core/internal/message.h>
#include <keratin/io/internal/little_endian.h>
#include <keratin/io/zip.h>

namespace keratin {
namespace {

// A member, or an archive, may not inflate to more than this when it also grows more than a
// hundredfold: arrays of zeros may be small or compress well, not both without limit.
constexpr std::uint64_t always_allowed_bytes = std::uint64_t{256} << 20;
constexpr std::uint64_t allowed_growth = 100;

bool is_bomb(std::uint64_t inflated, std::uint64_t stored) {
  return inflated > always_allowed_bytes && inflated / allowed_growth > stored;
}

// What is wrong with a member's name, or nothing.
std::string_view name_fault(std::string_view name) {
  if (name.empty()) return "is empty";
  if (name.find('\0') != name.npos) return "contains a NUL";
  if (name.find('\\') != name.npos) return "contains a backslash";
  if (name.front() == '/') return "is an absolute path";
  const std::string parts = fmt::format("/{}/", name);
  if (parts.find("/../") != parts.npos) return "leads out of its folder";
  return {};
}

// Little-endian numbers at byte offsets, never beyond the end.
struct Bytes {
  std::string_view bytes;
  const std::string& who;

  std::string_view text(std::uint64_t at, std::uint64_t size) const {
    if (at > bytes.size() || size > bytes.size() - at)
      fail_io("{}: damaged zip archive: a header reaches beyond its end", who);
    return bytes.substr(at, size);
  }
  std::uint64_t number(std::uint64_t at, int size) const {
    return little_endian(text(at, static_cast<std::uint64_t>(size)));
  }
  void expect_signature(std::uint64_t at, std::string_view signature) const {
    if (text(at, 4) != signature) fail_io("{}: damaged zip archive: no header at byte {}", who, at);
  }
};

// A member as its central header describes it.
struct Member {
  std::string name;
  std::uint64_t begin;  // of its local header
  std::uint64_t end;    // of its compressed bytes
};

constexpr std::uint64_t in_zip64 = 0xFFFFFFFF;  // "this field is in the zip64 extra field"

std::uint64_t local_offset(const Bytes& file, std::uint64_t header) {
  const std::uint64_t offset = file.number(header + 42, 4);
  if (offset != in_zip64) return offset;
  std::uint64_t at = header + 46 + file.number(header + 28, 2);
  const std::uint64_t end = at + file.number(header + 30, 2);
  for (; at < end; at += 4 + file.number(at + 2, 2)) {
    if (file.number(at, 2) != 1) continue;
    const int skipped =
        (file.number(header + 24, 4) == in_zip64) + (file.number(header + 20, 4) == in_zip64);
    return file.number(at + 4 + 8 * skipped, 8);
  }
  return offset;
}

std::vector<Member> walk(const Bytes& file, zip* archive) {
  const std::uint64_t size = file.bytes.size();
  // Whether anything follows the end record is not left to be guessed: there is no comment.
  if (size < 22 || file.text(size - 22, 4) != "PK\5\6")
    fail_io("{}: not a zip archive, or one with something after its end", file.who);
  std::uint64_t at = file.number(size - 22 + 16, 4);
  if (at == in_zip64 && size >= 42) {
    file.expect_signature(size - 42, "PK\6\7");
    const std::uint64_t record = file.number(size - 42 + 8, 8);
    file.expect_signature(record, "PK\6\6");
    at = file.number(record + 48, 8);
  }
  const std::uint64_t directory = at;

  std::vector<Member> members;
  const auto count = zip_get_num_entries(archive, 0);
  for (zip_int64_t i = 0; i < count; ++i) {
    file.expect_signature(at, "PK\1\2");
    const std::uint64_t name_size = file.number(at + 28, 2);
    const std::uint64_t begin = local_offset(file, at);
    file.expect_signature(begin, "PK\3\4");
    if ((file.number(at + 8, 2) ^ file.number(begin + 6, 2)) & 1)
      fail_io("{}: damaged zip archive: its headers disagree on encryption", file.who);
    zip_stat_t stat;
    if (zip_stat_index(archive, i, 0, &stat) != 0)
      fail_io("{}: damaged zip archive: {}", file.who, zip_strerror(archive));
    const std::uint64_t data = begin + 30 + file.number(begin + 26, 2) + file.number(begin + 28, 2);
    file.text(data, stat.comp_size);
    members.push_back({std::string(file.text(at + 46, name_size)), begin, data + stat.comp_size});
    at += 46 + name_size + file.number(at + 30, 2) + file.number(at + 32, 2);
  }

  std::vector<Member> sorted = members;
  std::ranges::sort(sorted, {}, &Member::begin);
  for (std::size_t i = 0; i < sorted.size(); ++i)
    if (sorted[i].end > (i + 1 < sorted.size() ? sorted[i + 1].begin : directory))
      fail_io("{}: zip member \"{}\" overlaps what follows it", file.who, sorted[i].name);
  return members;
}

}  // namespace

ZipArchive::ZipArchive(std::string bytes, std::string who)
    : bytes_(std::move(bytes)), who_(std::move(who)), archive_(nullptr, zip_discard) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_buffer_create(bytes_.data(), bytes_.size(), 0, &error);
  archive_.reset(zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &error));
  if (archive_ == nullptr) {
    const std::string reason = zip_error_strerror(&error);
    zip_source_free(source);
    zip_error_fini(&error);
    fail_io("{}: not a valid zip archive: {}", who_, reason);
  }
  check_members();
}

void ZipArchive::check_members() {
  std::uint64_t total = 0;
  for (const Member& member : walk({bytes_, who_}, archive_.get())) {
    auto refuse = [&](std::string_view reason) {
      fail_io("{}: zip member \"{}\" {}", who_, member.name, reason);
    };
    const std::size_t i = names_.size();
    names_.push_back(member.name);
    if (auto fault = name_fault(member.name); !fault.empty()) refuse(fault);

    zip_stat_t stat;
    zip_uint8_t system = 0;
    zip_uint32_t attributes = 0;
    if (zip_stat_index(archive_.get(), i, 0, &stat) != 0 || member.name != stat.name ||
        zip_file_get_external_attributes(archive_.get(), i, 0, &system, &attributes) != 0)
      refuse("is not what the directory says");
    if (stat.encryption_method != ZIP_EM_NONE) refuse("is encrypted");
    if (S_ISLNK(attributes >> 16)) refuse("is a symbolic link");
    if (stat.comp_method != ZIP_CM_STORE && stat.comp_method != ZIP_CM_DEFLATE)
      refuse("is compressed by a method other than deflate");
    if (is_bomb(stat.size, stat.comp_size))
      refuse(fmt::format("would inflate from {} to {} bytes", stat.comp_size, stat.size));
    total += std::min<std::uint64_t>(stat.size, std::uint64_t{1} << 50);
  }
  if (is_bomb(total, bytes_.size()))
    fail_io("{}: would inflate from {} to {} bytes", who_, bytes_.size(), total);
}

std::string ZipArchive::read(std::size_t index) const {
  auto fault = [&](const char* reason) {
    fail_io("{}: zip member \"{}\" cannot be read: {}", who_, names_.at(index), reason);
  };
  zip_stat_t stat;
  if (zip_stat_index(archive_.get(), index, 0, &stat) != 0) fault(zip_strerror(archive_.get()));
  std::unique_ptr<zip_file_t, int (*)(zip_file_t*)> file(zip_fopen_index(archive_.get(), index, 0),
                                                         zip_fclose);
  if (file == nullptr) fault(zip_strerror(archive_.get()));

  // Memory grows with what is found, not with what is declared. The last read, of one byte more,
  // finds the end and with it the checksum.
  std::string bytes;
  while (true) {
    const std::size_t size = bytes.size();
    const std::uint64_t left = stat.size - size;
    bytes.resize(size + std::min<std::uint64_t>(left, std::max<std::uint64_t>(size, 1 << 20)) + 1);
    const auto got = zip_fread(file.get(), bytes.data() + size, bytes.size() - size);
    if (got < 0) fault(zip_file_strerror(file.get()));
    bytes.resize(size + static_cast<std::size_t>(got));
    if (bytes.size() > stat.size) fault("it is longer than declared");
    if (got == 0) break;
  }
  if (bytes.size() != stat.size) fault("it is shorter than declared");
  return bytes;
}

std::string format_zip(const std::vector<std::pair<std::string, std::string>>& members,
                       ZipMethod method) {
  // Zeros of this size would deflate to what ZipArchive takes for a bomb.
  std::uint64_t total = 0;
  for (const auto& member : members) total += member.second.size();
  if (total > always_allowed_bytes) method = ZipMethod::store;

  // libzip keeps no archive without members.
  if (members.empty()) return std::string("PK\5\6", 4) + std::string(18, '\0');

  zip_error_t error;
  zip_error_init(&error);
  std::unique_ptr<zip_source_t, void (*)(zip_source_t*)> target(
      zip_source_buffer_create(nullptr, 0, 0, &error), zip_source_free);
  std::unique_ptr<zip, void (*)(zip*)> archive(
      zip_open_from_source(target.get(), ZIP_CREATE | ZIP_TRUNCATE, &error), zip_discard);
  auto check = [&](bool ok, const std::string& name) {
    if (!ok) fail_io("zip: cannot add \"{}\": {}", name, zip_strerror(archive.get()));
  };
  if (archive == nullptr) fail_io("zip: {}", zip_error_strerror(&error));
  zip_source_keep(target.get());  // the archive has taken over one reference; this one is ours

  for (const auto& [name, bytes] : members) {
    if (auto fault = name_fault(name); !fault.empty())
      fail("zip: the member name \"{}\" {}", name, fault);
    if (zip_name_locate(archive.get(), name.c_str(), 0) >= 0)
      fail("zip: two members are named \"{}\"", name);
    zip_source_t* source = zip_source_buffer(archive.get(), bytes.data(), bytes.size(), 0);
    const auto index = zip_file_add(archive.get(), name.c_str(), source, ZIP_FL_ENC_UTF_8);
    if (index < 0) zip_source_free(source);
    check(index >= 0, name);
    const auto compression = method == ZipMethod::store ? ZIP_CM_STORE : ZIP_CM_DEFLATE;
    check(zip_set_file_compression(archive.get(), index, compression, 0) == 0, name);
    check(zip_file_set_dostime(archive.get(), index, 0, 0x21, 0) == 0, name);  // 1 January 1980
  }
  if (zip_close(archive.get()) != 0) fail_io("zip: {}", zip_strerror(archive.get()));
  archive.release();

  zip_stat_t stat;
  if (zip_source_stat(target.get(), &stat) != 0 || zip_source_open(target.get()) != 0)
    fail_io("zip: {}", zip_error_strerror(zip_source_error(target.get())));
  std::string bytes(stat.size, '\0');
  const auto got = zip_source_read(target.get(), bytes.data(), bytes.size());
  zip_source_close(target.get());
  if (got != static_cast<zip_int64_t>(bytes.size())) fail_io("zip: cannot read back the archive");
  return bytes;
}

}  // namespace keratin
