// All layers but one: AttentionLayer is the layer that everybody writes first, under that name, so
// it is only there for those who include <keratin/layers/attention.h>.
#pragma once

#include <keratin/layers/activation_layers.h>
#include <keratin/layers/attention_heads.h>
#include <keratin/layers/attention_single.h>
#include <keratin/layers/conv_lstm.h>
#include <keratin/layers/convolution.h>
#include <keratin/layers/core_layers.h>
#include <keratin/layers/crf.h>
#include <keratin/layers/dense.h>
#include <keratin/layers/einsum_dense.h>
#include <keratin/layers/embedding.h>
#include <keratin/layers/hashing.h>
#include <keratin/layers/images.h>
#include <keratin/layers/lambda.h>
#include <keratin/layers/lookup.h>
#include <keratin/layers/merge.h>
#include <keratin/layers/noise.h>
#include <keratin/layers/normalization.h>
#include <keratin/layers/padding.h>
#include <keratin/layers/pooling.h>
#include <keratin/layers/preprocessing.h>
#include <keratin/layers/registry.h>
#include <keratin/layers/rnn.h>
#include <keratin/layers/text_vectorization.h>
#include <keratin/layers/wrappers.h>
