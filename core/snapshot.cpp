#include <keratin/core/snapshot.h>

#include <algorithm>
#include <bit>
#include <climits>
#include <cmath>

#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>

namespace keratin {
namespace {

constexpr int most_tensors = 1'000'000;  // in one field: undefined ones take no bytes in a file

bool is_whole(double number, double low, double high) {
  return number >= low && number <= high && number == std::trunc(number);
}

}  // namespace

void Snapshot::refuse(const std::string& reason) const { fail_io("{}: {}", who_, reason); }

const Tensor* Snapshot::found(const std::string& name) const {
  const auto entry = arrays_.find(prefix_ + name);
  return entry == arrays_.end() ? nullptr : &entry->second;
}
const Tensor& Snapshot::array(const std::string& name) const {
  const Tensor* entry = found(name);
  if (entry == nullptr) refuse(fmt::format("there is no \"{}\" in it", prefix_ + name));
  return *entry;
}
void Snapshot::note(const std::string& name, const Tensor& value) {
  if (!arrays_.emplace(prefix_ + name, value).second)
    fail("snapshot: two fields are named \"{}\"", prefix_ + name);
}

void Snapshot::group(const std::string& name, const std::function<void()>& f) {
  const std::string outside = prefix_;
  prefix_ += name + "/";
  f();
  prefix_ = outside;
}

// Numbers are lists of one.
void Snapshot::field(const std::string& name, std::vector<double>& values) {
  if (!restores_)
    return note(name,
                tensor(values, {static_cast<std::int64_t>(values.size())}, float64, Device()));
  const Tensor& stored = array(name);
  if (stored.dtype() != float64 || stored.rank() != 1)
    refuse(fmt::format("\"{}\": expected numbers, found {} {}", prefix_ + name,
                       name_of(stored.dtype()), stored.shape()));
  values = stored.to_vector<double>();
}
void Snapshot::field(const std::string& name, std::optional<double>& value) {
  std::vector<double> list;
  if (value) list.push_back(*value);
  field(name, list);
  value = list.empty() ? std::nullopt : std::optional<double>(list[0]);
}
void Snapshot::field(const std::string& name, double& value) {
  std::vector<double> list{value};
  field(name, list);
  if (list.size() != 1)
    refuse(fmt::format("\"{}\": expected a number, found {}", prefix_ + name, list.size()));
  value = list[0];
}
void Snapshot::field(const std::string& name, int& value) {
  auto wide = static_cast<double>(value);
  field(name, wide);
  if (!is_whole(wide, INT_MIN, INT_MAX))
    refuse(fmt::format("\"{}\": expected a whole number, found {}", prefix_ + name, wide));
  value = static_cast<int>(wide);
}
void Snapshot::field(const std::string& name, bool& value) {
  auto wide = static_cast<double>(value);
  field(name, wide);
  value = wide != 0;
}

// 64 bits are two numbers, which a double holds exactly.
void Snapshot::field(const std::string& name, std::uint64_t& value) {
  constexpr double half = 4294967296.0;
  std::vector<double> parts{static_cast<double>(value >> 32),
                            static_cast<double>(value & 0xffffffffu)};
  field(name, parts);
  if (parts.size() != 2 || !std::ranges::all_of(parts, [](double part) {
        return part >= 0 && part < half &&
               part == static_cast<double>(static_cast<std::uint64_t>(part));
      }))
    refuse(fmt::format("\"{}\": expected an integer", prefix_ + name));
  value = static_cast<std::uint64_t>(parts[0]) << 32 | static_cast<std::uint64_t>(parts[1]);
}
void Snapshot::field(const std::string& name, std::int64_t& value) {
  auto bits = std::bit_cast<std::uint64_t>(value);
  field(name, bits);
  value = std::bit_cast<std::int64_t>(bits);
}

void Snapshot::field(const std::string& name, std::string& value) {
  std::vector<double> letters(value.begin(), value.end());
  field(name, letters);
  value.assign(letters.size(), ' ');
  std::ranges::transform(letters, value.begin(), [&](double letter) {
    if (!is_whole(letter, -128, 255))  // char has a sign, or none
      refuse(fmt::format("\"{}\": expected a text, found {} in it", prefix_ + name, letter));
    return static_cast<char>(static_cast<int>(letter));
  });
}

void Snapshot::field(const std::string& name, Tensor& value) {
  if (!restores_) {
    if (value.defined()) note(name, value.to(Device()).copy());
    return;
  }
  const Tensor* stored = found(name);
  // What is there already says what must come, unless it has no elements yet.
  if (value.defined()) {
    const bool fits =
        stored != nullptr && stored->dtype() == value.dtype() &&
        (value.numel() > 0 ? stored->shape() == value.shape() : stored->rank() == value.rank());
    if (!fits)
      refuse(fmt::format(
          "\"{}\": expected {} {}, found {}", prefix_ + name, name_of(value.dtype()), value.shape(),
          stored == nullptr ? "none"
                            : fmt::format("{} {}", name_of(stored->dtype()), stored->shape())));
  }
  value = stored == nullptr ? Tensor() : stored->copy();
}
void Snapshot::field(const std::string& name, std::vector<Tensor>& values) {
  auto count = static_cast<int>(values.size());
  field(name, count);
  if (restores_) {
    if (!is_whole(count, 0, most_tensors))
      refuse(fmt::format("\"{}\": expected a count, found {}", prefix_ + name, count));
    values.assign(static_cast<std::size_t>(count), Tensor());
  }
  for (std::size_t i = 0; i < values.size(); ++i) field(fmt::format("{}/{}", name, i), values[i]);
}

}  // namespace keratin
