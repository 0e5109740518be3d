#include "mutators.h"

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <keratin/core/create.h>
#include <keratin/io/hdf5.h>
#include <keratin/io/json.h>
#include <keratin/io/npy.h>
#include <keratin/io/zip.h>

#include "fuzz.h"

using namespace keratin;

namespace {

using List = std::vector<Option>;
using Random = std::minstd_rand;

std::size_t below(std::size_t limit, Random& random) { return limit == 0 ? 0 : random() % limit; }

template <class Container>
auto& one_of(Container& all, Random& random) {
  return *(std::begin(all) + static_cast<std::ptrdiff_t>(below(std::size(all), random)));
}

void mutate_bytes(std::string& bytes, std::size_t growth) {
  const std::size_t size = bytes.size();
  bytes.resize(size + growth + 1);
  bytes.resize(LLVMFuzzerMutate(reinterpret_cast<std::uint8_t*>(bytes.data()), size, bytes.size()));
}

// The value and all in it.
void collect(Option& option, std::vector<Option*>& all) {
  all.push_back(&option);
  if (auto* list = std::get_if<List>(&option))
    for (Option& part : *list) collect(part, all);
  if (auto* config = std::get_if<Config>(&option))
    for (auto& entry : *config) collect(entry.second, all);
}

Option odd_value(Random& random) {
  const Option values[] = {{},  true, false, 0,         1,           2,      3,         -1,
                           64,  0.5,  1e30,  -0.0,      2147483647,  1000,   INT64_MIN, INT64_MAX,
                           "a", "",   "é",   "float16", "../../a/b", List{}, Config{},  List{1, 2}};
  return one_of(values, random);
}

Tensor odd_array(Random& random) {
  const double values[] = {0, 1, 2, -1, 0.5, 1e300, -1e300, NAN, 65, 2147483647};
  const Shape shapes[] = {{}, {0}, {1}, {2}, {7}, {1, 2}};
  const DType dtypes[] = {float64, float32, int32};
  const Shape shape = one_of(shapes, random);
  const double value = one_of(values, random);
  return full(shape, value, std::abs(value) < 1e9 ? one_of(dtypes, random) : float64);
}

template <class Container>
void rearrange(Container& parts, Random& random) {
  if (parts.empty()) return;
  const auto at = parts.begin() + static_cast<std::ptrdiff_t>(below(parts.size(), random));
  switch (below(3, random)) {
    case 0:
      parts.erase(at);
      break;
    case 1:
      std::swap(*at, one_of(parts, random));
      break;
    default: {
      auto part = *at;
      parts.push_back(std::move(part));
    }
  }
}

void mutate_value(Option& root, Random& random) {
  std::vector<Option*> all;
  collect(root, all);
  Option& value = *one_of(all, random);
  Option other = *one_of(all, random);
  const std::size_t choice = below(6, random);
  if (choice == 0) {
    value = odd_value(random);
  } else if (choice == 1) {
    value = std::move(other);
  } else if (auto* list = std::get_if<List>(&value)) {
    choice == 2 ? list->push_back(std::move(other)) : rearrange(*list, random);
  } else if (auto* config = std::get_if<Config>(&value)) {
    if (choice == 2 && !config->empty())
      one_of(*config, random).second = odd_value(random);
    else
      rearrange(*config, random);
  } else if (auto* text = std::get_if<std::string>(&value)) {
    mutate_bytes(*text, 20);
  } else if (auto* whole = std::get_if<std::int64_t>(&value)) {
    *whole = static_cast<std::int64_t>(random() % 20) - 3;
  } else if (auto* number = std::get_if<double>(&value)) {
    *number *= choice == 2 ? -1 : 1000;
  } else {
    value = std::move(other);
  }
}

std::string changed_json(const std::string& text, Random& random) {
  try {
    Option value = parse_json(text, "");
    for (std::size_t times = 1 + below(3, random); times > 0; --times) mutate_value(value, random);
    return format_json(value);
  } catch (const std::exception&) {  // no JSON, or no longer
    std::string bytes = text;
    mutate_bytes(bytes, 100);
    return bytes;
  }
}

std::string changed_archive(const std::string& bytes, Random& random) {
  const ZipArchive archive(bytes, "");
  std::vector<std::pair<std::string, std::string>> members;
  for (std::size_t i = 0; i < archive.names().size(); ++i)
    members.emplace_back(archive.names()[i], archive.read(i));
  if (members.empty()) return bytes;
  auto& [name, content] = one_of(members, random);
  if (below(50, random) == 0)
    rearrange(members, random);
  else if (below(50, random) == 0)
    mutate_bytes(name, 10);
  else if (name.ends_with(".json"))
    content = changed_json(content, random);
  else if (name.ends_with(".npy") && below(2, random) == 0)
    content = format_npy(odd_array(random));
  else
    mutate_bytes(content, 100);
  return format_zip(members, ZipMethod::store);
}

void collect(Hdf5Group& group, std::vector<Hdf5Group*>& all) {
  all.push_back(&group);
  for (auto& inner : group.groups) collect(inner.second, all);
}

std::string changed_hdf5(const std::string& bytes, Random& random) {
  Hdf5Group root = parse_hdf5(bytes, "");
  std::vector<Hdf5Group*> all;
  collect(root, all);
  Hdf5Group& group = below(2, random) == 0 ? root : *one_of(all, random);
  switch (below(6, random)) {
    case 0:
      rearrange(group.groups, random);
      break;
    case 1:
      rearrange(group.arrays, random);
      break;
    case 2:
      if (!group.arrays.empty()) one_of(group.arrays, random).second = odd_array(random);
      break;
    case 3:
      if (!group.lists.empty()) {
        auto& list = one_of(group.lists, random).second;
        below(2, random) == 0 || list.empty() ? rearrange(list, random)
                                              : mutate_bytes(one_of(list, random), 10);
      }
      break;
    default:
      if (!group.texts.empty()) {
        std::string& text = one_of(group.texts, random).second;
        text = changed_json(text, random);
      }
  }
  return format_hdf5(root);
}

// Every `bytes_of`th time, and where the change fails or is too long, random bytes.
template <class F>
std::size_t mutate(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed,
                   unsigned bytes_of, const F& change) {
  Random random(seed);
  if (below(bytes_of, random) != 0) {
    std::string changed;
    may_refuse([&] { changed = change(std::string(text_of(data, size)), random); });
    if (!changed.empty() && changed.size() <= most) {
      std::memcpy(data, changed.data(), changed.size());
      return changed.size();
    }
  }
  return LLVMFuzzerMutate(data, size, most);
}

}  // namespace

std::size_t mutate_json(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  return mutate(data, size, most, seed, 10, changed_json);
}
std::size_t mutate_archive(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  return mutate(data, size, most, seed, 10, changed_archive);
}
std::size_t mutate_hdf5(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  return mutate(data, size, most, seed, 2, changed_hdf5);
}
