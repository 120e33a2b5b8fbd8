#include "runtime/train/Checkpoint.h"

#include "runtime/core/File.h"
#include "runtime/core/Hash.h"
#include "runtime/core/Safetensors.h"
#include "runtime/engine/Weights.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

namespace bitbyte {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr std::string_view weightsName = "weights.safetensors";
constexpr std::string_view optimizerName = "optimizer.safetensors";

std::string textHash(const std::string &text) {
  return hash128(std::as_bytes(std::span(text))).hex();
}

Result<json> describeFile(const std::string &path) {
  BB_ASSIGN(auto file, MappedFile::open(path));
  return json{{"bytes", file->bytes().size()},
              {"xxh3_128", hash128(file->bytes()).hex()}};
}

std::string manifestText(const RunState &state, json files) {
  json manifest = {
      {"v", 1},
      {"step", state.step},
      {"data_cursor", state.cursor},
      {"random", {{"generator", "philox4x64-10"}, {"seed", state.seed}}},
      {"skipped", state.skipped},
      {"skipped_in_a_row", state.skippedRow},
      {"evaluated", state.evaluated},
      {"metrics_bytes", state.metricsBytes},
      {"seconds", state.seconds},
      {"elapsed", state.elapsed},
      {"identity", state.identity},
      {"artifact_hash", state.artifactHash},
      {"files", std::move(files)},
  };
  manifest["manifest_hash"] = textHash(manifest.dump());
  return manifest.dump(2) + "\n";
}

Result<RunState> readManifest(const std::string &path, json &files) {
  BB_ASSIGN(auto file, MappedFile::open(path));
  json manifest = json::parse(file->text(), nullptr, false);
  if (!manifest.is_object() || !manifest.contains("manifest_hash"))
    return fail(ErrorKind::BadInput, "{}: is no manifest", path);
  json hash = manifest["manifest_hash"];
  manifest.erase("manifest_hash");
  if (!hash.is_string() || hash.get<std::string>() != textHash(manifest.dump()))
    return fail(ErrorKind::BadInput, "{}: its hash does not fit its content",
                path);
  try {
    if (manifest.at("v") != 1)
      return fail(ErrorKind::BadInput, "{}: version {} is not 1", path,
                  manifest.at("v").dump());
    RunState state;
    state.step = manifest.at("step");
    state.cursor = manifest.at("data_cursor");
    state.seed = manifest.at("random").at("seed");
    state.skipped = manifest.at("skipped");
    state.skippedRow = manifest.at("skipped_in_a_row");
    state.evaluated = manifest.at("evaluated");
    state.metricsBytes = manifest.at("metrics_bytes");
    state.seconds = manifest.at("seconds");
    state.elapsed = manifest.value("elapsed", state.seconds);
    state.identity = manifest.at("identity");
    state.artifactHash = manifest.at("artifact_hash");
    files = manifest.at("files");
    (void)files.at(std::string(weightsName));
    for (const auto &[name, entry] : files.items())
      if ((name != weightsName && name != optimizerName) ||
          !entry.at("bytes").is_number() || !entry.at("xxh3_128").is_string())
        return fail(ErrorKind::BadInput, "{}: '{}' is no file of a checkpoint",
                    path, name);
    return state;
  } catch (const json::exception &wrong) {
    // The hash fits, so that some other program wrote it.
    return fail(ErrorKind::BadInput, "{}: is no manifest of a run: {}", path,
                wrong.what());
  }
}

/// "step-12" -> 12; absent for other names.
std::optional<int64_t> stepOf(const fs::path &path) {
  std::string name = path.filename().string();
  if (!name.starts_with("step-") || name.size() < 6 || name.size() > 23 ||
      !std::all_of(name.begin() + 5, name.end(),
                   [](unsigned char c) { return std::isdigit(c); }))
    return std::nullopt;
  return std::stoll(name.substr(5));
}

/// Folders step-N of a run, newest first.
std::vector<std::pair<int64_t, fs::path>> stepFolders(const std::string &run) {
  std::vector<std::pair<int64_t, fs::path>> found;
  std::error_code error;
  for (const auto &entry :
       fs::directory_iterator(fs::path(run) / "checkpoints", error))
    if (auto step = stepOf(entry.path()))
      found.emplace_back(*step, entry.path());
  std::ranges::sort(found, std::greater<>());
  return found;
}

/// Hidden folders are what a killed process left.
void removeLeftovers(const fs::path &folder) {
  std::error_code error;
  std::vector<fs::path> leftovers;
  for (const auto &entry : fs::directory_iterator(folder, error))
    if (entry.path().filename().string().starts_with("."))
      leftovers.push_back(entry.path());
  for (const fs::path &path : leftovers)
    fs::remove_all(path, error);
}

Result<void> writeFiles(Engine &engine, const RunState &state,
                        const fs::path &folder) {
  std::string weights = folder / weightsName, moments = folder / optimizerName;
  BB_TRY(saveWeights(engine, weights, {.layout = Layout::spec}));
  BB_TRY(saveWeights(
      engine, moments,
      {.layout = Layout::spec, .optimizer = true, .parameters = false}));
  json files;
  BB_ASSIGN(files[std::string(weightsName)], describeFile(weights));
  BB_ASSIGN(files[std::string(optimizerName)], describeFile(moments));
  BB_TRY(writeFileAtomically(folder / "manifest.json",
                             manifestText(state, std::move(files))));
  return syncFolder(folder);
}

} // namespace

Result<void> saveCheckpoint(Engine &engine, const std::string &run,
                            const RunState &state, int64_t keep) {
  fs::path all = fs::path(run) / "checkpoints";
  fs::path final = all / fmt::format("step-{}", state.step);
  fs::path fresh = all / fmt::format(".step-{}.new", state.step);
  fs::path old = all / fmt::format(".step-{}.old", state.step);
  std::error_code error;
  fs::create_directories(all, error);
  removeLeftovers(all);
  fs::create_directory(fresh, error);
  if (error)
    return fail(ErrorKind::Failed, "{}: cannot be made: {}", fresh.string(),
                systemError(error.value()));
  if (auto written = writeFiles(engine, state, fresh); !written) {
    fs::remove_all(fresh, error);
    auto kept = stepFolders(run);
    return fail(written.error().kind, "checkpoint of step {}: {}; {}",
                state.step, written.error().message,
                kept.empty()
                    ? std::string("there is no older one")
                    : fmt::format("{} is kept", kept[0].second.string()));
  }
  // A folder of this name is a damaged one that the run did not start from.
  if (fs::exists(final, error))
    fs::rename(final, old, error);
  fs::rename(fresh, final, error);
  if (error)
    return fail(ErrorKind::Failed, "{}: cannot be renamed: {}", fresh.string(),
                systemError(error.value()));
  BB_TRY(syncFolder(all));
  fs::remove_all(old, error);
  auto found = stepFolders(run);
  for (size_t i = keep; i < found.size(); ++i) {
    // Hidden first, so that a half-removed one is never taken for whole.
    fs::path gone = all / fmt::format(".step-{}.old", found[i].first);
    fs::rename(found[i].second, gone, error);
    fs::remove_all(gone, error);
  }
  return {};
}

Result<void> saveWeightsFolder(Engine &engine, const std::string &folder) {
  fs::path final = fs::path(folder).lexically_normal();
  if (!final.has_filename())
    final = final.parent_path(); // "DIR/"
  fs::path parent = final.has_parent_path() ? final.parent_path() : ".";
  fs::path fresh = parent / fmt::format(".{}.new", final.filename().string());
  std::error_code error;
  fs::remove_all(fresh, error);
  fs::create_directory(fresh, error);
  if (error)
    return fail(ErrorKind::Failed, "{}: cannot be made: {}", fresh.string(),
                systemError(error.value()));
  RunState state;
  state.artifactHash = engine.artifact().hash;
  auto write = [&]() -> Result<void> {
    std::string weights = fresh / weightsName;
    BB_TRY(saveWeights(engine, weights, {.layout = Layout::spec}));
    json files;
    BB_ASSIGN(files[std::string(weightsName)], describeFile(weights));
    return writeFileAtomically(fresh / "manifest.json",
                               manifestText(state, std::move(files)));
  };
  if (auto written = write(); !written) {
    fs::remove_all(fresh, error);
    return written;
  }
  fs::rename(fresh, final, error);
  if (error)
    return fail(ErrorKind::Failed, "{}: cannot be renamed to {}: {}",
                fresh.string(), final.string(), systemError(error.value()));
  return syncFolder(parent);
}

Result<Checkpoint> openCheckpoint(const std::string &directory) {
  Checkpoint checkpoint{directory, {}};
  json files;
  BB_ASSIGN(checkpoint.state,
            readManifest(directory + "/manifest.json", files));
  for (const auto &[name, want] : files.items()) {
    std::string path = directory + "/" + name;
    BB_ASSIGN(json is, describeFile(path));
    if (is["bytes"] != want["bytes"])
      return fail(ErrorKind::BadInput, "{}: has {} bytes, its manifest says {}",
                  path, is["bytes"].dump(), want["bytes"].dump());
    if (is != want)
      return fail(ErrorKind::BadInput,
                  "{}: its content does not fit the hash of its manifest",
                  path);
  }
  return checkpoint;
}

CheckpointSearch findCheckpoint(const std::string &run) {
  CheckpointSearch search;
  for (const auto &[step, path] : stepFolders(run)) {
    auto checkpoint = openCheckpoint(path);
    if (checkpoint) {
      search.newest = std::move(*checkpoint);
      break;
    }
    search.skipped.push_back(checkpoint.error().message);
  }
  return search;
}

Result<void> zeroTrainingState(Engine &engine) {
  for (StateKind kind :
       {StateKind::gradient, StateKind::moment, StateKind::counter})
    BB_TRY(engine.zeroStates(kind));
  return {};
}

Result<void> loadCheckpoint(Engine &engine, const Checkpoint &checkpoint) {
  BB_TRY(zeroTrainingState(engine));
  BB_TRY(loadWeights(engine, fs::path(checkpoint.path) / weightsName,
                     {.layout = Layout::spec}));
  std::string path = fs::path(checkpoint.path) / optimizerName;
  BB_ASSIGN(Safetensors file, Safetensors::open(path));
  const std::vector<State> &states = engine.artifact().states;
  std::vector<bool> isFlat(states.size());
  for (const State &state : states)
    if (state.sliceOf >= 0)
      isFlat[state.sliceOf] = true;
  for (size_t i = 0; i < states.size(); ++i) {
    const State &state = states[i];
    bool moment =
        state.kind == StateKind::moment || state.kind == StateKind::counter;
    if (!moment || isFlat[i])
      continue;
    const StoredTensor *tensor = file.find(state.name);
    if (!tensor || tensor->shape != state.shape ||
        tensor->type != storedType(state.dtype))
      return fail(ErrorKind::BadInput, "{}: has no '{}' {} {}", path,
                  state.name, name(state.dtype), formatShape(state.shape));
    BB_TRY(engine.writeState(state.name, tensor->bytes));
  }
  return {};
}

Result<WeightsSource> findWeights(const std::string &path) {
  WeightsSource source;
  std::error_code error;
  if (!fs::exists(path, error))
    return fail(ErrorKind::BadInput, "{}: does not exist", path);
  if (!fs::is_directory(path, error)) {
    source.file = path;
    return source;
  }
  fs::path folder(path);
  if (fs::exists(folder / "manifest.json", error)) {
    BB_ASSIGN(source.checkpoint, openCheckpoint(path));
  } else if (fs::exists(folder / "checkpoints", error)) {
    CheckpointSearch search = findCheckpoint(path);
    if (!search.newest)
      return fail(ErrorKind::BadInput, "{}: has no whole checkpoint{}{}", path,
                  search.skipped.empty() ? "" : ": ",
                  fmt::join(search.skipped, "; "));
    source.checkpoint = std::move(search.newest);
    source.skipped = std::move(search.skipped);
  } else if (!fs::exists(folder / weightsName, error)) {
    return fail(ErrorKind::BadInput,
                "{}: is no run (no checkpoints/), no checkpoint (no "
                "manifest.json) and holds no {}",
                path, weightsName);
  }
  source.file = fs::path(source.checkpoint ? source.checkpoint->path : path) /
                weightsName;
  return source;
}

} // namespace bitbyte
