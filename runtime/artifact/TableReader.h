//===- TableReader.h - From checked FlatBuffers to checked structs --------===//
//
// Private to this folder. FlatBuffers' own verifier has seen the table: every
// offset is inside it. Here each number gets its meaning checked: indices,
// places inside their spaces, sizes against shapes, names, enumerations.
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/artifact/Artifact.h"
#include "runtime/artifact/bitbyte_generated.h"

#include <cstring>
#include <set>

namespace bitbyte {

/// A copy of a vector of numbers; null: none. The verifier looks at the
/// alignment of its length alone, so that a file may have the numbers at any
/// multiple of four.
template <typename T>
std::vector<T> numbersOf(const flatbuffers::Vector<T> *table) {
  static_assert(FLATBUFFERS_LITTLEENDIAN);
  std::vector<T> numbers(table ? table->size() : 0);
  if (!numbers.empty())
    std::memcpy(numbers.data(), table->Data(), numbers.size() * sizeof(T));
  return numbers;
}

class TableReader {
public:
  /// `file` is the whole file, which `artifact` describes. Segments must lie
  /// behind byte `tableEnd`.
  TableReader(std::span<const std::byte> file, uint64_t tableEnd,
              Artifact &artifact)
      : file(file), tableEnd(tableEnd), artifact(artifact) {}

  Result<void> read(const fb::Artifact &table);

private:
  template <typename T>
  using Tables = flatbuffers::Vector<flatbuffers::Offset<T>>;

  /// A BadInput that begins with the path and the byte offset of `where`.
  template <typename... Args>
  tl::unexpected<Error> bad(const void *where,
                            fmt::format_string<Args...> format,
                            Args &&...args) const {
    return tl::unexpected(
        badInput(where, fmt::format(format, std::forward<Args>(args)...)));
  }
  Error badInput(const void *where, std::string message) const;

  // TableReader.cpp: what all parts are made of, and what all variants share.
  Result<std::string> readName(const void *where,
                               const flatbuffers::String *text,
                               std::string_view what) const;
  Result<DType> readType(const void *where, fb::DType type) const;
  Result<Buffer> readBuffer(const void *where, const fb::Buffer *table) const;
  /// Shape x type must be the buffer's bytes.
  Result<std::vector<uint64_t>>
  readShape(const void *where, const flatbuffers::Vector<uint64_t> *sizes,
            DType type, uint64_t bytes) const;
  Result<std::vector<std::pair<std::string, std::string>>>
  readPairs(const Tables<fb::NameValue> *table) const;
  Result<State> readState(const fb::State &table) const;
  Result<std::optional<Init>> readInit(const void *where,
                                       const fb::Init *table) const;
  Result<std::vector<State>> readStates(const Tables<fb::State> *table,
                                        std::set<std::string> &names) const;
  Result<void> checkSlices(const Tables<fb::State> *table,
                           std::span<const State> states) const;
  Result<ImportRule> readRule(const fb::ImportRule &table) const;

  // ProgramReader.cpp: what belongs to one variant.
  Result<Variant> readVariant(const fb::Variant &table);
  Result<void> checkSpaces(const fb::Variant &table,
                           const Variant &variant) const;
  Result<std::span<const std::byte>> readSegment(const void *where,
                                                 uint64_t offset,
                                                 uint64_t bytes,
                                                 std::string_view what);
  Result<Kernel> readKernel(const fb::Kernel &table,
                            const Variant &variant) const;
  Result<Program> readProgram(const fb::Program &table,
                              const Variant &variant) const;
  Result<std::vector<Tensor>> readTensors(const Tables<fb::Tensor> *table,
                                          const Program &program,
                                          const Variant &variant) const;
  Result<Dispatch> readDispatch(const fb::Dispatch &table,
                                const Program &program,
                                const Variant &variant) const;
  Result<Copy> readCopy(const fb::Copy &table, const Program &program,
                        const Variant &variant) const;
  Result<Zero> readZero(const fb::Zero &table, const Program &program,
                        const Variant &variant) const;
  /// A buffer inside its space, and not in the constants if it is `written`.
  Result<Buffer> readPlace(const void *where, const fb::Buffer *table,
                           const Program &program, const Variant &variant,
                           bool written) const;

  std::span<const std::byte> file;
  uint64_t tableEnd;
  Artifact &artifact;
  /// Begin and end of the segments seen so far.
  std::vector<std::pair<uint64_t, uint64_t>> segments;
};

/// Whether two places share a byte.
bool overlap(const Buffer &a, const Buffer &b);

/// Every place that the runtime hands to a kernel is aligned like this.
inline constexpr uint64_t bufferAlignment = 64;
/// No space is larger; sums of a few of these do not wrap.
inline constexpr uint64_t largestSpace = uint64_t(1) << 48;
inline constexpr uint32_t largestBlock = 1024; ///< Threads.

} // namespace bitbyte
