//===- Programs.h - From what is asked to the programs that serve it ------===//
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <string>
#include <vector>

namespace bitbyte::bb {

/// The base names of the programs that `--programs` asks for: "train" is micro,
/// update and prepare, for example. Sets `wrong` to the first that neither is a
/// word of bbc nor a program of the spec.
std::vector<std::string> basesOf(llvm::ArrayRef<std::string> asked,
                                 llvm::ArrayRef<std::string> ofSpec,
                                 std::string &wrong);

} // namespace bitbyte::bb
