#include <doctest/doctest.h>

#include <keratin/keratin.h>
#include <keratin/training/internal/plan.h>

#include <string>

using namespace keratin;

namespace {

// "0 -> a -> 1; 1, 0 -> b -> 2"
std::string calls_of(const ModelPlan& plan) {
  std::string text;
  auto add = [&](const std::vector<std::size_t>& values) {
    for (std::size_t i = 0; i < values.size(); ++i)
      text += (i == 0 ? "" : ", ") + std::to_string(values[i]);
  };
  for (const ModelPlan::Call& call : plan.calls) {
    if (!text.empty()) text += "; ";
    add(call.inputs);
    text += " -> " + call.path + " -> ";
    add(call.outputs);
  }
  return text;
}

}  // namespace

TEST_SUITE("training") {
  TEST_CASE("the plan of a Sequential is its layers in a row") {
    Sequential model{InputLayer({3}), Dense(4, {.name = "a"}), Dense(2, {.name = "b"})};
    const ModelPlan plan = plan_of("export", model);
    CHECK(calls_of(plan) == "0 -> a -> 1; 1 -> b -> 2");
    CHECK(plan.outputs.at(0) == 2);
    CHECK(plan.values[1].shape == Shape{None, 4});
    CHECK(plan.values[1].name == "a");
    CHECK(plan.calls[0].layer == &model.get_layer("a"));
  }

  TEST_CASE("the plan of a model opens those inside, as often as they are called") {
    Sequential inner({InputLayer({3}), Dense(3, {.name = "a"}), Dense(3, {.name = "b"})}, "inner");
    const auto x = Input({3}, {.name = "x"}), y = Input({3}, {.name = "y"});
    const auto sum = Add({.name = "sum"})({inner(x), inner(y)});
    Model model({x, y}, {sum, inner(sum)});
    const ModelPlan plan = plan_of("export", model);
    CHECK(plan.input_names == std::vector<std::string>{"x", "y"});
    CHECK(calls_of(plan) ==
          "0 -> inner/a -> 2; 2 -> inner/b -> 3; 1 -> inner/a -> 4; 4 -> inner/b -> 5; "
          "3, 5 -> sum -> 6; 6 -> inner/a -> 7; 7 -> inner/b -> 8");
    CHECK(plan.outputs[0] == 6);
    CHECK(plan.outputs[1] == 8);
  }

  TEST_CASE("models without a plan are refused by name") {
    class Own : public Model {
     public:
      Own() { track(dense_); }
      Tensor call(const Tensor& x) override { return dense_(x); }

     private:
      Dense dense_{2};
    };
    Own own;
    own.set_name("own");
    own(ones({1, 3}));
    CHECK_THROWS_WITH(plan_of("export", own),
                      "export: own (Own) is neither a Sequential nor made of symbolic tensors, so "
                      "that its layers are not known");
    CHECK_THROWS_AS(plan_of("export", Sequential{Dense(2)}), std::invalid_argument);
  }

  TEST_CASE("an export refuses a class that may override call, and takes its copy") {
    class Own : public Sequential {
     public:
      Own() : Sequential({Dense(2, {.input_shape = {3}})}) {}
    };
    Own own;
    own.set_name("own");
    const char* refused =
        "export: own (Own): a class of one's own may do more than call its layers; "
        "Sequential(model) or Model(model) is a copy that does no more";
    CHECK_THROWS_WITH(plan_to_export("export", own), refused);
    Sequential outer;
    outer.add(own);
    CHECK_THROWS_WITH(plan_to_export("export", outer), refused);
    CHECK(plan_to_export("export", Sequential(own)).calls.size() == 1);
    CHECK(plan_of("plot", own).calls.size() == 1);
  }
}
