// All of Keratin's public interface.
#pragma once

#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/memory.h>
#include <keratin/core/parallel.h>
#include <keratin/core/random.h>
#include <keratin/core/tensor.h>
