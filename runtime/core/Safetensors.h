//===- Safetensors.h - Tensors on disk ------------------------------------===//
//
//   BB_ASSIGN(auto file, Safetensors::open("weights.safetensors"));
//   if (const StoredTensor *norm = file.find("model.norm.weight"))
//     BB_ASSIGN(std::vector<float> values, toFloats(*norm));
//
// The format: header length u64 | header, JSON | tensor bytes. The reader
// checks all of it before it hands out anything: every tensor lies inside the
// file, its bytes are shape x type, and the tensors cover the data without gap
// or overlap.
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/core/DType.h"
#include "runtime/core/Error.h"
#include "runtime/core/File.h"

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitbyte {

enum class StoredType : uint8_t {
  boolean,
  u8,
  i8,
  u16,
  i16,
  f16,
  bf16,
  u32,
  i32,
  f32,
  u64,
  i64,
  f64
};

uint64_t byteWidth(StoredType type);
/// As the format spells it: "F32".
std::string_view name(StoredType type);
std::optional<StoredType> storedType(std::string_view name);
StoredType storedType(DType type);
constexpr bool isFloat(StoredType type) {
  return type == StoredType::f16 || type == StoredType::bf16 ||
         type == StoredType::f32 || type == StoredType::f64;
}

/// "[8, 256]"
std::string formatShape(std::span<const uint64_t> shape);
/// Product of the sizes; absent if it is no uint64_t.
std::optional<uint64_t> elementCount(std::span<const uint64_t> shape);

struct StoredTensor {
  std::string name;
  StoredType type = StoredType::f32;
  std::vector<uint64_t> shape;
  std::span<const std::byte> bytes; ///< Not aligned; in the mapped file.
};

/// Any float type, widened or (f64) rounded to f32. BadInput for another type.
Result<std::vector<float>> toFloats(const StoredTensor &tensor);

/// A checked, mapped file. Copies share the mapping.
class Safetensors {
public:
  /// BadInput, with path and byte offset, for anything that is not sound.
  static Result<Safetensors> open(const std::string &path);
  /// The same for bytes in memory, which must outlive the result.
  static Result<Safetensors> parse(std::span<const std::byte> bytes,
                                   const std::string &path);

  const std::string &path() const { return filePath; }
  /// Sorted by name.
  std::span<const StoredTensor> tensors() const { return entries; }
  const StoredTensor *find(std::string_view name) const;
  const std::map<std::string, std::string> &metadata() const { return notes; }

private:
  std::string filePath;
  std::shared_ptr<const MappedFile> file;
  std::vector<StoredTensor> entries;
  std::map<std::string, std::string> notes;
};

/// Gathers tensors and writes them as one file: the same bytes for the same
/// content, in whatever order it was added. Data begin at a multiple of 64.
class SafetensorsWriter {
public:
  /// Borrows `bytes` until `write`. Names must differ.
  void add(std::string name, StoredType type, std::vector<uint64_t> shape,
           std::span<const std::byte> bytes);
  /// Takes the values along.
  void add(std::string name, std::vector<uint64_t> shape,
           std::vector<float> values);
  /// Asks for the bytes when they are written, one tensor at a time, so that a
  /// large file takes the memory of its largest tensor.
  using Source = std::function<Result<std::vector<std::byte>>()>;
  void add(std::string name, StoredType type, std::vector<uint64_t> shape,
           Source source);
  void note(std::string key, std::string value);

  /// Whole or not at all; durable when it returns.
  Result<void> write(const std::string &path) const;

private:
  struct Entry {
    StoredTensor tensor;
    Source source; ///< If empty, the bytes are in `tensor`.
  };
  std::vector<Entry> entries;
  std::vector<std::vector<float>> owned;
  std::map<std::string, std::string> notes;
};

} // namespace bitbyte
