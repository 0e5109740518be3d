// Models as configs, in Keras's form (keras/src/models/functional.py, sequential.py).
#pragma once

#include <keratin/layers/layer.h>
#include <keratin/training/internal/graph.h>
#include <keratin/training/model.h>

namespace keratin {

/// "layers", "input_layers" and "output_layers" of a functional model with these layers.
Config graph_config(const ModelGraph& graph, const std::vector<AnyLayer>& layers);

/// The config of a Sequential, as which a Model may have been made.
Config sequential_config(const Model& model);

AnyLayer functional_from_config(const Config& config);
AnyLayer sequential_from_config(const Config& config);

}  // namespace keratin
