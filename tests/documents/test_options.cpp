// docs/options.md: every option of every class, from the lists that the classes state. To write it
// again after a change: KERATIN_WRITE_DOCS=1 build/tests/keratin_tests -tc="the table of options*"

#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <set>

#include <keratin/io/file.h>
#include <keratin/io/json.h>
#include <keratin/keratin.h>

#include "golden_configs.h"

TEST_SUITE_BEGIN("documents");

namespace keratin {
namespace {

// What an option means: of one class as "Class.option", else wherever it stands.
const std::map<std::string, std::string> meanings{
    {"activation", "what the outputs go through: a name or a function"},
    {"activity_regularizer", "what the outputs cost, divided by the batch size"},
    {"adam_beta_1", "how slowly Adam's mean of the gradients changes"},
    {"adam_beta_2", "how slowly Adam's mean of their squares changes"},
    {"adam_lr_ratio", "Adam's learning rate, in learning rates"},
    {"adam_weight_decay", "the weight_decay of the weights that take Adam's step"},
    {"alpha", "the least share of the initial learning rate"},
    {"alpha_constraint", "what alpha is held to after each step"},
    {"alpha_initializer", "how alpha begins"},
    {"alpha_regularizer", "what alpha costs"},
    {"amsgrad", "divides by the largest second moment so far"},
    {"apply_class_balancing", "weights the two classes by alpha and 1 - alpha"},
    {"attention_dim", "the width of the network that weighs the steps"},
    {"attention_axes", "the axes that attention is over; null: all between batch and features"},
    {"average", "what becomes of the classes: micro, macro, weighted, or null for one result each"},
    {"axis", "the axis, or several, that the class works along"},
    {"antialias", "where an image shrinks, a weighted mean of all that a pixel covers"},
    {"axes", "the axis of both inputs that is summed over, or one for each"},
    {"backward_layer", "the layer for the backward direction; by default made like `layer`"},
    {"batch_shape", "the shape of a batch; null where the size varies"},
    {"beta", "the weight of false negatives"},
    {"FBetaScore.beta", "how many times as much recall counts as precision"},
    {"beta_1", "how slowly the mean of the gradients changes"},
    {"beta_2", "how slowly the mean of their squares changes"},
    {"beta_2_decay", "the exponent by which the squares of the first steps are forgotten"},
    {"beta_constraint", "what beta is held to after each step"},
    {"beta_initializer", "how beta begins"},
    {"beta_regularizer", "what beta costs"},
    {"bias_axes", "the letters of the output that the bias has; null: no bias"},
    {"bias_constraint", "what the bias is held to after each step"},
    {"bias_initializer", "how the bias begins"},
    {"bias_regularizer", "what the bias costs"},
    {"bin_boundaries", "where one bin ends and the next begins, ascending; null: adapt finds them"},
    {"boundaries", "the last steps of the values"},
    {"cell", "the cell that runs over time"},
    {"cells", "the cells, one on the output of the other"},
    {"center", "adds beta"},
    {"centered", "divides by the variance of the gradients, and not by their mean square"},
    {"class_aggregation",
     "uniform_average, variance_weighted_average, or null for one result each"},
    {"class_id", "judges this class alone"},
    {"clip_threshold", "the largest root mean square of a step, before the learning rate"},
    {"clipnorm", "the largest norm of one weight's gradient"},
    {"clipvalue", "the largest entry of a gradient"},
    {"crop_to_aspect_ratio", "first cuts what is too high or too wide for the new shape"},
    {"cropping", "what is cut off before and after each axis"},
    {"curve", "ROC, PR or PRGAIN"},
    {"cycle", "begins again with a longer period"},
    {"data_format", "where the channels are"},
    {"decay_rate", "what the learning rate falls by in decay_steps"},
    {"decay_steps", "the steps of one fall"},
    {"delta", "where the square becomes a straight line"},
    {"depth_multiplier", "how many outputs each channel has"},
    {"depthwise_constraint", "what the kernel of each channel is held to after each step"},
    {"depthwise_initializer", "how the kernel of each channel begins"},
    {"depthwise_regularizer", "what the kernel of each channel costs"},
    {"dilation_rate", "from one element of a window to the next"},
    {"dims", "the order of the axes, counted from 1"},
    {"distribution", "truncated_normal, untruncated_normal or uniform"},
    {"dropout", "the share of the inputs that training leaves out"},
    {"Attention.dropout", "the share of the attention that training leaves out"},
    {"AdditiveAttention.dropout", "the share of the attention that training leaves out"},
    {"MultiHeadAttention.dropout", "the share of the attention that training leaves out"},
    {"GroupQueryAttention.dropout", "the share of the attention that training leaves out"},
    {"ema_momentum", "how slowly the averages of the weights change"},
    {"ema_overwrite_frequency", "the steps after which the averages become the weights"},
    {"embeddings_constraint", "what the table is held to after each step"},
    {"embeddings_initializer", "how the table begins"},
    {"embeddings_regularizer", "what the table costs"},
    {"encoding", "how strings are encoded"},
    {"end_learning_rate", "the learning rate at the end"},
    {"epsilon", "keeps a division finite"},
    {"Discretization.epsilon", "the share of the data that adapt may be wrong by"},
    {"epsilon_1", "keeps a division finite"},
    {"epsilon_2", "the least root mean square of a weight that a step is in proportion to"},
    {"equation", "input,kernel->output with a letter for each axis; ... stands for any axes"},
    {"exclude_embeddings", "embeddings take Adam's step"},
    {"exclude_layers", "weights whose path contains one of these take Adam's step"},
    {"fill_mode", "what is seen beyond an edge"},
    {"fill_value", "the number beyond an edge, where it is constant"},
    {"factor", "the cost of one pair, times 2"},
    {"RandomBrightness.factor", "how much is added, as a part of the value range"},
    {"RandomContrast.factor", "how much further from their mean the numbers lie"},
    {"RandomRotation.factor", "the angle as a part of a full turn; x stands for -x to x"},
    {"filters", "how many channels the output has"},
    {"first_decay_steps", "the steps of the first period"},
    {"from_logits", "y_pred holds logits, and not probabilities"},
    {"gain", "what the matrix is multiplied by"},
    {"gamma", "how much easy samples count less"},
    {"gamma_constraint", "what gamma is held to after each step"},
    {"gamma_initializer", "how gamma begins"},
    {"gamma_regularizer", "what gamma costs"},
    {"global_clipnorm", "the largest norm of all gradients together"},
    {"go_backwards", "runs from the last step to the first"},
    {"head_dim", "the width of a head"},
    {"gradient_accumulation_steps", "the calls whose gradients make one step"},
    {"groups", "a group of filters sees a group of channels"},
    {"GroupNormalization.groups", "how many groups there are; -1: each channel is one"},
    {"idf_weights", "of the vocabulary, for the output mode tf_idf"},
    {"ignore_class", "the label of positions that do not count"},
    {"height", "the rows of the new images"},
    {"height_factor", "the part of the height; x stands for -x to x"},
    {"initial_accumulator_value", "where the sums of squares begin"},
    {"initial_learning_rate", "the learning rate at step 0"},
    {"input_axes", "the axes of the inputs; null: found by the shape"},
    {"input_dim", "how many ids there are"},
    {"invert", "from outputs back to inputs"},
    {"interpolation", "nearest: each entry several times; bilinear: lines between the entries"},
    {"k", "how many best scores count as a hit"},
    {"keepdims", "leaves the axes with size 1"},
    {"key_dim", "the width of a head for queries and keys"},
    {"kernel_constraint", "what the kernel is held to after each step"},
    {"kernel_initializer", "how the kernel begins"},
    {"kernel_regularizer", "what the kernel costs"},
    {"kernel_size", "elements of a window along each axis"},
    {"l1", "the weight of the sum of absolute values"},
    {"l1_regularization_strength", "the weight of the sum of absolute values"},
    {"l2", "the weight of the sum of squares"},
    {"l2_regularization_strength", "the weight of the sum of squares"},
    {"l2_shrinkage_regularization_strength", "the weight of the squares in the gradient alone"},
    {"label_smoothing", "the share of the label that is spread over the classes"},
    {"label_weights", "the weight of each label"},
    {"layer", "the layer inside"},
    {"learning_rate", "a number or a schedule"},
    {"learning_rate_power", "how the learning rate falls with the sums of squares"},
    {"loss_scale_factor", "what the loss is multiplied by"},
    {"m_mul", "what the start of a period is, in starts of the one before"},
    {"mask_token", "the token of index 0; other output modes leave it out"},
    {"margin", "how far apart classes are to be"},
    {"mask_value", "a step of this value alone is masked"},
    {"Hashing.mask_value", "the input that bin 0 is kept for"},
    {"mask_zero", "id 0 is masked"},
    {"max_tokens", "the largest size of the vocabulary, with mask and unknown tokens"},
    {"max_value", "the largest length"},
    {"maxval", "the upper limit"},
    {"mean", "the mean"},
    {"Normalization.mean", "a number, or numbers along the axes; null: adapt finds them"},
    {"merge_mode", "concat, sum, mul, ave, or null for both outputs"},
    {"min_value", "the smallest length"},
    {"minval", "the lower limit"},
    {"RandomFlip.mode", "horizontal, vertical or horizontal_and_vertical"},
    {"mode", "fan_in, fan_out or fan_avg: what the variance is divided by"},
    {"OrthogonalRegularizer.mode", "rows or columns"},
    {"momentum", "how slowly the step changes"},
    {"BatchNormalization.momentum", "how slowly the moving statistics change"},
    {"moving_mean_initializer", "how the moving mean begins"},
    {"moving_variance_initializer", "how the moving variance begins"},
    {"multi_label", "judges each label by itself, and takes the mean"},
    {"muon_a", "the coefficient of x in the iteration"},
    {"muon_b", "the coefficient of the third power"},
    {"muon_c", "the coefficient of the fifth power"},
    {"n", "how many times"},
    {"negative_slope", "the slope of the negative side"},
    {"nesterov", "looks ahead along the momentum"},
    {"ngrams", "tokens of up to so many words, or of each of several numbers of words"},
    {"noise_shape", "the shape of the noise; null: that of the input"},
    {"normalize", "divides by the lengths of the vectors: the product is a cosine"},
    {"num_bins", "how many bins there are"},
    {"Discretization.num_bins", "how many bins adapt makes; not beside bin_boundaries"},
    {"ns_steps", "how many iterations there are"},
    {"num_classes", "how many classes there are"},
    {"num_heads", "how many heads there are"},
    {"num_key_value_heads", "how many heads of keys and values there are"},
    {"num_labels", "the number of labels"},
    {"num_oov_indices", "how many indices unknown tokens share; 0: they are an error"},
    {"num_query_heads", "how many heads of queries there are"},
    {"num_tokens", "how many ids there are"},
    {"num_regressors", "the inputs of the model, for the adjusted score; 0: no adjustment"},
    {"num_thresholds", "into how many parts the scores are sorted"},
    {"offset", "what is added, one number or one for each channel"},
    {"oov_method", "which index an unknown number has: its remainder (floormod), or its hash"},
    {"oov_token", "what the indices of unknown tokens are turned back into"},
    {"optional", "whether the input may be left out"},
    {"output_axes", "the axes of the outputs; null: found by the shape"},
    {"output_dim", "the width of a row"},
    {"output_mode",
     "int: indices; one_hot: a code for each; multi_hot, count, tf_idf: one for each sample"},
    {"output_padding", "elements added at the end; null: as many as a stride leaves open"},
    {"output_sequence_length", "rows are padded or cut to it; null: as long as the longest"},
    {"pad_to_aspect_ratio", "first adds a margin on the short sides"},
    {"pad_to_max_tokens", "codes are max_tokens wide, whatever the vocabulary"},
    {"padding",
     "valid: windows within the input; same: as many as the input has strides; causal: a "
     "window ends at its own element"},
    {"pointwise_constraint", "what the kernel over all channels is held to after each step"},
    {"pointwise_initializer", "how the kernel over all channels begins"},
    {"pointwise_regularizer", "what the kernel over all channels costs"},
    {"pool_size", "elements of a window along each axis"},
    {"ZeroPadding1D.padding", "the zeros before and after each axis"},
    {"ZeroPadding2D.padding", "the zeros before and after each axis"},
    {"ZeroPadding3D.padding", "the zeros before and after each axis"},
    {"output_shape", "the shape of a sample; null where the input decides"},
    {"MultiHeadAttention.output_shape", "the width of the output, or several; null: the query's"},
    {"power", "the exponent of the polynomial"},
    {"power_iterations", "the steps of each call towards the largest singular value"},
    {"precision", "the least precision"},
    {"q", "0: a crossentropy; 1: the probability of all other classes"},
    {"quantization_config", "of quantized weights"},
    {"ragged", "of ragged tensors"},
    {"rate", "the share that training leaves out"},
    {"MinMaxNorm.rate", "how far a step goes towards the limits"},
    {"recall", "the least recall"},
    {"recurrent_activation", "what the gates go through"},
    {"recurrent_constraint", "what the recurrent kernel is held to after each step"},
    {"recurrent_dropout", "the share of the states that training leaves out"},
    {"recurrent_initializer", "how the recurrent kernel begins"},
    {"recurrent_regularizer", "what the recurrent kernel costs"},
    {"reduction",
     "what becomes of the values: sum_over_batch_size, sum, mean_with_sample_weight, none"},
    {"relative_step", "changes nothing, as in Keras 3.15"},
    {"remove_diagonal", "a sample is no pair with itself"},
    {"renorm", "of batch renormalization"},
    {"renorm_clipping", "of batch renormalization"},
    {"renorm_momentum", "of batch renormalization"},
    {"reset_after", "the reset gate acts after the recurrent product"},
    {"return_sequences", "gives the output of each step, and not of the last alone"},
    {"return_state", "gives the last states, too"},
    {"rho", "how slowly the mean of the squares changes"},
    {"rms_rate", "the root mean square of a step, in learning rates; null: not scaled"},
    {"rms_scaling", "divides by the root mean square alone"},
    {"salt", "two numbers that choose the hash function; null: FarmHash"},
    {"scale", "multiplies by gamma"},
    {"VarianceScaling.scale", "the variance, times the number of inputs or outputs"},
    {"score_mode", "dot: query times key; concat: the sum of tanh(query + key)"},
    {"seed", "makes the numbers the same each time"},
    {"sensitivity", "the least sensitivity"},
    {"shared_axes", "the axes along which alpha is one, counted from 1; null: none"},
    {"size", "how many times each entry comes"},
    {"sliding_window", "a query sees keys less than this far away; null: all"},
    {"sparse", "of sparse tensors"},
    {"split", "whitespace, character or null; or a function"},
    {"standardize", "lower_and_strip_punctuation, lower, strip_punctuation or null; or a function"},
    {"sparse", "of sparse inputs"},
    {"sparse_y_pred", "y_pred holds class numbers, and not a number for each class"},
    {"sparse_y_true", "y_true holds class numbers, and not a number for each class"},
    {"specificity", "the least specificity"},
    {"staircase", "falls in steps"},
    {"stateful", "goes on in the next batch where this one ended"},
    {"stddev", "the standard deviation"},
    {"strides", "from one window to the next, along each axis"},
    {"summation_method", "interpolation, minoring or majoring"},
    {"synchronized", "over several devices"},
    {"t_mul", "the length of a period in lengths of the one before"},
    {"target_class_ids", "the classes that are averaged"},
    {"target_shape", "the shape of a sample; one size may be -1"},
    {"threshold", "scores above it are hits"},
    {"thresholds", "scores above it are hits; one result for each"},
    {"BinaryIoU.threshold", "from here on y_pred is class 1"},
    {"FBetaScore.threshold", "scores above it are positive; null: the largest of each row is"},
    {"F1Score.threshold", "scores above it are positive; null: the largest of each row is"},
    {"top_k", "judges the k best scores of a sample"},
    {"unit_forget_bias", "the bias of the forget gate begins at 1"},
    {"units", "the width of the output"},
    {"unroll", "writes the loop over time out"},
    {"use_bias", "adds a bias"},
    {"use_ema", "keeps averages of the weights"},
    {"use_gate", "multiplies what is attended to by a sigmoid of the query"},
    {"use_scale", "multiplies the scores by a weight"},
    {"AdditiveAttention.use_scale", "multiplies the features in the score by weights"},
    {"value", "the value"},
    {"value_dim", "the width of a head for values; by default key_dim"},
    {"value_range", "the numbers that a pixel may have"},
    {"values", "the learning rates between the boundaries"},
    {"variance", "likewise"},
    {"vocabulary", "the tokens in the order of their indices; null: adapt finds them"},
    {"vocabulary_dtype", "the type of the tokens"},
    {"vocabulary_size", "how many tokens are known, with mask and unknown tokens"},
    {"warmup_steps", "the steps of the rise before the fall"},
    {"ScheduleFreeAdamW.warmup_steps", "the steps in which the learning rate rises"},
    {"warmup_target", "where the rise ends; null: there is none"},
    {"width", "the columns of the new images"},
    {"width_factor", "the part of the width; null: as the height"},
    {"weight_decay", "the share of a weight that each step takes away, times the learning rate"},
    {"zero_output_for_mask", "gives 0 at masked steps, and not the output before"},
    {"Tversky.alpha", "the weight of false positives"},
    {"Ftrl.beta", "added to the divisor"},
    {"Circle.gamma", "the scale of the similarities"},
    {"BinaryFocalCrossentropy.alpha", "the weight of class 1"},
    {"CategoricalFocalCrossentropy.alpha", "the weight of the classes"},
    {"ELU.alpha", "the limit of the negative side, below 0"},
    {"ReLU.max_value", "the largest output; null: there is none"},
    {"ReLU.threshold", "what is below it goes to the negative side"},
    {"Rescaling.scale", "the factor, one number or one for each channel"},
    {"GaussianDropout.rate", "the variance of the noise is rate / (1 - rate)"},
    {"GaussianNoise.stddev", "the standard deviation of the noise"},
};

// Options without a default; what a config shows for them is made up.
const std::set<std::string> required{"units",
                                     "input_dim",
                                     "output_dim",
                                     "n",
                                     "dims",
                                     "target_shape",
                                     "batch_shape",
                                     "cell",
                                     "cells",
                                     "layer",
                                     "attention_dim",
                                     "initial_learning_rate",
                                     "decay_steps",
                                     "decay_rate",
                                     "first_decay_steps",
                                     "boundaries",
                                     "values",
                                     "filters",
                                     "kernel_size",
                                     "axes",
                                     "equation",
                                     "num_heads",
                                     "key_dim",
                                     "head_dim",
                                     "num_query_heads",
                                     "num_key_value_heads",
                                     "CategoryEncoding.num_tokens",
                                     "Discretization.num_bins",
                                     "Hashing.num_bins",
                                     "Dropout.rate",
                                     "Activation.activation",
                                     "num_classes",
                                     "IoU.target_class_ids",
                                     "OneHotIoU.target_class_ids",
                                     "PrecisionAtRecall.recall",
                                     "RecallAtPrecision.precision",
                                     "SensitivityAtSpecificity.specificity",
                                     "SpecificityAtSensitivity.sensitivity",
                                     "AlphaDropout.rate",
                                     "GaussianDropout.rate",
                                     "GaussianNoise.stddev",
                                     "Rescaling.scale",
                                     "RandomBrightness.factor",
                                     "RandomContrast.factor",
                                     "RandomRotation.factor",
                                     "height",
                                     "width",
                                     "RandomZoom.height_factor",
                                     "RandomTranslation.height_factor",
                                     "RandomTranslation.width_factor",
                                     "SpatialDropout1D.rate",
                                     "SpatialDropout2D.rate",
                                     "SpatialDropout3D.rate",
                                     "EinsumDense.output_shape"};

template <class T>
const T* of_class(const std::map<std::string, T>& table, const std::string& class_name,
                  const std::string& option) {
  auto found = table.find(class_name + "." + option);
  if (found == table.end()) found = table.find(option);
  return found == table.end() ? nullptr : &found->second;
}

struct Object {
  Config config;
  std::vector<Field> fields;
  AnyLayer layer = Flatten();  // what the fields speak of
};

/// An object of the class with all options at their defaults.
Object made(const std::string& kind, const std::string& name) {
  Object object;
  if (kind == "layer") {
    object.layer = layer_from_config(name, {});
    object.fields = object.layer->fields();
    object.config = object.layer->get_config();
  } else if (kind == "initializer") {
    object.config = Initializer::from_config(name, {}).config();
  } else if (kind == "regularizer") {
    object.config = Regularizer::from_config(name, {}).config();
  } else if (kind == "constraint") {
    object.config = Constraint::from_config(name, {}).config();
  } else if (kind == "loss") {
    object.config = Loss::from_config(name, {}).config();
  } else if (kind == "metric") {
    object.config = AnyMetric::from_config(name, {})->config();
  } else if (kind == "optimizer") {
    object.config = AnyOptimizer::from_config(name, {})->config();
  } else {
    const Config& config =
        name == "PiecewiseConstantDecay"
            ? Config{{"boundaries", std::vector<Option>{1}}, {"values", std::vector<Option>{1, 1}}}
            : Config{};
    object.config = schedule_from_config(name, config).schedule()->config();
  }
  return object;
}

std::string default_text(const std::string& class_name, const std::string& option,
                         const Option& value) {
  const std::string full = class_name + "." + option;
  if (required.contains(option) || required.contains(full)) return "required";
  if (auto object = object_in(value)) return object->first;
  return format_json(value);
}

std::string table() {
  std::string text = R"(# Options

Every option of every class, with Keras's names, in the order of its `get_config`. In C++ an option is a member of the
class's options: `Dense(3, {.activation = "relu"})`. The test `tests/documents/test_options.cpp` makes this table from
the lists that the classes state. *Fixed*: Keras knows other values, this library does not. Each object has a `name`,
too, and each layer `trainable` and `dtype`.
)";
  for (const char* kind : {"layer", "initializer", "regularizer", "constraint", "loss", "metric",
                           "optimizer", "schedule"}) {
    text += std::string("\n## ") + (kind == std::string("loss") ? "losse" : kind) + "s\n";
    std::set<std::string> seen;
    for (const GoldenConfig& row : golden_configs(kind)) {
      if (!seen.insert(row.class_name).second) continue;
      Object object = made(kind, row.class_name);
      text += "\n### " + row.class_name + "\n\n";
      std::erase_if(object.config, [](const auto& option) {
        return option.first == "name" || option.first == "trainable" || option.first == "dtype";
      });
      if (object.config.empty()) {
        text += "No options.\n";
        continue;
      }
      text += "| option | default | must be | meaning |\n|---|---|---|---|\n";
      for (const auto& entry : object.config) {
        const std::string& option = entry.first;
        const std::string* meaning = of_class(meanings, row.class_name, option);
        CHECK_MESSAGE(meaning != nullptr, "an option without a meaning: ", row.class_name, ".",
                      option);
        std::string rule;
        for (const Field& field : object.fields)
          if (field.name == option) rule = field.is_fixed ? "*fixed*" : field.check.rule;
        if (rule.starts_with("of ")) rule.erase(0, 3);  // "expected units of at least 1"
        text += "| `" + option + "` | " + default_text(row.class_name, option, entry.second) +
                " | " + rule + " | " + (meaning == nullptr ? "" : *meaning) + " |\n";
      }
    }
  }
  return text;
}

}  // namespace

TEST_CASE("the table of options is what the classes state") {
  clear_session();
  const std::string file = KERATIN_SOURCE_DIR "/docs/options.md", text = table();
  if (std::getenv("KERATIN_WRITE_DOCS") != nullptr) std::ofstream(file) << text;
  const std::string stands = read_file(file);
  if (stands != text) {
    auto at = std::mismatch(stands.begin(), stands.end(), text.begin(), text.end()).first;
    MESSAGE("docs/options.md differs from line ", 1 + std::count(stands.begin(), at, '\n'), " on");
  }
  CHECK((stands == text));
}

}  // namespace keratin

TEST_SUITE_END();
