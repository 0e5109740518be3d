// Operations between symbolic tensors.
#pragma once

#include <optional>

#include <keratin/export/internal/c_writer.h>
#include <keratin/layers/internal/operation.h>

namespace keratin::c_export {

/// Gives the axes of a sample that the operation's attribute "axis" names, in order. Throws where
/// it names none.
std::vector<std::size_t> axes_of(const Operation& operation, const Array& x);

/// Writes an operation that moves numbers and computes none; gives nothing for any other.
std::optional<Values> emit_shape_operation(Writer& w, const Operation& operation, const Values& in);

}  // namespace keratin::c_export
