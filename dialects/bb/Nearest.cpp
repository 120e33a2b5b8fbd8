//===- Nearest.cpp - What a misspelt name was meant to be -----------------===//
#include "dialects/bb/Nearest.h"

#include "llvm/ADT/StringExtras.h"

using namespace llvm;

StringRef bitbyte::bb::nearest(StringRef word, ArrayRef<StringRef> names) {
  StringRef best;
  unsigned bound = unsigned(word.size() + 2) / 3 + 1; // one edit in three
  for (StringRef name : names)
    if (unsigned edits = word.edit_distance(name, true, bound); edits < bound) {
      bound = edits;
      best = name;
    }
  return best;
}

std::string bitbyte::bb::hint(StringRef word, ArrayRef<StringRef> names) {
  StringRef best = nearest(word, names);
  return best.empty() ? "" : ("; did you mean '" + best + "'?").str();
}

std::string bitbyte::bb::hintOrList(StringRef word, ArrayRef<StringRef> names) {
  std::string near = hint(word, names);
  if (!near.empty() || names.empty())
    return near;
  return "; there are " + join(names, ", ");
}
