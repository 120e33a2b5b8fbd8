#include "runtime/train/Initialize.h"

#include "runtime/core/Hash.h"
#include "runtime/core/Random.h"

#include <algorithm>
#include <cmath>

#pragma STDC FP_CONTRACT OFF

namespace bitbyte {

namespace {

/// Calls value(numbers[i]) for each element; `draw` gives four at a time.
template <typename Draw, typename Value>
void fill(std::vector<float> &out, Draw draw, Value value) {
  for (size_t begin = 0; begin < out.size(); begin += 4) {
    auto numbers = draw(begin / 4);
    for (size_t i = begin; i < std::min(begin + 4, out.size()); ++i)
      out[i] = static_cast<float>(value(numbers[i - begin]));
  }
}

} // namespace

std::vector<float> initialValues(uint64_t seed, std::string_view name,
                                 std::span<const uint64_t> shape,
                                 const Init &init) {
  uint64_t elements = 1, fanIn = 1;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    elements *= shape[axis];
    fanIn *= axis ? shape[axis] : 1;
  }
  std::vector<float> out(elements);
  RandomStream random(seed, RandomUse::initialValues,
                      hash64(std::as_bytes(std::span(name))));
  auto uniforms = [&](uint64_t block) { return random.uniforms(block); };
  auto normals = [&](uint64_t block) { return random.normals(block); };
  auto uniformIn = [&](double low, double high) {
    fill(out, uniforms, [=](double u) { return low + (high - low) * u; });
  };
  switch (init.kind) {
  case InitKind::zeros:
    break;
  case InitKind::ones:
    std::ranges::fill(out, 1.0f);
    break;
  case InitKind::constant:
    std::ranges::fill(out, static_cast<float>(init.a));
    break;
  case InitKind::normal:
    fill(out, normals, [&](double z) { return init.a * z; });
    break;
  case InitKind::uniform:
    uniformIn(init.a, init.b);
    break;
  case InitKind::kaimingUniform: {
    double reach = init.a / std::sqrt(static_cast<double>(fanIn));
    uniformIn(-reach, reach);
    break;
  }
  case InitKind::logRange: {
    uint64_t last = shape.empty() ? 1 : shape.back();
    for (uint64_t i = 0; i < elements; ++i)
      out[i] =
          static_cast<float>(exact::log(static_cast<double>(i % last + 1)));
    break;
  }
  case InitKind::softplusInverse: {
    double low = exact::log(init.a), high = exact::log(init.b);
    fill(out, uniforms, [=](double u) {
      double dt = std::max(exact::exp(low + (high - low) * u), 1e-4);
      return dt + exact::log(-exact::expm1(-dt));
    });
    break;
  }
  }
  return out;
}

Result<void> initializeModel(Engine &engine, uint64_t seed) {
  const Artifact &artifact = engine.artifact();
  std::vector<bool> isFlat(artifact.states.size());
  for (const State &state : artifact.states)
    if (state.sliceOf >= 0)
      isFlat[state.sliceOf] = true;
  for (size_t i = 0; i < artifact.states.size(); ++i) {
    const State &state = artifact.states[i];
    if (state.kind != StateKind::parameter || isFlat[i])
      continue;
    if (!state.init || state.dtype != DType::f32)
      return fail(ErrorKind::BadInput,
                  "{}: parameter '{}' is {} {}; initial values need f32 and an "
                  "init",
                  artifact.path, state.name, name(state.dtype),
                  state.init ? "with an init" : "without an init");
    std::vector<float> values =
        initialValues(seed, state.name, state.shape, *state.init);
    BB_TRY(engine.writeState(state.name, std::as_bytes(std::span(values))));
  }
  for (StateKind kind :
       {StateKind::gradient, StateKind::moment, StateKind::counter})
    BB_TRY(engine.zeroStates(kind));
  return engine.prepare();
}

} // namespace bitbyte
