// Losses (keras/src/losses). Each compares y_true with y_pred of the same shape (sparse: without
// the class axis), reduces the last axis, and gives one value for each sample or time step; a
// reduction makes one number of these. All are made of ops, so that they can be differentiated.
//
//   model.compile({.loss = "categorical_crossentropy", ...});
//   model.compile({.loss = SparseCategoricalCrossentropy({.from_logits = true}), ...});
//   model.compile({.loss = [](const Tensor& y, const Tensor& p) { return mean(abs(y - p), -1); }});
//
// When the ranks of y_true and y_pred differ by one, and the longer shape ends in 1, that axis is
// dropped. Shapes that still differ throw std::invalid_argument: nothing is broadcast in silence.
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <keratin/autograd/ops.h>
#include <keratin/core/config.h>
#include <keratin/core/tensor.h>

namespace keratin {

/// A loss: a value type, made from a Keras name, from any function (y_true, y_pred) -> values, or
/// from one of the classes below.
class Loss {
 public:
  using Function = std::function<Tensor(const Tensor& y_true, const Tensor& y_pred)>;

  /// No loss: defined() is false.
  Loss() = default;
  /// By name or alias: "mse", "categorical_crossentropy"; "crossentropy" chooses by shape. Throws
  /// std::invalid_argument with the known names.
  Loss(const char* name) : Loss(std::string(name)) {}
  Loss(const std::string& name);
  template <class F>
  requires(std::is_invocable_r_v<Tensor, F&, const Tensor&, const Tensor&> &&
           !std::derived_from<F, Loss>) Loss(F function)
      : Loss("loss", Function(std::move(function))) {}
  /// A function with a name and a reduction: "sum_over_batch_size" (also "mean"), "sum", "none" or
  /// "mean_with_sample_weight".
  Loss(std::string name, Function function, const std::string& reduction = "sum_over_batch_size");

  bool defined() const { return state_ != nullptr; }

  /// One value for each sample, without reduction.
  Tensor values(const Tensor& y_true, const Tensor& y_pred) const;
  /// Which of these values count, boolean in their shape; undefined where all do. A crossentropy
  /// with ignore_class leaves out the samples of that class, Circle those whose loss is 0.
  Tensor counted(const Tensor& y_true, const Tensor& values) const;

  /// The reduced loss, in y_pred's dtype: with sum_over_batch_size the sum of values * weights
  /// divided by the number of values. A mask (true: counts) makes that the mean over what counts.
  /// Weights and masks may lack the last axes of the values.
  Tensor operator()(const Tensor& y_true, const Tensor& y_pred, const Tensor& sample_weight = {},
                    const Tensor& mask = {}) const;

  /// "mse", as it was given, or the name of the class or function.
  const std::string& name() const;
  /// The string this loss was made from; empty when it was not.
  const std::string& identifier() const;
  /// Keras' class name and config; empty for a function of one's own.
  const std::string& class_name() const;
  const Config& config() const;
  /// Whether it is one of the library's, which do the same ops for each batch of the same shapes.
  bool supports_graph() const;
  /// The loss of that Keras class ("Huber") and config.
  static Loss from_config(const std::string& class_name, const Config& config);

 protected:
  friend void register_keras_serializable(const std::string&, const std::string&, const Loss&);
  struct State;
  template <class Options>
  Loss(const char* class_name, Options options, Function function);
  const State& state() const;
  std::shared_ptr<const State> state_;
};

/// A loss of one's own gets the name "package>name", by which strings and configs know it.
void register_keras_serializable(const std::string& package, const std::string& name,
                                 const Loss& loss);

/// As an object. Throws std::invalid_argument for a function of one's own that is not registered.
Option to_option(const Loss& loss);
/// From an object, a function or a name; None is no loss.
bool from_option(const Option& option, Loss& loss);

// --- the classes, with the options and defaults of Keras

/// -sum(y_true log(y_pred)) over the class axis. Probabilities are divided by their sum, then
/// clipped to [1e-7, 1 - 1e-7]. label_smoothing s replaces y by y (1 - s) + s / classes.
class CategoricalCrossentropy : public Loss {
 public:
  struct Options {
    bool from_logits = false;
    double label_smoothing = 0;
    int axis = -1;
    std::string reduction = "sum_over_batch_size";
    std::string name = "categorical_crossentropy";
    std::vector<Field> fields();
  };
  CategoricalCrossentropy() : CategoricalCrossentropy(Options()) {}
  CategoricalCrossentropy(Options options);
};

/// The same from class numbers. Where the label is ignore_class, the value is 0 and the position
/// counts as masked. Throws std::invalid_argument when a label is no whole number in 0..classes-1.
class SparseCategoricalCrossentropy : public Loss {
 public:
  struct Options {
    bool from_logits = false;
    std::optional<int> ignore_class = std::nullopt;
    std::string reduction = "sum_over_batch_size";
    int axis = -1;
    std::string name = "sparse_categorical_crossentropy";
    std::vector<Field> fields();
  };
  SparseCategoricalCrossentropy() : SparseCategoricalCrossentropy(Options()) {}
  SparseCategoricalCrossentropy(Options options);
};

/// mean(-y log(p) - (1 - y) log(1 - p)). label_smoothing s replaces y by y (1 - s) + s / 2.
class BinaryCrossentropy : public Loss {
 public:
  struct Options {
    bool from_logits = false;
    double label_smoothing = 0;
    int axis = -1;
    std::string reduction = "sum_over_batch_size";
    std::string name = "binary_crossentropy";
    std::vector<Field> fields();
  };
  BinaryCrossentropy() : BinaryCrossentropy(Options()) {}
  BinaryCrossentropy(Options options);
};

/// Binary cross-entropy times (1 - p_t)^gamma, where p_t is the probability of what is true (Lin
/// and others).
class BinaryFocalCrossentropy : public Loss {
 public:
  struct Options {
    bool apply_class_balancing = false;
    double alpha = 0.25;
    double gamma = 2;
    bool from_logits = false;
    double label_smoothing = 0;
    int axis = -1;
    std::string reduction = "sum_over_batch_size";
    std::string name = "binary_focal_crossentropy";
    std::vector<Field> fields();
  };
  BinaryFocalCrossentropy() : BinaryFocalCrossentropy(Options()) {}
  BinaryFocalCrossentropy(Options options);
};

/// -sum(alpha (1 - p)^gamma y log(p)).
class CategoricalFocalCrossentropy : public Loss {
 public:
  struct Options {
    double alpha = 0.25;
    double gamma = 2;
    bool from_logits = false;
    double label_smoothing = 0;
    int axis = -1;
    std::string reduction = "sum_over_batch_size";
    std::string name = "categorical_focal_crossentropy";
    std::vector<Field> fields();
  };
  CategoricalFocalCrossentropy() : CategoricalFocalCrossentropy(Options()) {}
  CategoricalFocalCrossentropy(Options options);
};

/// mean(e^2 / 2 where |e| <= delta, delta |e| - delta^2 / 2 elsewhere).
class Huber : public Loss {
 public:
  struct Options {
    double delta = 1;
    std::string reduction = "sum_over_batch_size";
    std::string name = "huber_loss";
    std::vector<Field> fields();
  };
  Huber() : Huber(Options()) {}
  Huber(Options options);
};

/// -sum of the products of both, each scaled to length 1: -1 is best.
class CosineSimilarity : public Loss {
 public:
  struct Options {
    int axis = -1;
    std::string reduction = "sum_over_batch_size";
    std::string name = "cosine_similarity";
    std::vector<Field> fields();
  };
  CosineSimilarity() : CosineSimilarity(Options()) {}
  CosineSimilarity(Options options);
};

/// 1 - 2 sum(y p) / (sum(y) + sum(p) + 1e-7), over the whole batch unless axes are given.
class Dice : public Loss {
 public:
  struct Options {
    std::string reduction = "sum_over_batch_size";
    std::string name = "dice";
    std::vector<int> axis = {};  ///< none: all
    std::vector<Field> fields();
  };
  Dice() : Dice(Options()) {}
  Dice(Options options);
};

/// 1 - I / (I + alpha sum((1 - p) y) + beta sum(p (1 - y)) + 1e-7) with I = sum(y p), over the
/// whole batch unless axes are given.
class Tversky : public Loss {
 public:
  struct Options {
    double alpha = 0.5;
    double beta = 0.5;
    std::string reduction = "sum_over_batch_size";
    std::string name = "tversky";
    std::vector<int> axis = {};  ///< none: all
    std::vector<Field> fields();
  };
  Tversky() : Tversky(Options()) {}
  Tversky(Options options);
};

/// (1 - p^q) / q of the right class's probability p, from class numbers: between a crossentropy, to
/// which it tends with q to 0, and 1 - p (Zhang and Sabuncu, arXiv:1805.07836).
class CategoricalGeneralizedCrossEntropy : public Loss {
 public:
  struct Options {
    double q = 0.5;  ///< between 0 and 1
    std::string reduction = "sum_over_batch_size";
    std::string name = "categorical_generalized_cross_entropy";
    std::vector<Field> fields();
  };
  CategoricalGeneralizedCrossEntropy() : CategoricalGeneralizedCrossEntropy(Options()) {}
  CategoricalGeneralizedCrossEntropy(Options options);
};

/// Draws samples of one class together, from class numbers and vectors of length 1 (batch, size):
/// with d = max(1 - cosine, 0) for each pair, log(1 + sum(exp(gamma max(d + margin, 0) (d -
/// margin))) sum(exp(gamma max(1 + margin - d, 0) (1 - margin - d)))), the first sum over the
/// others of the class, the second over the other classes (Sun and others, arXiv:2002.10857). The
/// mean is over the samples whose loss is above 0.
class Circle : public Loss {
 public:
  struct Options {
    double gamma = 80;
    double margin = 0.4;
    bool remove_diagonal = true;  ///< a sample is no pair with itself
    std::string reduction = "sum_over_batch_size";
    std::string name = "circle";
    std::vector<Field> fields();
  };
  Circle() : Circle(Options()) {}
  Circle(Options options);
};

// Those without options but the reduction; the formulas stand with the functions below.
#define KERATIN_LOSS(Class, function)                \
  class Class : public Loss {                        \
   public:                                           \
    struct Options {                                 \
      std::string reduction = "sum_over_batch_size"; \
      std::string name = #function;                  \
      std::vector<Field> fields();                   \
    };                                               \
    Class() : Class(Options()) {}                    \
    Class(Options options);                          \
  };                                                 \
  Tensor function(const Tensor& y_true, const Tensor& y_pred);

/// mean((y - p)^2)
KERATIN_LOSS(MeanSquaredError, mean_squared_error)
/// mean(|y - p|)
KERATIN_LOSS(MeanAbsoluteError, mean_absolute_error)
/// 100 mean(|y - p| / max(|y|, 1e-7))
KERATIN_LOSS(MeanAbsolutePercentageError, mean_absolute_percentage_error)
/// mean((log(max(p, 1e-7) + 1) - log(max(y, 1e-7) + 1))^2)
KERATIN_LOSS(MeanSquaredLogarithmicError, mean_squared_logarithmic_error)
/// mean(log(cosh(p - y)))
KERATIN_LOSS(LogCosh, log_cosh)
/// sum(y log(y / p)), both clipped to [1e-7, 1]
KERATIN_LOSS(KLDivergence, kl_divergence)
/// mean(p - y log(p + 1e-7))
KERATIN_LOSS(Poisson, poisson)
/// mean(max(1 - y p, 0)) for labels -1 and 1; labels that are all 0 or 1 are taken as -1 and 1.
KERATIN_LOSS(Hinge, hinge)
/// mean(max(1 - y p, 0)^2), labels as in hinge
KERATIN_LOSS(SquaredHinge, squared_hinge)
/// max(max((1 - y) p) - sum(y p) + 1, 0)
KERATIN_LOSS(CategoricalHinge, categorical_hinge)
/// Connectionist temporal classification: -log of the probability that logits (batch, time,
/// classes) give the labels (batch, length), where a label lasts any number of steps, and blanks
/// may stand between labels and must between equal ones (Graves and others). Class 0 is the blank,
/// and fills up short rows of labels. Labels that have no room in the time cost about 1e5.
KERATIN_LOSS(CTC, ctc)

#undef KERATIN_LOSS

// --- the functions: values for each sample, as in keras.losses

Tensor categorical_crossentropy(const Tensor& y_true, const Tensor& y_pred,
                                bool from_logits = false, double label_smoothing = 0,
                                int axis = -1);
Tensor sparse_categorical_crossentropy(const Tensor& y_true, const Tensor& y_pred,
                                       bool from_logits = false,
                                       std::optional<int> ignore_class = std::nullopt,
                                       int axis = -1);
Tensor binary_crossentropy(const Tensor& y_true, const Tensor& y_pred, bool from_logits = false,
                           double label_smoothing = 0, int axis = -1);
Tensor binary_focal_crossentropy(const Tensor& y_true, const Tensor& y_pred,
                                 bool apply_class_balancing = false, double alpha = 0.25,
                                 double gamma = 2, bool from_logits = false,
                                 double label_smoothing = 0, int axis = -1);
Tensor categorical_focal_crossentropy(const Tensor& y_true, const Tensor& y_pred,
                                      double alpha = 0.25, double gamma = 2,
                                      bool from_logits = false, double label_smoothing = 0,
                                      int axis = -1);
Tensor categorical_generalized_cross_entropy(const Tensor& y_true, const Tensor& y_pred, double q);
/// Pairs with the reference embeddings, by default y_pred itself.
Tensor circle(const Tensor& y_true, const Tensor& y_pred, const Tensor& ref_labels = {},
              const Tensor& ref_embeddings = {}, bool remove_diagonal = true, double gamma = 80,
              double margin = 0.4);
Tensor huber(const Tensor& y_true, const Tensor& y_pred, double delta = 1);
Tensor cosine_similarity(const Tensor& y_true, const Tensor& y_pred, int axis = -1);
Tensor dice(const Tensor& y_true, const Tensor& y_pred, const Axes& axis = {});
Tensor tversky(const Tensor& y_true, const Tensor& y_pred, double alpha = 0.5, double beta = 0.5,
               const Axes& axis = {});

}  // namespace keratin
