//===- Nearest.h - What a misspelt name was meant to be -------------------===//
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <string>

namespace bitbyte::bb {

/// The one of `names` that is nearest to `word`; empty if none is near.
llvm::StringRef nearest(llvm::StringRef word,
                        llvm::ArrayRef<llvm::StringRef> names);

/// For the end of an error about `word`: "; did you mean 'window'?", or "".
std::string hint(llvm::StringRef word, llvm::ArrayRef<llvm::StringRef> names);

/// The same, but with all names where none is near: "; there are a, b".
std::string hintOrList(llvm::StringRef word,
                       llvm::ArrayRef<llvm::StringRef> names);

} // namespace bitbyte::bb
