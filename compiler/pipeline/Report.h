//===- Report.h - What bbc --report prints --------------------------------===//
#pragma once

#include "compiler/artifact/ArtifactWriter.h"
#include "compiler/pipeline/PhaseRunner.h"

#include "llvm/Support/raw_ostream.h"

namespace bitbyte::bb {

/// Prints parameters, programs, kernels and seconds of a finished artifact, as
/// `options.report` asks: a table for people or one JSON object.
void printReport(const CompileOptions &options, const fb::ArtifactT &artifact,
                 const PhaseRunner &runner, uint64_t fileBytes,
                 llvm::raw_ostream &out);

} // namespace bitbyte::bb
