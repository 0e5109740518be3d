#include <keratin/autograd/weight.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/tensor_data.h>

namespace keratin {

struct Weight::State {
  std::string name, path;
  Tensor value;
  bool trainable = true;
  Function regularizer, constraint;
};

Weight::Weight(std::string name, const Tensor& value, bool trainable)
    : state_(std::make_shared<State>()) {
  state_->name = state_->path = std::move(name);
  state_->trainable = trainable;
  replace(value.copy());
}

Weight::State& Weight::state() const {
  if (state_ == nullptr) fail("weight: used before its layer was built");
  return *state_;
}

const Tensor& Weight::value() const { return state().value; }

void Weight::assign(const Tensor& value) {
  if (value.shape() != shape())
    fail("{}: expected a value of shape {}, got {}", path(), shape(), value.shape());
  if (device().is_meta() && !value.device().is_meta()) give_memory(this->value(), default_device());
  state().value.assign(value);
}

void Weight::replace(const Tensor& value) {
  state().value = value;
  set_trainable(state().trainable);
}

const std::string& Weight::name() const { return state().name; }
const std::string& Weight::path() const { return state().path; }
void Weight::set_path(std::string path) { state().path = std::move(path); }

bool Weight::trainable() const { return state().trainable; }
void Weight::set_trainable(bool trainable) {
  state().trainable = trainable;
  TensorData::of(state().value).variable = trainable && is_floating(state().value.dtype());
}

const Weight::Function& Weight::regularizer() const { return state().regularizer; }
void Weight::set_regularizer(Function f) { state().regularizer = std::move(f); }
const Weight::Function& Weight::constraint() const { return state().constraint; }
void Weight::set_constraint(Function f) { state().constraint = std::move(f); }

}  // namespace keratin
