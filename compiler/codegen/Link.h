//===- Link.h - Objects to one shared library -----------------------------===//
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"

#include <string>
#include <vector>

namespace bitbyte::codegen {

/// Links ELF objects, in order, to a shared library that may need no other.
llvm::Expected<std::vector<char>>
linkSharedLibrary(llvm::ArrayRef<std::string> objects);

} // namespace bitbyte::codegen
