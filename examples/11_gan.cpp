// Two networks against each other in one model with a train_step of its own (Goodfellow and others,
// 2014): the generator learns to draw points on a circle, the discriminator to tell them from real
// ones.

#include <keratin/keratin.h>
#include <iostream>

using namespace keratin;

class Gan : public Model {
 public:
  Gan() {
    track(generator);
    track(discriminator);
  }
  Tensor call(const Tensor& noise) override { return generator(noise); }

  Logs train_step(const Batch& batch) override {
    const Tensor& real = batch.x[0];
    const std::int64_t n = real.size(0);
    const Tensor noise = default_random().normal({n, 4}), yes = ones({n, 1}), no = zeros({n, 1});
    {
      GradientTape tape;
      Tensor cost = loss_(yes, discriminator(real)) + loss_(no, discriminator(generator(noise)));
      std::vector<Weight> weights = discriminator.trainable_weights();
      critic_.apply(tape.gradient(cost, weights), weights);
      discriminator_loss_.update_state(cost.item());
    }
    GradientTape tape;
    Tensor cost = loss_(yes, discriminator(generator(noise)));
    std::vector<Weight> weights = generator.trainable_weights();
    artist_.apply(tape.gradient(cost, weights), weights);
    generator_loss_.update_state(cost.item());
    return {{"discriminator", discriminator_loss_.result()},
            {"generator", generator_loss_.result()}};
  }
  void reset_metrics() override {
    discriminator_loss_.reset_state();
    generator_loss_.reset_state();
  }

  Sequential generator{{Dense(32, {.activation = "relu", .input_shape = {4}}),
                        Dense(32, {.activation = "relu"}), Dense(2)},
                       "generator"};
  Sequential discriminator{{Dense(32, {.activation = "leaky_relu", .input_shape = {2}}),
                            Dense(32, {.activation = "leaky_relu"}), Dense(1)},
                           "discriminator"};

 private:
  Loss loss_ = BinaryCrossentropy({.from_logits = true});
  Adam critic_{{.learning_rate = 1e-3, .beta_1 = 0.5}},
      artist_{{.learning_rate = 1e-3, .beta_1 = 0.5}};
  Mean discriminator_loss_, generator_loss_;
};

int main() {
  set_random_seed(1);
  Tensor angle = Random(1).uniform({4096, 1}, 0, 6.2831853);
  Tensor circle = concatenate({cos(angle), sin(angle)}, 1);

  Gan gan;
  gan.compile({});
  auto radius = [&] {
    Tensor points = gan.predict(Random(2).normal({500, 4}));
    return norm(points, 1);
  };
  auto report = [&] {
    Tensor r = radius();
    std::cout << "radius of the drawn points: mean " << mean(r).item() << ", deviation "
              << keratin::std(r).item() << '\n';
  };
  report();
  gan.fit(circle, {}, {.batch_size = 64, .epochs = 30, .verbose = 0});
  report();

  // The gradient of each network, through the other one, by differences.
  Tensor noise = Random(3).normal({4, 4});
  std::cout << gradcheck(gan, noise, {}, {.fast = true})
            << gradcheck(gan.discriminator, gan(noise), {}, {.fast = true});
}
