//===- Recipe.h - Corpora built from Debian packages ----------------------===//
#pragma once

#include "runtime/core/Error.h"
#include "runtime/data/Index.h"
#include "runtime/data/pack/PackageFetch.h"
#include "runtime/data/pack/Packer.h"
#include "runtime/data/pack/Unpack.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitbyte {

/// Files of one package, and how they become documents.
struct RecipePart {
  std::string_view package, version;
  std::string_view under;                ///< Folder inside the package.
  std::vector<std::string_view> endings; ///< A file is taken if it has one.
  Extractor extract;
};

struct Recipe {
  std::string_view name, summary;
  std::string_view separator;
  int downloadMegabytes, megabytes;
  std::string_view hash; ///< `DataIndex::contentHash` of the result.
  std::vector<RecipePart> parts;
};

std::span<const Recipe> allRecipes();
const Recipe *findRecipe(std::string_view name);

struct RecipeResult {
  DataIndex index;
  bool asPinned = false; ///< The content has the recipe's hash.
  /// One sentence for each package that has another version than pinned.
  std::vector<std::string> differences;
};

struct RecipeOptions {
  std::string cache; ///< Directory of .deb files, made if missing.
  PackOptions pack;  ///< Its separator is the recipe's.
  /// A content with another hash than pinned is an error, and leaves nothing.
  bool strict = false;
  Notice notice;
};

/// Fetches, unpacks, extracts, packs and compares with the pinned hash.
Result<RecipeResult> cook(const Recipe &recipe, const std::string &directory,
                          RecipeOptions options);

} // namespace bitbyte
