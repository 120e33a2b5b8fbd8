#include "runtime/engine/Weights.h"

#include "runtime/engine/WeightRules.h"

#include <algorithm>
#include <set>

namespace bitbyte {

static constexpr const char *layoutKey = "bitbyte.layout";

namespace {

/// States that files hold under names of their own, of some kinds.
std::vector<const State *>
storedStates(const Artifact &artifact, std::initializer_list<StateKind> kinds) {
  std::set<const State *> flat;
  for (const State &state : artifact.states)
    if (state.sliceOf >= 0)
      flat.insert(&artifact.states[size_t(state.sliceOf)]);
  std::vector<const State *> states;
  for (const State &state : artifact.states)
    if (!flat.contains(&state) &&
        std::find(kinds.begin(), kinds.end(), state.kind) != kinds.end())
      states.push_back(&state);
  return states;
}

/// "'a', 'b', 'c' and 5 more"
std::string listNames(std::span<const std::string> names) {
  size_t shown = std::min<size_t>(names.size(), 4);
  std::string text = fmt::format("'{}'", fmt::join(names.first(shown), "', '"));
  if (names.size() > shown)
    text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

class Loader {
public:
  Loader(Engine &engine, const Safetensors &file, Layout layout)
      : engine(engine), artifact(engine.artifact()), file(file),
        layout(layout) {}

  Result<void> parameters();
  /// Whether there was optimizer state, all of which was taken.
  Result<bool> optimizer();
  Result<void> checkSurplus() const;

private:
  Result<void> parameter(const State &state);
  /// The one tensor under any of the names; null if there is none.
  Result<const StoredTensor *> find(const std::vector<std::string> &names);
  Result<void> write(const State &state, const StoredTensor &tensor,
                     const PublishedForm &form);

  Engine &engine;
  const Artifact &artifact;
  const Safetensors &file;
  Layout layout;
  std::set<const StoredTensor *> taken;
  std::vector<std::string> missing;
};

bool sameContent(const StoredTensor &a, const StoredTensor &b) {
  if (a.shape != b.shape)
    return false;
  if (a.type == b.type)
    return std::ranges::equal(a.bytes, b.bytes);
  auto left = toFloats(a), right = toFloats(b);
  return left && right && *left == *right;
}

Result<const StoredTensor *>
Loader::find(const std::vector<std::string> &names) {
  const StoredTensor *found = nullptr;
  for (const std::string &name : names) {
    const StoredTensor *tensor = file.find(name);
    if (tensor && found && !sameContent(*found, *tensor))
      return fail(ErrorKind::BadInput,
                  "{}: '{}' and '{}' are one tensor of the model, but differ",
                  file.path(), found->name, tensor->name);
    if (tensor)
      taken.insert(tensor);
    found = found ? found : tensor;
  }
  return found;
}

Result<void> Loader::write(const State &state, const StoredTensor &tensor,
                           const PublishedForm &form) {
  if (tensor.shape != form.shape)
    return fail(ErrorKind::BadInput,
                "{}: '{}' is {}, but the model's '{}' takes {}", file.path(),
                tensor.name, formatShape(tensor.shape), state.name,
                formatShape(form.shape));
  if (state.dtype != DType::f32) {
    if (tensor.type != storedType(state.dtype))
      return fail(ErrorKind::BadInput, "{}: '{}' is {}, but must be {}",
                  file.path(), tensor.name, name(tensor.type),
                  name(storedType(state.dtype)));
    return engine.writeState(state.name, tensor.bytes);
  }
  auto values = toFloats(tensor);
  if (!values)
    return fail(ErrorKind::BadInput, "{}: {}", file.path(),
                values.error().message);
  *values = fromPublished(form, state.shape, *values);
  return engine.writeState(state.name, std::as_bytes(std::span(*values)));
}

PublishedForm specForm(const State &state) {
  return {.names = {state.name}, .shape = state.shape, .transpose = false};
}

Result<void> Loader::parameter(const State &state) {
  PublishedForm form = layout == Layout::spec
                           ? specForm(state)
                           : publishedForm(artifact, state.name, state.shape);
  BB_ASSIGN(const StoredTensor *tensor, find(form.names));
  if (!tensor) {
    missing.push_back(form.names.front());
    return {};
  }
  return write(state, *tensor, form);
}

Result<void> Loader::parameters() {
  for (const State *state : storedStates(artifact, {StateKind::parameter}))
    BB_TRY(parameter(*state));
  if (missing.empty())
    return {};
  return fail(ErrorKind::BadInput, "{}: misses {} of the model's tensors: {}",
              file.path(), missing.size(), listNames(missing));
}

Result<bool> Loader::optimizer() {
  auto states = storedStates(artifact, {StateKind::moment, StateKind::counter});
  size_t found = 0;
  for (const State *state : states)
    if (const StoredTensor *tensor = file.find(state->name)) {
      ++found;
      BB_TRY(write(*state, *tensor, specForm(*state)));
    } else {
      missing.push_back(state->name);
    }
  if (found == 0) {
    BB_TRY(engine.zeroStates(StateKind::moment));
    BB_TRY(engine.zeroStates(StateKind::counter));
    return false;
  }
  if (missing.empty())
    return true;
  return fail(ErrorKind::BadInput,
              "{}: misses {} of {} tensors of optimizer state: {}", file.path(),
              missing.size(), states.size(), listNames(missing));
}

/// What was not taken must be optimizer state, ignored by a rule, or equal to
/// what was taken: the partner of a tied tensor.
Result<void> Loader::checkSurplus() const {
  std::vector<std::string> surplus;
  for (const StoredTensor &tensor : file.tensors()) {
    if (taken.contains(&tensor) || tensor.name.starts_with("optimizer.") ||
        isIgnored(artifact, tensor.name))
      continue;
    auto equal = [&](const StoredTensor *other) {
      return sameContent(*other, tensor);
    };
    if (layout == Layout::published &&
        std::any_of(taken.begin(), taken.end(), equal))
      continue;
    surplus.push_back(tensor.name);
  }
  if (surplus.empty())
    return {};
  const StoredTensor &first = *file.find(surplus.front());
  for (const StoredTensor *other : taken)
    if (surplus.size() == 1 && other->shape == first.shape &&
        first.shape.size() > 1)
      return fail(
          ErrorKind::BadInput,
          "{}: '{}' {} is no tensor of the model, nor equal to '{}', which it "
          "would be tied to",
          file.path(), first.name, formatShape(first.shape), other->name);
  return fail(ErrorKind::BadInput,
              "{}: has {} tensors that the model has not: {}", file.path(),
              surplus.size(), listNames(surplus));
}

} // namespace

Result<Loaded> loadWeights(Engine &engine, const std::string &path,
                           const LoadOptions &options) {
  BB_ASSIGN(Safetensors file, Safetensors::open(path));
  Loaded loaded;
  auto note = file.metadata().find(layoutKey);
  bool spec = note != file.metadata().end() && note->second == "spec";
  loaded.layout =
      options.layout.value_or(spec ? Layout::spec : Layout::published);

  Loader loader(engine, file, loaded.layout);
  BB_TRY(loader.parameters());
  BB_TRY(loader.checkSurplus());
  if (options.optimizer) {
    BB_ASSIGN(loaded.optimizer, loader.optimizer());
  }
  BB_TRY(engine.prepare());
  return loaded;
}

Result<void> saveWeights(Engine &engine, const std::string &path,
                         const SaveOptions &options) {
  const Artifact &artifact = engine.artifact();
  SafetensorsWriter writer;
  if (options.layout == Layout::spec)
    writer.note(layoutKey, "spec");
  else
    writer.note("format", "pt"); // what the readers of published files ask for

  // Tensor by tensor: a whole model beside the one in the engine would be
  // memory that no report speaks of.
  auto contentOf = [&engine](const State &state) {
    return [&engine, &state]() -> Result<std::vector<std::byte>> {
      std::vector<std::byte> bytes(state.buffer.bytes);
      BB_TRY(engine.readState(state.name, bytes));
      return bytes;
    };
  };
  auto states = storedStates(artifact, {StateKind::parameter});
  if (!options.parameters)
    states.clear();
  for (const State *state : states) {
    auto content = contentOf(*state);
    if (options.layout == Layout::spec || state->dtype != DType::f32) {
      writer.add(state->name, storedType(state->dtype), state->shape, content);
      continue;
    }
    PublishedForm form = publishedForm(artifact, state->name, state->shape);
    bool alternative = options.alternativeNames && form.names.size() > 1;
    auto published = [content, form,
                      state]() -> Result<std::vector<std::byte>> {
      BB_ASSIGN(std::vector<std::byte> bytes, content());
      std::span values(reinterpret_cast<const float *>(bytes.data()),
                       bytes.size() / sizeof(float));
      std::vector<float> moved = toPublished(form, state->shape, values);
      std::span<const std::byte> result = std::as_bytes(std::span(moved));
      return std::vector<std::byte>(result.begin(), result.end());
    };
    writer.add(form.names[alternative], StoredType::f32, form.shape, published);
  }
  if (options.optimizer)
    for (const State *state :
         storedStates(artifact, {StateKind::moment, StateKind::counter}))
      writer.add(state->name, storedType(state->dtype), state->shape,
                 contentOf(*state));
  return writer.write(path);
}

} // namespace bitbyte
