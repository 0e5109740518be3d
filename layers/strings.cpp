#include <keratin/core/internal/message.h>
#include <keratin/layers/strings.h>

namespace keratin {

Strings::Strings(std::initializer_list<Strings> rows) : shape_{0} {
  for (const Strings& row : rows) append(row);
}

Strings::Strings(std::vector<std::string> values)
    : values_(std::move(values)), shape_{static_cast<std::int64_t>(values_.size())} {}

Strings::Strings(const std::vector<std::vector<std::string>>& rows) : shape_{0} {
  for (const std::vector<std::string>& row : rows) append(Strings(row));
}

Strings::Strings(std::vector<std::string> values, const Shape& shape)
    : values_(std::move(values)), shape_(shape) {
  if (static_cast<std::int64_t>(values_.size()) != shape.numel())
    fail("strings: expected {} of them for shape {}, got {}", shape.numel(), shape, values_.size());
}

void Strings::append(const Strings& row) {
  if (shape_[0] == 0) shape_ = row.shape_.inserted(0, 0);
  if (shape_.without(0) != row.shape_)
    fail("strings: expected rows of one length, got {} and {}", shape_.without(0), row.shape_);
  ++shape_[0];
  values_.insert(values_.end(), row.values_.begin(), row.values_.end());
}

}  // namespace keratin
