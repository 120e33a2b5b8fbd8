//===- Weights.h - Parameters between files and an engine -----------------===//
//
// A file holds parameters in one of two layouts:
//
// * `spec`: under the spec's names, in the spec's shapes: checkpoints. Such a
//   file says so in its metadata ("bitbyte.layout": "spec").
// * `published`: as the world calls them, by the spec's import rules (other
//   names, transposed, reshaped). A file without that metadata is taken as
//   such. A parameter without a rule has the spec's name and shape here too.
//
// An import rule's `names` carry the captures of its pattern's `*`s in order;
// without names the name stays. `transpose` swaps the two axes of a matrix;
// `reshape` is the shape on disk (one -1 stands for what is left); where a rule
// has both, the transposed tensor is reshaped.
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/core/Safetensors.h"
#include "runtime/engine/Engine.h"

namespace bitbyte {

enum class Layout { spec, published };

/// How the published layout stores one parameter.
struct PublishedForm {
  std::vector<std::string> names; ///< All that are read; the first is written.
  std::vector<uint64_t> shape;    ///< On disk.
  bool transpose = false;
};
PublishedForm publishedForm(const Artifact &artifact, std::string_view name,
                            std::span<const uint64_t> shape);

/// Values [as in the spec] to values [as on disk] and back.
std::vector<float> toPublished(const PublishedForm &form,
                               std::span<const uint64_t> shape,
                               std::span<const float> values);
std::vector<float> fromPublished(const PublishedForm &form,
                                 std::span<const uint64_t> shape,
                                 std::span<const float> values);

struct LoadOptions {
  /// Take `optimizer.*` along. Absent tensors start at zero, if all are absent.
  bool optimizer = false;
  /// Absent: what the file's metadata says.
  std::optional<Layout> layout = {};
};

struct Loaded {
  Layout layout = Layout::spec;
  bool optimizer = false; ///< The file had optimizer state, and it was taken.
};

/// Fills every parameter from a file and runs `prepare`. Any float type will
/// do. BadInput names the tensors that are missing, surplus or misshapen, and
/// pairs of tied tensors that differ.
Result<Loaded> loadWeights(Engine &engine, const std::string &path,
                           const LoadOptions &options = {});

struct SaveOptions {
  Layout layout = Layout::spec;
  bool optimizer = false;
  bool parameters = true;
  /// Write the alternative names of rules that have one (`export --names
  /// also`).
  bool alternativeNames = false;
};

/// Writes all saved states as f32 (counters as they are); whole or not at all.
Result<void> saveWeights(Engine &engine, const std::string &path,
                         const SaveOptions &options = {});

} // namespace bitbyte
