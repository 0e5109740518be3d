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

void History::append(int epoch, const Logs& logs) {
  epoch_.push_back(epoch);
  for (const auto& [name, value] : logs) values_[name].push_back(value);
}

}  // namespace keratin
