//===- Evaluate.h - Bits per byte of a split ------------------------------===//
//
// Every byte of the split counts once. A model that predicts byte t + 1 from
// the bytes up to t has nothing to say about the first one, which is charged
// log2(256) = 8 bits; so a uniform model gives exactly 8, for every window and
// stride.
//
// The split is cut into windows of `window` bytes, `stride` apart. A window
// counts the bytes that no window before it has counted: with stride < window,
// each byte has at least window - stride bytes of context (but at the start).
// The last window is short as a rule: it is padded, and only real positions
// count. Nats are summed in double, in the order of the bytes.
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/data/Dataset.h"
#include "runtime/engine/Engine.h"

#include <functional>
#include <string>

namespace bitbyte {

struct EvalOptions {
  std::string split = "val";
  int64_t window = 0;    ///< 0: the program's T.
  int64_t stride = 0;    ///< 0: the window.
  uint64_t maxBytes = 0; ///< Only the first bytes of the split; 0: all.
  std::function<bool()> stop = {};             ///< Polled between batches.
  std::function<void(uint64_t)> progress = {}; ///< Bytes counted so far.
};

struct EvalResult {
  uint64_t evalBytes = 0;
  double bitsPerByte = 0;
  double seconds = 0;
  int64_t window = 0, stride = 0, batch = 0;
};

/// The score program with the smallest T that holds `window` bytes (0: the one
/// named "score"); null if there is none.
const Program *scoreProgram(const Engine &engine, int64_t window);

/// BadInput: an empty split, bytes outside the vocabulary, no fitting program.
/// Usage: a stride outside 1 to window. Diverged: a loss that is not finite,
/// with its position. Interrupted: `stop` said so.
Result<EvalResult> evaluate(Engine &engine, const Dataset &data,
                            const EvalOptions &options);

} // namespace bitbyte
