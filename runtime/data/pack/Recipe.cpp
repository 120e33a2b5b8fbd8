#include "runtime/data/pack/Recipe.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace fs = std::filesystem;

namespace bitbyte {

const Recipe *findRecipe(std::string_view name) {
  for (const Recipe &recipe : allRecipes())
    if (recipe.name == name)
      return &recipe;
  return nullptr;
}

namespace {

/// A folder for unpacked packages that vanishes with its owner.
struct Workshop {
  std::string path;
  ~Workshop() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

} // namespace

/// The files of a part in the order of their names, links left out.
static Result<std::vector<std::string>> filesOf(const RecipePart &part,
                                                const std::string &root) {
  std::vector<std::string> files;
  std::error_code error;
  std::string folder = root + "/" + std::string(part.under);
  for (fs::recursive_directory_iterator it(folder, error), end;
       !error && it != end; it.increment(error)) {
    std::string path = it->path().string();
    bool wanted = std::any_of(
        part.endings.begin(), part.endings.end(),
        [&](std::string_view ending) { return path.ends_with(ending); });
    if (wanted && fs::is_regular_file(it->symlink_status(error)))
      files.push_back(std::move(path));
  }
  if (error || files.empty())
    return fail(ErrorKind::Failed,
                "package {}: nothing that the recipe wants in {}{}{}",
                part.package, part.under, error ? ": " : "",
                error ? error.message() : "");
  std::sort(files.begin(), files.end());
  return files;
}

Result<RecipeResult> cook(const Recipe &recipe, const std::string &directory,
                          RecipeOptions options) {
  std::error_code error;
  fs::create_directories(options.cache, error);
  // Child processes run elsewhere: they need the absolute name.
  options.cache = fs::absolute(options.cache).string();
  if (error)
    return fail(ErrorKind::Failed, "{}: {}", options.cache, error.message());
  options.pack.separator = recipe.separator;
  BB_ASSIGN(std::unique_ptr<Packer> packer,
            Packer::create(directory, options.pack));

  RecipeResult result;
  nlohmann::ordered_json packages = nlohmann::ordered_json::array();
  Workshop workshop{fmt::format("{}/unpacked-{}", options.cache, getpid())};
  std::string unpacked; // the package that lies in the workshop
  for (const RecipePart &part : recipe.parts) {
    if (unpacked != part.package) {
      std::string package(part.package), version(part.version);
      BB_ASSIGN(FetchedPackage fetched,
                fetchPackage(package, version, options.cache, options.notice));
      if (fetched.version != version)
        result.differences.push_back(
            fmt::format("package {} is {}, the recipe was made with {}",
                        package, fetched.version, version));
      packages.push_back({{"name", package}, {"version", fetched.version}});
      fs::remove_all(workshop.path, error);
      fs::create_directories(workshop.path, error);
      BB_TRY(unpackPackage(fetched.file, workshop.path));
      unpacked = package;
    }
    BB_ASSIGN(std::vector<std::string> files, filesOf(part, workshop.path));
    for (const std::string &file : files)
      BB_TRY(part.extract(file, *packer));
  }

  nlohmann::ordered_json source = {{"made_by", "recipe"},
                                   {"recipe", recipe.name},
                                   {"packages", std::move(packages)},
                                   {"pinned_hash", recipe.hash}};
  auto accept = [&](const DataIndex &index) -> Result<void> {
    result.asPinned = index.contentHash() == recipe.hash;
    if (result.asPinned || !options.strict)
      return {};
    return fail(ErrorKind::BadInput,
                "recipe {}: the result has the hash {}, pinned is {}",
                recipe.name, index.contentHash(), recipe.hash);
  };
  BB_ASSIGN(result.index, packer->finish(source.dump(), accept));
  return result;
}

} // namespace bitbyte
