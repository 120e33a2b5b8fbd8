//===- ArtifactWriter.h - Writes NAME.bba ---------------------------------===//
//
// The tables are flatc's own structs (bitbyte.fb.ArtifactT and so on), filled
// by the pipeline; bitbyte.fbs says what each field means. What the writer adds
// is the header with its hashes and the segments behind the tables. The bytes
// depend on the contents alone: no time, no path, no address.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/artifact/bitbyte_generated.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <string>
#include <vector>

namespace bitbyte::bb {

/// What of one variant lies behind the tables, each at a multiple of 64 bytes.
struct VariantSegments {
  std::vector<std::string>
      modules;           ///< Machine code, in the order of `VariantT::modules`.
  std::string constants; ///< The bytes of space `constant`.
};

/// Encodes a whole file. `segments` has one entry per variant; their offsets
/// and sizes are filled into `artifact`.
std::string encodeArtifact(fb::ArtifactT &artifact,
                           const std::vector<VariantSegments> &segments);

/// Writes `bytes` to `path` so that the file appears whole or not at all; "-"
/// is standard output.
llvm::Error writeWhole(llvm::StringRef path, llvm::StringRef bytes);

/// XXH3-128 of some bytes, as 32 hex digits.
std::string hashOf(llvm::StringRef bytes);

} // namespace bitbyte::bb
