// The optimizers of Keras (keras/src/optimizers). Defaults and the order of options are Keras'. In
// the formulas w is the weight, g its gradient, t counts updates from 1.
//
//   model.compile({.optimizer = Adam({.learning_rate = 3e-3, .clipnorm = 1.0}), ...});
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <keratin/optim/optimizer.h>

namespace keratin {

// The options that Keras gives every optimizer, after those of its own: OptimizerOptions says what
// they mean. C++ has designated initializers for members, not for those of a base class.
#define KERATIN_COMMON_OPTIONS                                   \
  std::optional<double> clipnorm = std::nullopt;                 \
  std::optional<double> clipvalue = std::nullopt;                \
  std::optional<double> global_clipnorm = std::nullopt;          \
  bool use_ema = false;                                          \
  double ema_momentum = 0.99;                                    \
  std::optional<int> ema_overwrite_frequency = std::nullopt;     \
  std::optional<int> gradient_accumulation_steps = std::nullopt; \
  std::string name = {};

/// w -= learning_rate g; with momentum m = momentum m - learning_rate g, w += m; and with Nesterov
/// w += momentum m - learning_rate g (sgd.py).
class SGD : public Optimizer {
 public:
  struct Options {
    LearningRate learning_rate = 0.01;
    double momentum = 0;
    bool nesterov = false;
    std::optional<double> weight_decay = std::nullopt;
    KERATIN_COMMON_OPTIONS
  };
  SGD() : SGD(Options()) {}
  SGD(const Options& options);
  explicit SGD(LearningRate learning_rate);
  std::string class_name() const override { return "SGD"; }
  std::vector<Field> fields() override;

 protected:
  void build_slots() override;
  void update(Weight& weight, const Tensor& gradient, double learning_rate) override;
  bool is_fused() const override { return true; }

 private:
  double momentum_;
  bool nesterov_;
};

/// m += (g - m)(1 - beta_1), v += (g^2 - v)(1 - beta_2), w -= a m / (sqrt(v) + epsilon) with
/// a = learning_rate sqrt(1 - beta_2^t) / (1 - beta_1^t); amsgrad divides by the largest v so far
/// (Kingma and Ba; adam.py).
class Adam : public Optimizer {
 public:
  struct Options {
    LearningRate learning_rate = 0.001;
    double beta_1 = 0.9;
    double beta_2 = 0.999;
    double epsilon = 1e-7;
    bool amsgrad = false;
    std::optional<double> weight_decay = std::nullopt;
    KERATIN_COMMON_OPTIONS
  };
  Adam() : Adam(Options()) {}
  Adam(const Options& options);
  explicit Adam(LearningRate learning_rate);
  std::string class_name() const override { return "Adam"; }
  std::vector<Field> fields() override;

 protected:
  Adam(OptimizerOptions common, double beta_1, double beta_2, double epsilon, bool amsgrad);
  void build_slots() override;
  void update(Weight& weight, const Tensor& gradient, double learning_rate) override;
  bool is_fused() const override { return true; }

 private:
  double beta_1_, beta_2_, epsilon_;
  bool amsgrad_;
};

/// Adam with decoupled weight decay (Loshchilov and Hutter; adamw.py).
class AdamW : public Adam {
 public:
  struct Options {
    LearningRate learning_rate = 0.001;
    std::optional<double> weight_decay = 0.004;
    double beta_1 = 0.9;
    double beta_2 = 0.999;
    double epsilon = 1e-7;
    bool amsgrad = false;
    KERATIN_COMMON_OPTIONS
  };
  AdamW() : AdamW(Options()) {}
  AdamW(const Options& options);
  explicit AdamW(LearningRate learning_rate);
  std::string class_name() const override { return "AdamW"; }
};

/// v = rho v + (1 - rho) g^2, w -= learning_rate g / sqrt(v + epsilon); centered subtracts the
/// squared mean of g from v; momentum runs over the increments (rmsprop.py).
class RMSprop : public Optimizer {
 public:
  struct Options {
    LearningRate learning_rate = 0.001;
    double rho = 0.9;
    double momentum = 0;
    double epsilon = 1e-7;
    bool centered = false;
    std::optional<double> weight_decay = std::nullopt;
    KERATIN_COMMON_OPTIONS
  };
  RMSprop() : RMSprop(Options()) {}
  RMSprop(const Options& options);
  explicit RMSprop(LearningRate learning_rate);
  std::string class_name() const override { return "RMSprop"; }
  std::vector<Field> fields() override;

 protected:
  void build_slots() override;
  void update(Weight& weight, const Tensor& gradient, double learning_rate) override;
  bool is_fused() const override { return !centered_ && momentum_ == 0; }

 private:
  double rho_, momentum_, epsilon_;
  bool centered_;
};

/// a += g^2, w -= learning_rate g / sqrt(a + epsilon) (Duchi, Hazan and Singer; adagrad.py).
class Adagrad : public Optimizer {
 public:
  struct Options {
    LearningRate learning_rate = 0.001;
    double initial_accumulator_value = 0.1;
    double epsilon = 1e-7;
    std::optional<double> weight_decay = std::nullopt;
    KERATIN_COMMON_OPTIONS
  };
  Adagrad() : Adagrad(Options()) {}
  Adagrad(const Options& options);
  explicit Adagrad(LearningRate learning_rate);
  std::string class_name() const override { return "Adagrad"; }
  std::vector<Field> fields() override;

 protected:
  void build_slots() override;
  void update(Weight& weight, const Tensor& gradient, double learning_rate) override;

 private:
  double initial_accumulator_value_, epsilon_;
};

/// a = rho a + (1 - rho) g^2, d = -sqrt(b + epsilon) / sqrt(a + epsilon) g,
/// b = rho b + (1 - rho) d^2, w += learning_rate d (Zeiler; adadelta.py).
class Adadelta : public Optimizer {
 public:
  struct Options {
    LearningRate learning_rate = 0.001;
    double rho = 0.95;
    double epsilon = 1e-7;
    std::optional<double> weight_decay = std::nullopt;
    KERATIN_COMMON_OPTIONS
  };
  Adadelta() : Adadelta(Options()) {}
  Adadelta(const Options& options);
  explicit Adadelta(LearningRate learning_rate);
  std::string class_name() const override { return "Adadelta"; }
  std::vector<Field> fields() override;

 protected:
  void build_slots() override;
  void update(Weight& weight, const Tensor& gradient, double learning_rate) override;

 private:
  double rho_, epsilon_;
};

/// m as in Adam, u = max(beta_2 u, |g|), w -= learning_rate m / ((1 - beta_1^t)(u + epsilon))
/// (Kingma and Ba, section 7.1; adamax.py).
class Adamax : public Optimizer {
 public:
  struct Options {
    LearningRate learning_rate = 0.001;
    double beta_1 = 0.9;
    double beta_2 = 0.999;
    double epsilon = 1e-7;
    std::optional<double> weight_decay = std::nullopt;
    KERATIN_COMMON_OPTIONS
  };
  Adamax() : Adamax(Options()) {}
  Adamax(const Options& options);
  explicit Adamax(LearningRate learning_rate);
  std::string class_name() const override { return "Adamax"; }
  std::vector<Field> fields() override;

 protected:
  void build_slots() override;
  void update(Weight& weight, const Tensor& gradient, double learning_rate) override;

 private:
  double beta_1_, beta_2_, epsilon_;
};

/// Adam with Nesterov momentum whose decay u_k = beta_1 (1 - 0.96^k / 2) grows with time: with
/// P = u_1 ... u_t, m^ = u_(t+1) m / (1 - P u_(t+1)) + (1 - u_t) g / (1 - P), v^ = v / (1 -
/// beta_2^t), w -= learning_rate m^ / (sqrt(v^) + epsilon) (Dozat; nadam.py).
class Nadam : public Optimizer {
 public:
  struct Options {
    LearningRate learning_rate = 0.001;
    double beta_1 = 0.9;
    double beta_2 = 0.999;
    double epsilon = 1e-7;
    std::optional<double> weight_decay = std::nullopt;
    KERATIN_COMMON_OPTIONS
  };
  Nadam() : Nadam(Options()) {}
  Nadam(const Options& options);
  explicit Nadam(LearningRate learning_rate);
  std::string class_name() const override { return "Nadam"; }
  std::vector<Field> fields() override;

 protected:
  void build_slots() override;
  void begin_update() override;
  void update(Weight& weight, const Tensor& gradient, double learning_rate) override;

 private:
  double u(std::int64_t step) const;
  double beta_1_, beta_2_, epsilon_;
};

/// Follow the regularised leader: n' = n + g^2, z += g + 2 shrinkage w - (n'^p - n^p) w /
/// learning_rate with p = -learning_rate_power, w = (clip(z, -l1, l1) - z) / (n'^p / learning_rate
/// + 2 l2 + beta / learning_rate) (McMahan and others; ftrl.py).
class Ftrl : public Optimizer {
 public:
  struct Options {
    LearningRate learning_rate = 0.001;
    double learning_rate_power = -0.5;
    double initial_accumulator_value = 0.1;
    double l1_regularization_strength = 0;
    double l2_regularization_strength = 0;
    double l2_shrinkage_regularization_strength = 0;
    double beta = 0;
    std::optional<double> weight_decay = std::nullopt;
    KERATIN_COMMON_OPTIONS
  };
  Ftrl() : Ftrl(Options()) {}
  Ftrl(const Options& options);
  explicit Ftrl(LearningRate learning_rate);
  std::string class_name() const override { return "Ftrl"; }
  std::vector<Field> fields() override;

 protected:
  void build_slots() override;
  void update(Weight& weight, const Tensor& gradient, double learning_rate) override;

 private:
  double learning_rate_power_, initial_accumulator_value_, l1_, l2_, l2_shrinkage_, beta_;
};

/// w -= learning_rate sign(beta_1 m + (1 - beta_1) g), m = beta_2 m + (1 - beta_2) g (Chen and
/// others; lion.py).
class Lion : public Optimizer {
 public:
  struct Options {
    LearningRate learning_rate = 0.001;
    double beta_1 = 0.9;
    double beta_2 = 0.99;
    std::optional<double> weight_decay = std::nullopt;
    KERATIN_COMMON_OPTIONS
  };
  Lion() : Lion(Options()) {}
  Lion(const Options& options);
  explicit Lion(LearningRate learning_rate);
  std::string class_name() const override { return "Lion"; }
  std::vector<Field> fields() override;

 protected:
  void build_slots() override;
  void update(Weight& weight, const Tensor& gradient, double learning_rate) override;

 private:
  double beta_1_, beta_2_;
};

/// Adam's bias-corrected step, scaled to the length of the weight: w -= learning_rate |w| / |s| s
/// with s = m^ / (sqrt(v^) + epsilon); a factor of 1 where either norm is 0 (You and others;
/// lamb.py).
class Lamb : public Optimizer {
 public:
  struct Options {
    LearningRate learning_rate = 0.001;
    double beta_1 = 0.9;
    double beta_2 = 0.999;
    double epsilon = 1e-7;
    std::optional<double> weight_decay = std::nullopt;
    KERATIN_COMMON_OPTIONS
  };
  Lamb() : Lamb(Options()) {}
  Lamb(const Options& options);
  explicit Lamb(LearningRate learning_rate);
  std::string class_name() const override { return "Lamb"; }
  std::vector<Field> fields() override;

 protected:
  void build_slots() override;
  void update(Weight& weight, const Tensor& gradient, double learning_rate) override;

 private:
  double beta_1_, beta_2_, epsilon_;
};

/// With rho = min(learning_rate, 1 / sqrt(t)), b = 1 - t^beta_2_decay and s = g^2 + epsilon_1: the
/// second moment v of a matrix is r c^T / mean(r), from the moving averages r and c of the means of
/// s over its rows and columns; that of a vector is v = b v + (1 - b) s. w -= rho max(epsilon_2,
/// rms(w)) u / max(1, rms(u) / clip_threshold) with u = g / sqrt(v) (Shazeer and Stern;
/// adafactor.py). relative_step changes nothing, as in Keras 3.15, whose rho has the limit anyway.
class Adafactor : public Optimizer {
 public:
  struct Options {
    LearningRate learning_rate = 0.001;
    double beta_2_decay = -0.8;
    double epsilon_1 = 1e-30;
    double epsilon_2 = 1e-3;
    double clip_threshold = 1;
    bool relative_step = true;
    std::optional<double> weight_decay = std::nullopt;
    KERATIN_COMMON_OPTIONS
  };
  Adafactor() : Adafactor(Options()) {}
  Adafactor(const Options& options);
  explicit Adafactor(LearningRate learning_rate);
  std::string class_name() const override { return "Adafactor"; }
  std::vector<Field> fields() override;

 protected:
  void build_slots() override;
  void update(Weight& weight, const Tensor& gradient, double learning_rate) override;

 private:
  double beta_2_decay_, epsilon_1_, epsilon_2_, clip_threshold_;
  bool relative_step_;
};

/// For matrices m = momentum m + g and w -= learning_rate rms_rate sqrt(max(rows, columns)) O(g +
/// momentum m), or O(m) without Nesterov, where O turns all singular values into about 1: x = x /
/// |x|, then ns_steps times x = muon_a x + (muon_b y + muon_c y y) x with y = x x^T (Jordan;
/// muon.py). Other weights, embeddings, and those whose path contains one of exclude_layers take
/// Adam's step.
class Muon : public Optimizer {
 public:
  struct Options {
    LearningRate learning_rate = 0.001;
    double adam_beta_1 = 0.9;
    double adam_beta_2 = 0.999;
    std::optional<double> adam_weight_decay = 0.004;
    double epsilon = 1e-7;
    std::optional<double> weight_decay = 0.004;
    KERATIN_COMMON_OPTIONS
    std::vector<std::string> exclude_layers = {};
    bool exclude_embeddings = true;
    double muon_a = 3.4445;
    double muon_b = -4.7750;
    double muon_c = 2.0315;
    double adam_lr_ratio = 1;  ///< Adam's learning rate, in learning rates
    double momentum = 0.95;
    int ns_steps = 5;
    bool nesterov = true;
    std::optional<double> rms_rate = 0.2;  ///< none: O alone
  };
  Muon() : Muon(Options()) {}
  Muon(const Options& options);
  explicit Muon(LearningRate learning_rate);
  std::string class_name() const override { return "Muon"; }
  std::vector<Field> fields() override;

 protected:
  void build_slots() override;
  void update(Weight& weight, const Tensor& gradient, double learning_rate) override;
  std::optional<double> weight_decay_of(const Weight& weight) const override;

 private:
  bool takes_adam(const Weight& weight) const;
  Tensor orthogonalized(const Tensor& x) const;
  Options options_;
};

/// z -= learning_rate g / (sqrt(v / (1 - beta_2^t)) + epsilon) with Adam's v, x = (1 - 1 / t) x + z
/// / t, w = (1 - beta_1) z + beta_1 x; z begins at w, and w alone is kept, from which x follows
/// (Defazio and others; schedule_free_adamw.py). The learning rate rises linearly for warmup_steps.
class ScheduleFreeAdamW : public Optimizer {
 public:
  struct Options {
    LearningRate learning_rate = 0.0025;
    double beta_1 = 0.9;
    double beta_2 = 0.999;
    double epsilon = 1e-8;
    int warmup_steps = 0;
    std::optional<double> weight_decay = std::nullopt;
    KERATIN_COMMON_OPTIONS
  };
  ScheduleFreeAdamW() : ScheduleFreeAdamW(Options()) {}
  ScheduleFreeAdamW(const Options& options);
  explicit ScheduleFreeAdamW(LearningRate learning_rate);
  std::string class_name() const override { return "ScheduleFreeAdamW"; }
  std::vector<Field> fields() override;

 protected:
  void build_slots() override;
  void update(Weight& weight, const Tensor& gradient, double learning_rate) override;

 private:
  double beta_1_, beta_2_, epsilon_;
  int warmup_steps_;
};

#undef KERATIN_COMMON_OPTIONS

}  // namespace keratin
