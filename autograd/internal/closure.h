// A function object in a block of the pool: what a node of the tape calls on the way back.
#pragma once

#include <new>
#include <type_traits>
#include <utility>

#include <keratin/core/internal/pool.h>

namespace keratin {

class Backward;

/// A function of a Backward: moved, never copied.
class Closure {
 public:
  Closure() = default;
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, Closure>) explicit Closure(F&& f)
      : type_(&type_of<std::remove_cvref_t<F>>) {
    object_ = new (pool_allocate(type_->bytes)) std::remove_cvref_t<F>(std::forward<F>(f));
  }
  Closure(Closure&& other) noexcept { swap(other); }
  Closure& operator=(Closure&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Closure() { reset(); }

  void reset() noexcept {
    if (object_ == nullptr) return;
    type_->destroy(object_);
    pool_free(std::exchange(object_, nullptr), type_->bytes);
  }
  explicit operator bool() const { return object_ != nullptr; }
  void operator()(Backward& backward) const { type_->call(object_, backward); }

 private:
  struct Type {
    void (*call)(void*, Backward&);
    void (*destroy)(void*);
    std::size_t bytes;
  };
  template <class F>
  static constexpr Type type_of{[](void* f, Backward& b) { (*static_cast<F*>(f))(b); },
                                [](void* f) { static_cast<F*>(f)->~F(); }, sizeof(F)};
  void swap(Closure& other) noexcept {
    std::swap(object_, other.object_);
    std::swap(type_, other.type_);
  }

  void* object_ = nullptr;
  const Type* type_ = nullptr;
};

}  // namespace keratin
