//===- Packer.h - Documents into a data directory -------------------------===//
#pragma once

#include "runtime/data/Index.h"
#include "runtime/data/pack/Documents.h"
#include "runtime/data/pack/ShardWriter.h"

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace bitbyte {

/// A longer document is cut into blocks of this size: units of the split.
inline constexpr size_t unitBytes = 64 << 10;

struct PackOptions {
  uint64_t shardBytes = uint64_t(256) << 20;
  std::string separator; ///< Between two units that do not belong together.
  bool split = true;     ///< false: everything is train.
  /// Told the bytes taken so far, now and then; false stops the work.
  std::function<bool(uint64_t bytes, uint64_t documents)> progress;
};

/// Splits documents into train, val and test (98/1/1 by the hash of each unit)
/// and writes them, in memory of a few units. Everything goes to a directory
/// beside the target, which is renamed to it by `finish`, or removed by the
/// destructor: the target appears whole or not at all.
class Packer : public DocumentSink {
public:
  /// Usage if the target exists.
  static Result<std::unique_ptr<Packer>> create(const std::string &directory,
                                                PackOptions options);
  ~Packer() override;

  Result<void> append(std::string_view bytes) override;
  Result<void> endDocument() override;

  /// Fills splits that stayed empty, writes the index, renames. BadInput if
  /// there are fewer units than splits. `sourceJson` goes into the index;
  /// `accept` may still refuse the result.
  Result<DataIndex>
  finish(std::string sourceJson,
         const std::function<Result<void>(const DataIndex &)> &accept = {});

  uint64_t bytes() const { return taken; }

private:
  /// A unit that another split could take: the two of smallest hash are kept.
  struct Candidate {
    uint64_t hash = 0;
    uint64_t begin = 0, end = 0; ///< In the split's stream, without separators.
    bool separated = false;      ///< A separator stands before it.
    bool separatedAfter = false; ///< And behind it.
  };
  struct Split {
    std::unique_ptr<ShardWriter> writer;
    std::vector<Candidate> smallest; ///< By hash, then place; at most two.
    uint64_t lastDocument = ~uint64_t(0), lastUnit = 0;
  };

  Packer(std::string target, std::string temporary, PackOptions options);
  Result<void> takeUnit();
  Result<void> fillEmptySplits();
  Result<void> move(Split &from, Split &to);
  void keepIfSmall(Split &split, const Candidate &candidate);

  std::string target, temporary;
  PackOptions options;
  std::array<Split, 3> splits; ///< train, val, test
  std::string unit;            ///< The unit being collected.
  uint64_t documents = 0, unitInDocument = 0;
  uint64_t taken = 0, reported = 0;
};

} // namespace bitbyte
