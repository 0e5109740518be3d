// The pointwise ops of the catalogue as numbers, by which a device's kernel is found.
#pragma once

#include <keratin/core/functions.h>

namespace keratin {

enum class Pointwise : int {
#define KERATIN_UNARY(name, Functor) Functor,
#define KERATIN_BINARY(name, Functor) Functor,
#define KERATIN_FUNCTOR(Functor) Functor,
#define KERATIN_STEP(Functor) Functor,
#include <keratin/core/catalogue.def>
  count
};

/// The op's name, or that of its functor.
constexpr const char* name_of(Pointwise op) {
  constexpr const char* names[] = {
#define KERATIN_UNARY(name, Functor) #name,
#define KERATIN_BINARY(name, Functor) #name,
#define KERATIN_FUNCTOR(Functor) #Functor,
#define KERATIN_STEP(Functor) #Functor,
#include <keratin/core/catalogue.def>
  };
  return names[static_cast<int>(op)];
}

template <class F>
inline constexpr Pointwise pointwise_id = Pointwise::count;
#define KERATIN_FUNCTOR(Functor) \
  template <>                    \
  inline constexpr Pointwise pointwise_id<fn::Functor> = Pointwise::Functor;
#define KERATIN_UNARY(name, Functor) KERATIN_FUNCTOR(Functor)
#define KERATIN_BINARY(name, Functor) KERATIN_FUNCTOR(Functor)
#define KERATIN_STEP(Functor) KERATIN_FUNCTOR(Functor)
#include <keratin/core/catalogue.def>

}  // namespace keratin
