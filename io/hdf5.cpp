// The library is asked for one object at a time, and each is checked before it is read. What is
// refused: whatever leads out of the file (soft and external links, external storage, virtual
// datasets), filters other than deflate, shuffle and checksums, and sizes that the stored bytes do
// not support.
//
// Format: "HDF5 File Format Specification", The HDF Group. What Keras puts into it:
// keras/src/saving/saving_lib.py, H5IOStore.
#include <algorithm>

#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/tensor_data.h>
#include <keratin/io/hdf5.h>
#include <keratin/io/internal/hdf5_attributes.h>
#include <keratin/io/internal/little_endian.h>

#ifdef KERATIN_HDF5
#include <hdf5.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <mutex>
#include <optional>
#include <set>
#include <string_view>
#endif

namespace keratin {
namespace {

template <class Entries>
auto* entry(Entries& entries, const std::string& name) {
  auto found = std::ranges::find(entries, name, &std::ranges::range_value_t<Entries>::first);
  return found == entries.end() ? nullptr : &found->second;
}

}  // namespace

const Hdf5Group* Hdf5Group::group(const std::string& path) const {
  const std::size_t slash = path.find('/');
  const Hdf5Group* next = path.empty() ? this : entry(groups, path.substr(0, slash));
  return next == nullptr || slash == std::string::npos ? next : next->group(path.substr(slash + 1));
}
const Tensor* Hdf5Group::array(const std::string& path) const {
  const std::size_t slash = path.rfind('/');
  const Hdf5Group* holder = slash == std::string::npos ? this : group(path.substr(0, slash));
  return holder == nullptr ? nullptr : entry(holder->arrays, path.substr(slash + 1));
}
const std::string* Hdf5Group::text(const std::string& attribute) const {
  return entry(texts, attribute);
}
const std::vector<std::string>* Hdf5Group::list(const std::string& attribute) const {
  return entry(lists, attribute);
}
Hdf5Group& Hdf5Group::make_group(const std::string& path) {
  const std::size_t slash = path.find('/');
  const std::string name = path.substr(0, slash);
  Hdf5Group* next = entry(groups, name);
  if (next == nullptr) next = &groups.emplace_back(name, Hdf5Group()).second;
  return slash == std::string::npos ? *next : next->make_group(path.substr(slash + 1));
}

#ifndef KERATIN_HDF5

bool has_hdf5() { return false; }
Hdf5Group parse_hdf5(const std::string&, const std::string& who) {
  fail_io("{}: this build of Keratin cannot read HDF5; build it where libhdf5-dev is installed",
          who);
}
std::string format_hdf5(const Hdf5Group&) {
  fail_io("this build of Keratin cannot write HDF5; build it where libhdf5-dev is installed");
}

#else

namespace {

constexpr int deepest = 32;                 // groups in groups
constexpr std::size_t longest_name = 1024;  // of a group or an array
constexpr hsize_t most_objects = 100'000;   // of one file
constexpr std::uint64_t always_allowed_bytes = std::uint64_t{64} << 20;
constexpr std::uint64_t allowed_growth = 100;

// The library's identifiers have a kind each, and a function that gives them back.
class Handle {
 public:
  Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  Handle(const Handle&) = delete;
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  operator hid_t() const { return id_; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

// The library has global state, and prints its errors unless it is told not to.
class Session {
 public:
  Session() : lock_(mutex()) {
    H5dont_atexit();  // fails when another session was first, which is as good
    H5open();
    H5Eget_auto2(H5E_DEFAULT, &print_, &data_);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    H5PLget_loading_state(&plugins_);
    H5PLset_loading_state(0);
  }
  Session(const Session&) = delete;
  ~Session() {
    H5PLset_loading_state(plugins_);
    H5Eset_auto2(H5E_DEFAULT, print_, data_);
  }

 private:
  static std::mutex& mutex() {
    static std::mutex one;
    return one;
  }
  std::lock_guard<std::mutex> lock_;
  H5E_auto2_t print_ = nullptr;
  void* data_ = nullptr;
  unsigned plugins_ = 0;
};

class Reader {
 public:
  Reader(hid_t file, const std::string& bytes, const std::string& who)
      : file_(file), file_size_(bytes.size()), who_(who), attributes_(bytes) {}

  Hdf5Group read() const {
    Hdf5Group root;
    const Handle group(H5Gopen2(file_, "/", H5P_DEFAULT), H5Gclose);
    check(group, "/");
    read_group(group, "", 0, root);
    return root;
  }

 private:
  template <class... Parts>
  [[noreturn]] void refuse(const std::string& path, fmt::format_string<Parts...> rule,
                           Parts&&... parts) const {
    fail_io("{}: {}: {}", who_, path, fmt::format(rule, std::forward<Parts>(parts)...));
  }
  void check(std::int64_t result, const std::string& path) const {
    if (result < 0) refuse(path, "damaged HDF5");
  }

  void read_group(hid_t group, const std::string& path, int depth, Hdf5Group& result) const {
    const std::string shown = path.empty() ? "/" : path;
    H5O_info_t info;
    check(H5Oget_info2(group, &info, H5O_INFO_BASIC), shown);
    if (!visited_.insert(info.addr).second) refuse(shown, "the group is linked to more than once");
    if (depth > deepest) refuse(shown, "groups in groups, more than {} deep", deepest);
    for (const auto& [name, texts, alone] : attributes_of(group, shown)) {
      if (alone)
        result.texts.emplace_back(name, texts[0]);
      else
        result.lists.emplace_back(name, texts);
    }

    H5G_info_t links;
    check(H5Gget_info(group, &links), shown);
    for (hsize_t i = 0; i < links.nlinks; ++i) {
      if (++objects_ > most_objects) refuse(shown, "more than {} objects", most_objects);
      const std::string name = link_name(group, i, shown);
      const std::string inside = path.empty() ? name : path + "/" + name;
      H5L_info_t link;
      check(H5Lget_info(group, name.c_str(), &link, H5P_DEFAULT), inside);
      if (link.type != H5L_TYPE_HARD) refuse(inside, "links other than hard ones are refused");
      const Handle object(H5Oopen(group, name.c_str(), H5P_DEFAULT), H5Oclose);
      check(object, inside);
      switch (H5Iget_type(object)) {
        case H5I_GROUP:
          read_group(object, inside, depth + 1,
                     result.groups.emplace_back(name, Hdf5Group()).second);
          break;
        case H5I_DATASET:
          result.arrays.emplace_back(name, read_array(object, inside));
          break;
        default:
          refuse(inside, "expected a group or an array");
      }
    }
  }

  std::string link_name(hid_t group, hsize_t index, const std::string& path) const {
    std::string name(longest_name + 1, '\0');
    const auto size = H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, index, name.data(),
                                         name.size(), H5P_DEFAULT);
    check(size, path);
    if (static_cast<std::size_t>(size) > longest_name)
      refuse(path, "the name of a link is too long");
    name.resize(static_cast<std::size_t>(size));
    return name;
  }

  std::vector<TextAttributes::Attribute> attributes_of(hid_t object,
                                                       const std::string& path) const {
    H5O_info_t info;
    check(H5Oget_info2(object, &info, H5O_INFO_BASIC), path);
    return attributes_.read(info.addr);
  }

  Tensor read_array(hid_t dataset, const std::string& path) const {
    const Handle space(H5Dget_space(dataset), H5Sclose), type(H5Dget_type(dataset), H5Tclose),
        plan(H5Dget_create_plist(dataset), H5Pclose);
    check(std::min<hid_t>({space, type, plan}), path);
    if (H5Sget_simple_extent_type(space) == H5S_NULL) refuse(path, "an array without a shape");
    const int rank = H5Sget_simple_extent_ndims(space);
    check(rank, path);
    std::vector<hsize_t> sizes(static_cast<std::size_t>(rank));
    check(H5Sget_simple_extent_dims(space, sizes.data(), nullptr), path);
    std::uint64_t declared = H5Tget_size(type);
    std::vector<std::int64_t> shape;
    for (hsize_t size : sizes) {
      if (size > std::uint64_t{1} << 48 || __builtin_mul_overflow(declared, size, &declared))
        refuse(path, "its shape is too large");
      shape.push_back(static_cast<std::int64_t>(size));
    }
    if (rank > 32) refuse(path, "expected at most 32 axes, found {}", rank);
    check_storage(dataset, plan, declared, path);

    if (H5Tget_class(type) == H5T_OPAQUE && H5Tget_size(type) == 2)
      for (const auto& [name, texts, alone] : attributes_of(dataset, path))
        if (name == "dtype" && alone && texts[0] == "bfloat16")
          return read_bfloat16(dataset, type, Shape(shape), path);
    check_type(type, path);
    switch (H5Tget_class(type)) {
      case H5T_FLOAT:
        return H5Tget_size(type) <= 4 ? read_numbers<float>(dataset, Shape(shape), path)
                                      : read_numbers<double>(dataset, Shape(shape), path);
      case H5T_INTEGER:
      case H5T_ENUM:
        return read_whole(dataset, type, Shape(shape), path);
      default:
        refuse(path, "expected an array of numbers");
    }
  }

  // Floats are those of IEEE 754, whole numbers fill their bytes.
  void check_type(hid_t type, const std::string& path) const {
    const H5T_class_t kind = H5Tget_class(type);
    const std::size_t size = H5Tget_size(type);
    const bool is_float = kind == H5T_FLOAT, is_whole = kind == H5T_INTEGER;
    if (!is_float && !is_whole) return;
    bool fits = size == 2 || size == 4 || size == 8 || (is_whole && size == 1);
    fits = fits && H5Tget_precision(type) == 8 * size && H5Tget_offset(type) == 0;
    if (fits && is_float) {
      std::size_t sign, exponent, exponent_bits, fraction, fraction_bits;
      const std::size_t expected = size == 2 ? 5 : size == 4 ? 8 : 11;
      fits =
          H5Tget_fields(type, &sign, &exponent, &exponent_bits, &fraction, &fraction_bits) >= 0 &&
          sign == 8 * size - 1 && exponent_bits == expected && fraction == 0 &&
          fraction_bits == sign - expected && exponent == fraction_bits &&
          H5Tget_ebias(type) == (std::size_t{1} << (expected - 1)) - 1;
    }
    if (!fits) refuse(path, "numbers of an unknown form");
  }

  // What is declared must be stored, in this file and without much growth.
  void check_storage(hid_t dataset, hid_t plan, std::uint64_t declared,
                     const std::string& path) const {
    if (H5Pget_external_count(plan) != 0) refuse(path, "storage in another file is refused");
    const H5D_layout_t layout = H5Pget_layout(plan);
    if (layout != H5D_COMPACT && layout != H5D_CONTIGUOUS && layout != H5D_CHUNKED)
      refuse(path, "virtual datasets are refused");
    const int filters = H5Pget_nfilters(plan);
    check(filters, path);
    for (int i = 0; i < filters; ++i) {
      unsigned flags = 0;
      std::size_t values = 0;
      const H5Z_filter_t filter = H5Pget_filter2(plan, static_cast<unsigned>(i), &flags, &values,
                                                 nullptr, 0, nullptr, nullptr);
      if (filter != H5Z_FILTER_DEFLATE && filter != H5Z_FILTER_SHUFFLE &&
          filter != H5Z_FILTER_FLETCHER32)
        refuse(path, "it is stored by the filter {}, which is not known", filter);
    }
    if (declared == 0) return;
    const std::uint64_t stored = H5Dget_storage_size(dataset);
    if (stored > file_size_) refuse(path, "it reaches beyond the end of the file");
    if (layout != H5D_CHUNKED) {
      if (stored < declared)
        refuse(path, "it declares {} bytes, and {} are stored", declared, stored);
      return;
    }
    hsize_t chunk[33] = {};
    const int chunk_rank = H5Pget_chunk(plan, 32, chunk);
    check(chunk_rank, path);
    std::uint64_t chunk_elements = 1;
    for (int i = 0; i < std::min(chunk_rank, 32); ++i)
      if (__builtin_mul_overflow(chunk_elements, chunk[i], &chunk_elements))
        refuse(path, "its chunks are too large");
    if (chunk_elements > always_allowed_bytes / 16 && chunk_elements > declared)
      refuse(path, "its chunks are too large");
    if (declared / allowed_growth > stored) grown_ += declared;
    if (grown_ > always_allowed_bytes)
      refuse(path, "it declares {} bytes, and {} are stored", declared, stored);
  }

  template <class T>
  Tensor read_numbers(hid_t dataset, const Shape& shape, const std::string& path) const {
    const bool small = sizeof(T) == 4;
    Tensor values = zeros(shape, small ? float32 : float64, Device());
    if (values.numel() > 0)
      check(H5Dread(dataset, small ? H5T_NATIVE_FLOAT : H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL,
                    H5P_DEFAULT, values.mutable_data<T>()),
            path);
    return values;
  }

  Tensor read_whole(hid_t dataset, hid_t type, const Shape& shape, const std::string& path) const {
    Tensor values = zeros(shape, int32, Device());
    if (values.numel() == 0) return values;
    auto* to = values.mutable_data<std::int32_t>();
    // h5py writes booleans as an enumeration of its own; what it stores are 8-bit integers.
    if (H5Tget_class(type) == H5T_ENUM) {
      const Handle base(H5Tget_super(type), H5Tclose);
      check(base, path);
      if (H5Tget_size(base) != 1) refuse(path, "expected an array of numbers");
      std::vector<std::int8_t> bytes(static_cast<std::size_t>(values.numel()));
      check(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data()), path);
      std::ranges::copy(bytes, to);
      return values;
    }
    const std::size_t size = H5Tget_size(type);
    if (size < 4 || (size == 4 && H5Tget_sign(type) == H5T_SGN_2)) {
      check(H5Dread(dataset, H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, to), path);
      return values;
    }
    std::vector<std::int64_t> wide(static_cast<std::size_t>(values.numel()));
    check(H5Dread(dataset, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, wide.data()), path);
    for (std::int64_t value : wide) {
      if (value < std::numeric_limits<std::int32_t>::min() ||
          value > std::numeric_limits<std::int32_t>::max())
        refuse(path, "{} does not fit into int32", value);
      *to++ = static_cast<std::int32_t>(value);
    }
    return values;
  }

  // The upper half of a float32; the library knows it as two opaque bytes.
  Tensor read_bfloat16(hid_t dataset, hid_t type, const Shape& shape,
                       const std::string& path) const {
    Tensor values = zeros(shape, float32, Device());
    std::vector<std::uint16_t> halves(static_cast<std::size_t>(values.numel()));
    if (!halves.empty())
      check(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, halves.data()), path);
    auto* to = values.mutable_data<float>();
    for (std::uint16_t half : halves) {
      const std::uint32_t bits = static_cast<std::uint32_t>(half) << 16;
      std::memcpy(to++, &bits, sizeof bits);
    }
    return values;
  }

  hid_t file_;
  std::uint64_t file_size_;
  const std::string& who_;
  mutable TextAttributes attributes_;
  mutable std::set<haddr_t> visited_;
  mutable hsize_t objects_ = 0;
  mutable std::uint64_t grown_ = 0;  // declared by arrays of which little is stored
};

void check_written(std::int64_t result) {
  if (result < 0) fail_io("HDF5: the file cannot be written");
}

void write_texts(hid_t object, const std::string& name, const std::vector<std::string>& texts,
                 bool alone) {
  const Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  check_written(H5Tset_size(type, H5T_VARIABLE));
  check_written(H5Tset_cset(type, H5T_CSET_UTF8));
  const hsize_t count = texts.size();
  const Handle space(alone ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &count, nullptr),
                     H5Sclose);
  const Handle attribute(H5Acreate2(object, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT),
                         H5Aclose);
  check_written(attribute);
  std::vector<const char*> pointers;
  for (const std::string& text : texts) pointers.push_back(text.c_str());
  if (count > 0) check_written(H5Awrite(attribute, type, pointers.data()));
}

void write_array(hid_t group, const std::string& name, const Tensor& array) {
  const Tensor values = on_host(contiguous(array));
  std::vector<hsize_t> sizes;
  for (int axis = 0; axis < values.rank(); ++axis)
    sizes.push_back(static_cast<hsize_t>(values.size(axis)));
  const Handle space(sizes.empty() ? H5Screate(H5S_SCALAR)
                                   : H5Screate_simple(values.rank(), sizes.data(), nullptr),
                     H5Sclose);
  hid_t stored = H5T_IEEE_F32LE, given = H5T_NATIVE_FLOAT;
  const void* data = nullptr;
  switch (values.dtype()) {
    case float32:
      data = values.data<float>();
      break;
    case float64:
      stored = H5T_IEEE_F64LE, given = H5T_NATIVE_DOUBLE, data = values.data<double>();
      break;
    case int32:
      stored = H5T_STD_I32LE, given = H5T_NATIVE_INT32, data = values.data<std::int32_t>();
      break;
    default:
      stored = H5T_STD_I8LE, given = H5T_NATIVE_INT8, data = values.data<bool>();
  }
  const Handle dataset(
      H5Dcreate2(group, name.c_str(), stored, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
      H5Dclose);
  check_written(dataset);
  if (values.numel() > 0)
    check_written(H5Dwrite(dataset, given, H5S_ALL, H5S_ALL, H5P_DEFAULT, data));
}

void write_group(hid_t group, const Hdf5Group& content) {
  for (const auto& [name, text] : content.texts) write_texts(group, name, {text}, true);
  for (const auto& [name, texts] : content.lists) write_texts(group, name, texts, false);
  for (const auto& [name, inner] : content.groups) {
    const Handle inside(H5Gcreate2(group, name.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                        H5Gclose);
    check_written(inside);
    write_group(inside, inner);
  }
  for (const auto& [name, array] : content.arrays) write_array(group, name, array);
}

// A file that is only in memory. The library wants a name for it, of no file that exists.
constexpr const char* name_of_none = "/dev/null/memory";

struct InMemory {
  explicit InMemory(std::size_t growth) {
    check_written(plan);
    check_written(H5Pset_fapl_core(plan, growth, false));
  }
  Handle plan{H5Pcreate(H5P_FILE_ACCESS), H5Pclose};
};

}  // namespace

namespace {

// The names of a group lie in a tree of nodes. Where a node is its own child, the library goes
// round until the stack is full. Nodes are looked for everywhere, because the library does not say
// where they are; what a file no longer uses may look like one, but has no such child.
void check_trees(const std::string& bytes, const std::string& who) {
  auto number = [&](std::size_t at, std::size_t size) {
    return little_endian(std::string_view(bytes).substr(at, size));
  };
  constexpr std::size_t header = 24;
  std::size_t unread = bytes.size() / 16;  // nodes do not overlap, so there are no more children
  for (std::size_t at = bytes.find("TREE"); at != bytes.npos; at = bytes.find("TREE", at + 1)) {
    if (bytes.size() - at < header || bytes[at + 4] != 0) continue;  // 0: a tree of names
    const std::uint64_t children = number(at + 6, 2);
    for (std::uint64_t i = 0; i < children; ++i) {
      const std::size_t entry = at + header + 16 * i + 8;  // keys and children in turn
      if (entry + 8 > bytes.size()) break;
      if (unread-- == 0) fail_io("{}: damaged HDF5: trees overlap", who);
      if (number(entry, 8) == at) fail_io("{}: damaged HDF5: a tree contains itself", who);
    }
  }
}

}  // namespace

bool has_hdf5() { return true; }

Hdf5Group parse_hdf5(const std::string& bytes, const std::string& who) {
  check_trees(bytes, who);
  const Session session;
  const InMemory memory(64 << 10);
  if (bytes.empty() ||
      H5Pset_file_image(memory.plan, const_cast<char*>(bytes.data()), bytes.size()) < 0)
    fail_io("{}: not an HDF5 file", who);
  const Handle file(H5Fopen(name_of_none, H5F_ACC_RDONLY, memory.plan), H5Fclose);
  if (file < 0) fail_io("{}: not an HDF5 file, or a damaged one", who);
  return Reader(file, bytes, who).read();
}

std::string format_hdf5(const Hdf5Group& root) {
  const Session session;
  const InMemory memory(1 << 20);
  const Handle file(H5Fcreate(name_of_none, H5F_ACC_TRUNC, H5P_DEFAULT, memory.plan), H5Fclose);
  check_written(file);
  {
    const Handle group(H5Gopen2(file, "/", H5P_DEFAULT), H5Gclose);
    write_group(group, root);
  }
  check_written(H5Fflush(file, H5F_SCOPE_GLOBAL));
  const auto size = H5Fget_file_image(file, nullptr, 0);
  check_written(size);
  std::string bytes(static_cast<std::size_t>(size), '\0');
  check_written(H5Fget_file_image(file, bytes.data(), bytes.size()));
  return bytes;
}

#endif

}  // namespace keratin
