// All of Keratin's public interface.
#pragma once

#include <keratin/autograd/functional.h>
#include <keratin/autograd/gradcheck.h>
#include <keratin/autograd/ops.h>
#include <keratin/autograd/pointwise.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/memory.h>
#include <keratin/core/parallel.h>
#include <keratin/core/random.h>
#include <keratin/core/tensor.h>
#include <keratin/io/csv.h>
#include <keratin/io/npy.h>
#include <keratin/io/npz.h>
#include <keratin/layers/gradcheck.h>
#include <keratin/layers/layers.h>
#include <keratin/layers/symbolic_ops.h>
#include <keratin/optim/loss.h>
#include <keratin/optim/metrics.h>
#include <keratin/optim/optimizers.h>
#include <keratin/optim/schedule.h>
#include <keratin/training/callbacks.h>
#include <keratin/training/gradcheck.h>
#include <keratin/training/report.h>
#include <keratin/training/saving.h>
#include <keratin/training/sequential.h>
