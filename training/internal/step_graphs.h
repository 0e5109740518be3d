// The steps of fit on a GPU as CUDA graphs.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include <keratin/core/internal/backend.h>
#include <keratin/training/dataset.h>
#include <keratin/training/internal/step.h>

namespace keratin {

class Model;

/// Does a step on one batch after the other. The first batch of a kind is worked on op by op; with
/// the second the work is noted as a graph, which the others of its kind repeat: one launch in the
/// place of hundreds. Two batches are of a kind when nothing but their numbers differs, and nothing
/// has changed what a step does, such as which weights are trained.
///
/// What cannot be noted goes on op by op.
class StepGraphs {
 public:
  using Work = std::function<Step(const Batch&)>;

  /// `promised`: whatever the model is made of, its steps do the same ops; else only those are
  /// noted whose layers all support graphs.
  StepGraphs(Model& model, bool promised) : model_(model), promised_(promised) {}

  /// What `work` finds on the batch; good until the next call.
  Step run(const Batch& batch, const Work& work);
  /// From here on op by op.
  void stop();

 private:
  /// Batches that one graph serves.
  struct Kind {
    Batch batch = {};  // where the graph reads
    std::unique_ptr<DeviceGraph> graph = {};
    Step step = {};  // where it leaves its results
  };
  using Key = std::vector<std::uint64_t>;

  Key key_of(const Batch& batch) const;
  bool capture(Kind& kind, const Batch& batch, const Work& work);
  void give_up(const std::string& why);

  Model& model_;
  const bool promised_;
  bool stopped_ = false;
  Device device_ = {};
  std::unique_ptr<DeviceGraphs> graphs_;
  std::map<Key, Kind> kinds_;
};

}  // namespace keratin
