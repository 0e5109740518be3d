#include <climits>
#include <cmath>

#include <keratin/core/internal/message.h>
#include <keratin/training/callback.h>

namespace keratin {

const std::vector<double>& History::operator[](const std::string& name) const {
  auto found = values_.find(name);
  if (found == values_.end())
    fail("History: there is no \"{}\". Logged: {}", name, fmt::join(names(), ", "));
  return found->second;
}

std::vector<std::string> History::names() const {
  std::vector<std::string> names;
  for (const auto& [name, values] : values_) names.push_back(name);
  return names;
}

void History::snapshot(Snapshot& s) {
  std::vector<double> epochs(epoch_.begin(), epoch_.end());
  s.field("epochs", epochs);
  for (double epoch : epochs)
    if (!(std::abs(epoch) <= INT_MAX)) s.refuse(fmt::format("the history has an epoch {}", epoch));
  epoch_.assign(epochs.begin(), epochs.end());
  auto count = static_cast<int>(values_.size());
  s.field("logs", count);
  auto entry = values_.begin();
  std::map<std::string, std::vector<double>> restored;
  for (int i = 0; i < count; ++i) {
    auto [name, values] = s.restores() ? decltype(restored)::value_type() : *entry++;
    std::string log = name;
    s.field(fmt::format("{}/name", i), log);
    s.field(fmt::format("{}/values", i), values);
    restored.emplace(log, values);
  }
  values_ = restored;
}

void History::append(int epoch, const Logs& logs) {
  epoch_.push_back(epoch);
  for (const auto& [name, value] : logs) values_[name].push_back(value);
}

}  // namespace keratin
