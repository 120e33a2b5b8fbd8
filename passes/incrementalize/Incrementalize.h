//===- Incrementalize.h - Phase: programs that generate byte by byte ------===//
#pragma once

#include "dialects/bb/BBOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

#include <memory>

namespace bitbyte::bb {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "passes/incrementalize/Passes.h.inc"

} // namespace bitbyte::bb
