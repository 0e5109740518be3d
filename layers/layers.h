// All layers.
#pragma once

#include <keratin/layers/attention.h>
#include <keratin/layers/core_layers.h>
#include <keratin/layers/dense.h>
#include <keratin/layers/embedding.h>
#include <keratin/layers/normalization.h>
#include <keratin/layers/rnn.h>
#include <keratin/layers/wrappers.h>
