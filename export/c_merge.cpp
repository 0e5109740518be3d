// Layers that make one array of several.

#include <algorithm>

#include <keratin/export/internal/c_writer.h>

namespace keratin::c_export {
namespace {

constexpr const char* functions = R"c(
static void add(const float* x, int n, float* y) {
  for (int i = 0; i < n; ++i) y[i] += x[i];
}

static void subtract(const float* x, int n, float* y) {
  for (int i = 0; i < n; ++i) y[i] -= x[i];
}

static void multiply(const float* x, int n, float* y) {
  for (int i = 0; i < n; ++i) y[i] *= x[i];
}

static void maximum(const float* x, int n, float* y) {
  for (int i = 0; i < n; ++i) y[i] = fmaxf(y[i], x[i]);
}

static void minimum(const float* x, int n, float* y) {
  for (int i = 0; i < n; ++i) y[i] = fminf(y[i], x[i]);
}

static void divide(float by, int n, float* y) {
  for (int i = 0; i < n; ++i) y[i] /= by;
}

static void flags_of(const float* x, int n, unsigned char* y) {
  for (int i = 0; i < n; ++i) y[i] = x[i] != 0.0f;
}

static void copy_flags(const unsigned char* x, int n, unsigned char* y) {
  for (int i = 0; i < n; ++i) y[i] = x[i];
}

static void set_flags(int n, unsigned char* y) {
  for (int i = 0; i < n; ++i) y[i] = 1;
}

static void either(const unsigned char* x, int n, unsigned char* y) {
  for (int i = 0; i < n; ++i) y[i] = y[i] || x[i];
}

/* Where x does not count, its numbers are those of y. */
static void take_over(const float* y, const unsigned char* mask, int rows, int n, float* x) {
  for (int i = 0; i < rows * n; ++i)
    if (!mask[i / n]) x[i] = y[i];
}

/* The product of each row of x with each of y. */
static void products(const float* x, int x_rows, const float* y, int y_rows, int n, float* z) {
  for (int a = 0; a < x_rows; ++a)
    for (int b = 0; b < y_rows; ++b) {
      float sum = 0.0f;
      for (int i = 0; i < n; ++i) sum += x[a * n + i] * y[b * n + i];
      *z++ = sum;
    }
}

static void unit_rows(int rows, int n, float least, float* y) {
  for (int r = 0; r < rows; ++r, y += n) {
    float sum = 0.0f;
    for (int i = 0; i < n; ++i) sum += y[i] * y[i];
    for (int i = 0; i < n; ++i) y[i] /= fmaxf(sqrtf(sum), least);
  }
}
)c";

/// With axes of size 1 in front.
Array of_rank(std::size_t rank, const Array& x) {
  Array y = x;
  y.shape.insert(y.shape.begin(), rank - std::min(rank, x.shape.size()), 1);
  return y;
}

bool is_one(const Size& size) { return size.known && size.most == 1; }

/// The flags of the masks, either of which may be true; of steps, all of one number.
Array any_of(Writer& w, const Values& in) {
  for (const Value& value : in) {
    const Sizes &shape = value.mask->shape, &first = in[0].mask->shape;
    if (shape.size() != first.size()) fail("masks of several ranks are not exported");
    for (std::size_t axis = 0; axis < shape.size(); ++axis) w.must_equal(shape[axis], first[axis]);
  }
  Array mask = w.flags("mask", in[0].mask->shape);
  w.call("copy_flags", *in[0].mask, product(mask.shape), mask);
  for (std::size_t i = 1; i < in.size(); ++i)
    w.call("either", *in[i].mask, product(mask.shape), mask);
  return mask;
}

bool all_masked(const Values& in) {
  return std::ranges::all_of(in, [](const Value& value) { return value.mask.has_value(); });
}
bool none_masked(const Values& in) {
  return std::ranges::none_of(in, [](const Value& value) { return value.mask.has_value(); });
}

}  // namespace

std::vector<Array> alike(Writer& w, const Values& in) {
  std::size_t rank = 0;
  for (const Value& value : in) rank = std::max(rank, value.numbers.shape.size());
  Sizes shape(rank, 1);
  for (const Value& value : in) {
    const Array x = of_rank(rank, value.numbers);
    for (std::size_t axis = 0; axis < rank; ++axis)
      if (is_one(shape[axis])) shape[axis] = x.shape[axis];
  }
  std::vector<Array> list;
  for (const Value& value : in) {
    Array x = of_rank(rank, value.numbers);
    for (std::size_t axis = 0; axis < rank; ++axis)
      if (!is_one(x.shape[axis])) {
        w.must_equal(x.shape[axis], shape[axis]);
        x.shape[axis] = shape[axis];
      }
    list.push_back(broadcast(w, x, shape));
  }
  return list;
}

namespace {

/// y = x0, then function(x1, n, y) and so on.
Array folded(Writer& w, const char* function, const std::vector<Array>& list) {
  Array y = copied(w, list[0], "out");
  for (std::size_t i = 1; i < list.size(); ++i) w.call(function, list[i], product(y.shape), y);
  return y;
}

Emitter emit_fold(const char* function) {
  return [function](Writer& w, const Layer&, const Values& in) -> Values {
    const Array y = folded(w, function, alike(w, in));
    if (all_masked(in)) return {{y, any_of(w, in)}};
    return {{y}};
  };
}

Values emit_average(Writer& w, const Layer& layer, const Values& in) {
  Values out = emit_fold("add")(w, layer, in);
  w.call("divide", w.literal(static_cast<double>(in.size())), product(out[0].numbers.shape),
         out[0].numbers);
  return out;
}

void check_masked_shapes(const Values& in) {
  for (const Value& value : in)
    if (value.numbers.shape.size() != in[0].numbers.shape.size())
      fail("inputs of several ranks that have masks are not exported");
}

// What does not count is a factor of 1, and 0 where nothing does.
Values emit_multiply(Writer& w, const Layer& layer, const Values& in) {
  if (none_masked(in)) return emit_fold("multiply")(w, layer, in);
  check_masked_shapes(in);
  Values factors = in;
  auto inside = [](const Array& x, const Array& mask) {
    return product(x.shape, mask.shape.size(), x.shape.size());
  };
  for (Value& value : factors)
    if (value.mask) {
      value.numbers = copied(w, value.numbers, "factor");
      w.call("blank", *value.mask, product(value.mask->shape), inside(value.numbers, *value.mask),
             w.literal(1), value.numbers);
    }
  const Array y = folded(w, "multiply", alike(w, factors));
  if (!all_masked(in)) return {{y}};
  const Array mask = any_of(w, in);
  w.call("blank", mask, product(mask.shape), inside(y, mask), w.literal(0), y);
  return {{y, mask}};
}

// What does not count is replaced by what does before the two are compared.
Emitter emit_extreme(const char* function) {
  return [function](Writer& w, const Layer& layer, const Values& in) -> Values {
    if (none_masked(in)) return emit_fold(function)(w, layer, in);
    check_masked_shapes(in);
    const std::vector<Array> list = alike(w, in);
    Array y = copied(w, list[0], "out");
    std::optional<Array> counts;
    if (in[0].mask) {
      counts = w.flags("counts", in[0].mask->shape);
      w.call("copy_flags", *in[0].mask, product(counts->shape), *counts);
    }
    for (std::size_t i = 1; i < in.size(); ++i) {
      const std::optional<Array>& mask = in[i].mask;
      Array x = copied(w, list[i], "other");
      auto replace = [&](const Array& by, const Array& flags, const Array& numbers) {
        w.call("take_over", by, flags, product(flags.shape),
               product(y.shape, flags.shape.size(), y.shape.size()), numbers);
      };
      if (mask) replace(y, *mask, x);
      if (counts) replace(x, *counts, y);
      w.call(function, x, product(y.shape), y);
      if (mask && counts)
        w.call("either", *mask, product(counts->shape), *counts);
      else
        counts.reset();
    }
    if (all_masked(in)) return {{y, any_of(w, in)}};
    return {{y}};
  };
}

Values emit_concatenate(Writer& w, const Layer& layer, const Values& in) {
  return concatenated(w, option<int>(layer.get_config(), "axis"), in);
}

Values emit_dot(Writer& w, const Layer& layer, const Values& in) {
  const Config config = layer.get_config();
  std::vector<int> axes;
  if (int one = 0; from_option(*find_option(config, "axes"), one))
    axes = {one, one};
  else
    axes = option<std::vector<int>>(config, "axes");
  std::vector<Array> rows;  // with the axis that is summed over last
  for (std::size_t i = 0; i < 2; ++i) {
    const Array& x = in[i].numbers;
    Array moved = axes_last(w, x, sample_axes({axes[i]}, x.shape.size()));
    if (option<bool>(config, "normalize")) {
      moved = copied(w, moved, "unit");
      w.call("unit_rows", rows_of(moved.shape), moved.shape.back(), w.literal(1e-7), moved);
    }
    rows.push_back(moved);
  }
  Sizes shape(rows[0].shape.begin(), rows[0].shape.end() - 1);
  shape.insert(shape.end(), rows[1].shape.begin(), rows[1].shape.end() - 1);
  if (shape.empty()) shape.push_back(1);
  w.must_equal(rows[0].shape.back(), rows[1].shape.back());
  Array y = w.numbers("out", shape);
  w.call("products", rows[0], rows_of(rows[0].shape), rows[1], rows_of(rows[1].shape),
         rows[0].shape.back(), y);
  return {{y}};
}

}  // namespace

Values concatenated(Writer& w, int axis_of_batch, const Values& in) {
  const std::size_t rank = in[0].numbers.shape.size();
  const std::size_t along = sample_axes({axis_of_batch}, rank)[0];
  Sizes shape = in[0].numbers.shape, parts;
  for (const Value& value : in) {
    parts.push_back(value.numbers.shape[along]);
    for (std::size_t axis = 0; axis < rank; ++axis)
      if (axis != along) w.must_equal(value.numbers.shape[axis], shape[axis]);
  }
  std::int64_t most = 0;
  std::string sum;
  for (const Size& part : parts) {
    most += part.most;
    sum += (sum.empty() ? "" : " + ") + part.text;
  }
  shape[along] = w.size("length", parts, most, sum);
  Array y = w.numbers("out", shape);
  const Size step = product(shape, along, rank);
  std::string place = y.text;
  for (const Value& value : in) {
    const Array& x = value.numbers;
    const Size n = product(x.shape, along, rank);
    w.call("copy_rows", x, product(shape, 0, along), n, step, place);
    place += " + " + n.text;
  }
  if (none_masked(in)) return {{y}};

  // A step counts if it counts in any input; an input without a mask counts everywhere.
  if (rank != 2) fail("masks of inputs of rank {} are not exported", rank + 1);
  Array mask = w.flags("mask", {shape[0]});
  if (along == 1) {
    if (all_masked(in)) return {{y, any_of(w, in)}};
    w.call("set_flags", shape[0], mask);
    return {{y, mask}};
  }
  place = mask.text;
  for (const Value& value : in) {
    const Size& n = value.numbers.shape[0];
    if (value.mask)
      w.call("copy_flags", *value.mask, n, place);
    else
      w.call("set_flags", n, place);
    place += " + " + n.text;
  }
  return {{y, mask}};
}

Part merge_part() {
  return {functions,
          {{"Add", emit_fold("add"), true},
           {"Subtract", emit_fold("subtract"), true},
           {"Multiply", emit_multiply, true},
           {"Average", emit_average, true},
           {"Maximum", emit_extreme("maximum"), true},
           {"Minimum", emit_extreme("minimum"), true},
           {"Concatenate", emit_concatenate, true},
           {"Dot", emit_dot, true}}};
}

}  // namespace keratin::c_export
