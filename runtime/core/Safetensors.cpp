#include "runtime/core/Safetensors.h"

#include "runtime/core/Float16.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

namespace bitbyte {

using nlohmann::json;

//===----------------------------------------------------------------------===//
// Types and shapes
//===----------------------------------------------------------------------===//

struct TypeInfo {
  std::string_view name;
  uint64_t width;
};
/// In the order of StoredType.
static constexpr TypeInfo types[] = {
    {"BOOL", 1}, {"U8", 1},   {"I8", 1},  {"U16", 2}, {"I16", 2},
    {"F16", 2},  {"BF16", 2}, {"U32", 4}, {"I32", 4}, {"F32", 4},
    {"U64", 8},  {"I64", 8},  {"F64", 8}};

uint64_t byteWidth(StoredType type) { return types[size_t(type)].width; }
std::string_view name(StoredType type) { return types[size_t(type)].name; }

std::optional<StoredType> storedType(std::string_view name) {
  for (size_t i = 0; i < std::size(types); ++i)
    if (types[i].name == name)
      return StoredType(i);
  return std::nullopt;
}

StoredType storedType(DType type) {
  constexpr StoredType stored[] = {
      StoredType::f32, StoredType::bf16, StoredType::f16, StoredType::u8,
      StoredType::i8,  StoredType::i32,  StoredType::i64, StoredType::boolean};
  return stored[size_t(type)];
}

std::string formatShape(std::span<const uint64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

std::optional<uint64_t> elementCount(std::span<const uint64_t> shape) {
  uint64_t count = 1;
  for (uint64_t size : shape)
    if (__builtin_mul_overflow(count, size, &count))
      return std::nullopt;
  return count;
}

template <typename Bits, typename Convert>
static std::vector<float> convert(std::span<const std::byte> bytes,
                                  Convert one) {
  std::vector<float> values(bytes.size() / sizeof(Bits));
  for (size_t i = 0; i < values.size(); ++i) {
    Bits bits;
    std::memcpy(&bits, bytes.data() + i * sizeof(Bits), sizeof(Bits));
    values[i] = one(bits);
  }
  return values;
}

Result<std::vector<float>> toFloats(const StoredTensor &tensor) {
  switch (tensor.type) {
  case StoredType::f32:
    return convert<float>(tensor.bytes, [](float value) { return value; });
  case StoredType::f64:
    return convert<double>(tensor.bytes,
                           [](double value) { return float(value); });
  case StoredType::bf16:
    return convert<uint16_t>(tensor.bytes, bf16ToFloat);
  case StoredType::f16:
    return convert<uint16_t>(tensor.bytes, f16ToFloat);
  default:
    return fail(ErrorKind::BadInput,
                "tensor '{}' is {}, where a float type is needed", tensor.name,
                name(tensor.type));
  }
}

//===----------------------------------------------------------------------===//
// Reader
//===----------------------------------------------------------------------===//

static constexpr uint64_t lengthBytes = 8;
/// As in the reference implementation: no sound header is longer.
static constexpr uint64_t largestHeader = 100'000'000;

/// A list of non-negative integers, or nothing.
static std::optional<std::vector<uint64_t>> numbers(const json &value) {
  if (!value.is_array())
    return std::nullopt;
  std::vector<uint64_t> list;
  for (const json &item : value) {
    if (!item.is_number_unsigned())
      return std::nullopt;
    list.push_back(item.get<uint64_t>());
  }
  return list;
}

/// One entry of the header; `data` are the bytes after the header, which begin
/// at `dataOffset` of the file.
static Result<StoredTensor> readEntry(const std::string &path,
                                      const std::string &key, const json &entry,
                                      std::span<const std::byte> data,
                                      uint64_t dataOffset) {
  if (!entry.is_object() || entry.size() != 3 || !entry.contains("dtype") ||
      !entry.contains("shape") || !entry.contains("data_offsets"))
    return fail(
        ErrorKind::BadInput,
        "{}: header entry '{}' must have dtype, shape and data_offsets, and no "
        "more",
        path, key);
  StoredTensor tensor;
  tensor.name = key;
  const json &spelled = entry["dtype"];
  auto type = spelled.is_string()
                  ? storedType(spelled.get_ref<const std::string &>())
                  : std::nullopt;
  if (!type)
    return fail(ErrorKind::BadInput, "{}: tensor '{}' has the unknown dtype {}",
                path, key,
                spelled.dump(-1, ' ', true, json::error_handler_t::replace));
  tensor.type = *type;

  auto shape = numbers(entry["shape"]);
  auto offsets = numbers(entry["data_offsets"]);
  if (!shape || !offsets || offsets->size() != 2)
    return fail(ErrorKind::BadInput,
                "{}: tensor '{}': shape and data_offsets must be lists of "
                "whole numbers",
                path, key);
  tensor.shape = *shape;

  auto [begin, end] = std::pair((*offsets)[0], (*offsets)[1]);
  if (begin > end || end > data.size())
    return fail(ErrorKind::BadInput,
                "{}: tensor '{}' lies at data bytes {} to {}, but the file "
                "ends at data "
                "byte {} (byte {} of the file): truncated?",
                path, key, begin, end, data.size(), dataOffset + data.size());
  auto count = elementCount(tensor.shape);
  uint64_t bytes;
  if (!count ||
      __builtin_mul_overflow(*count, byteWidth(tensor.type), &bytes) ||
      bytes != end - begin)
    return fail(ErrorKind::BadInput,
                "{}: tensor '{}' at byte {}: {} {} does not fill its {} bytes",
                path, key, dataOffset + begin, name(tensor.type),
                formatShape(tensor.shape), end - begin);
  tensor.bytes = data.subspan(begin, end - begin);
  return tensor;
}

/// The tensors must cover the data exactly, each byte once.
static Result<void> checkCover(const std::string &path,
                               std::span<const StoredTensor> tensors,
                               std::span<const std::byte> data,
                               uint64_t dataOffset) {
  std::vector<const StoredTensor *> order;
  for (const StoredTensor &tensor : tensors)
    order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const auto *a, const auto *b) {
    return std::pair(a->bytes.data(), a->bytes.size()) <
           std::pair(b->bytes.data(), b->bytes.size());
  });
  const std::byte *covered = data.data();
  for (const StoredTensor *tensor : order) {
    if (tensor->bytes.data() != covered)
      return fail(
          ErrorKind::BadInput, "{}: tensor '{}' begins at byte {}, {} byte {}",
          path, tensor->name, dataOffset + (tensor->bytes.data() - data.data()),
          tensor->bytes.data() < covered ? "inside the one that ends at"
                                         : "after a gap from",
          dataOffset + (covered - data.data()));
    covered += tensor->bytes.size();
  }
  if (covered != data.data() + data.size())
    return fail(ErrorKind::BadInput,
                "{}: {} bytes from byte {} on belong to no tensor", path,
                data.size() - (covered - data.data()),
                dataOffset + (covered - data.data()));
  return {};
}

Result<Safetensors> Safetensors::parse(std::span<const std::byte> bytes,
                                       const std::string &path) {
  if (bytes.size() < lengthBytes)
    return fail(
        ErrorKind::BadInput,
        "{}: {} bytes are no safetensors file: the header length takes 8", path,
        bytes.size());
  uint64_t length;
  std::memcpy(&length, bytes.data(), lengthBytes);
  if (length > largestHeader || length > bytes.size() - lengthBytes)
    return fail(ErrorKind::BadInput,
                "{}: byte 0 says that the header has {} bytes, but {} follow: "
                "truncated, "
                "or no safetensors file",
                path, length, bytes.size() - lengthBytes);

  std::string_view text(
      reinterpret_cast<const char *>(bytes.data()) + lengthBytes, length);
  std::span<const std::byte> data = bytes.subspan(lengthBytes + length);
  uint64_t dataOffset = lengthBytes + length;

  // The parser keeps the last of two equal keys, so they are counted beside it.
  std::set<std::string> keys;
  std::string twice;
  auto watch = [&](int depth, json::parse_event_t event, json &value) {
    if (event == json::parse_event_t::key && depth == 1 &&
        !keys.insert(value.get<std::string>()).second)
      twice = value.get<std::string>();
    return true;
  };
  json header;
  try {
    header = json::parse(text, watch);
  } catch (const json::parse_error &error) {
    return fail(ErrorKind::BadInput, "{}: byte {}: the header is no JSON", path,
                lengthBytes + (error.byte == 0 ? 0 : error.byte - 1));
  }
  if (!twice.empty())
    return fail(ErrorKind::BadInput, "{}: the header names '{}' twice", path,
                twice);
  if (!header.is_object())
    return fail(ErrorKind::BadInput, "{}: byte 8: the header is no JSON object",
                path);

  Safetensors result;
  result.filePath = path;
  for (const auto &[key, entry] : header.items()) {
    if (key == "__metadata__") {
      if (!entry.is_object())
        return fail(ErrorKind::BadInput, "{}: __metadata__ is no JSON object",
                    path);
      for (const auto &[name, value] : entry.items()) {
        if (!value.is_string())
          return fail(ErrorKind::BadInput, "{}: __metadata__ '{}' is no string",
                      path, name);
        result.notes[name] = value.get<std::string>();
      }
      continue;
    }
    BB_ASSIGN(StoredTensor tensor,
              readEntry(path, key, entry, data, dataOffset));
    result.entries.push_back(std::move(tensor));
  }
  BB_TRY(checkCover(path, result.entries, data, dataOffset));
  return result;
}

Result<Safetensors> Safetensors::open(const std::string &path) {
  BB_ASSIGN(auto file, MappedFile::open(path));
  BB_ASSIGN(Safetensors result, parse(file->bytes(), path));
  result.file = std::move(file);
  return result;
}

const StoredTensor *Safetensors::find(std::string_view name) const {
  auto found =
      std::lower_bound(entries.begin(), entries.end(), name,
                       [](const StoredTensor &tensor, std::string_view key) {
                         return tensor.name < key;
                       });
  return found != entries.end() && found->name == name ? &*found : nullptr;
}

//===----------------------------------------------------------------------===//
// Writer
//===----------------------------------------------------------------------===//

void SafetensorsWriter::add(std::string name, StoredType type,
                            std::vector<uint64_t> shape,
                            std::span<const std::byte> bytes) {
  entries.push_back({{std::move(name), type, std::move(shape), bytes}, {}});
}

void SafetensorsWriter::add(std::string name, StoredType type,
                            std::vector<uint64_t> shape, Source source) {
  entries.push_back(
      {{std::move(name), type, std::move(shape), {}}, std::move(source)});
}

void SafetensorsWriter::add(std::string name, std::vector<uint64_t> shape,
                            std::vector<float> values) {
  owned.push_back(std::move(values));
  add(std::move(name), StoredType::f32, std::move(shape),
      std::as_bytes(std::span(owned.back())));
}

void SafetensorsWriter::note(std::string key, std::string value) {
  notes[std::move(key)] = std::move(value);
}

Result<void> SafetensorsWriter::write(const std::string &path) const {
  // Wide types first, then by name: every tensor is aligned to its type.
  std::vector<const Entry *> order;
  for (const Entry &entry : entries)
    order.push_back(&entry);
  std::sort(order.begin(), order.end(), [](const auto *x, const auto *y) {
    const StoredTensor &a = x->tensor, &b = y->tensor;
    uint64_t wide = byteWidth(a.type), other = byteWidth(b.type);
    return wide != other ? wide > other : a.name < b.name;
  });
  auto misfit = [&](const StoredTensor &tensor, uint64_t bytes) {
    return fail(ErrorKind::Failed, "{}: tensor '{}': {} {} is not {} bytes",
                path, tensor.name, name(tensor.type), formatShape(tensor.shape),
                bytes);
  };

  json header = json::object();
  if (!notes.empty())
    header["__metadata__"] = notes;
  uint64_t offset = 0;
  for (const Entry *entry : order) {
    const StoredTensor &tensor = entry->tensor;
    auto count = elementCount(tensor.shape);
    if (!count)
      return misfit(tensor, tensor.bytes.size());
    uint64_t bytes = *count * byteWidth(tensor.type);
    if (!entry->source && bytes != tensor.bytes.size())
      return misfit(tensor, tensor.bytes.size());
    if (header.contains(tensor.name))
      return fail(ErrorKind::Failed, "{}: two tensors are called '{}'", path,
                  tensor.name);
    header[tensor.name] = {{"dtype", name(tensor.type)},
                           {"shape", tensor.shape},
                           {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  std::string text =
      header.dump(-1, ' ', false, json::error_handler_t::replace);
  while ((lengthBytes + text.size()) % 64 != 0)
    text += ' ';

  BB_ASSIGN(AtomicFile file, AtomicFile::create(path));
  uint64_t length = text.size();
  BB_TRY(file.write(std::as_bytes(std::span(&length, 1))));
  BB_TRY(file.write(text));
  for (const Entry *entry : order) {
    if (!entry->source) {
      BB_TRY(file.write(entry->tensor.bytes));
      continue;
    }
    BB_ASSIGN(std::vector<std::byte> bytes, entry->source());
    auto count = elementCount(entry->tensor.shape);
    if (bytes.size() != *count * byteWidth(entry->tensor.type))
      return misfit(entry->tensor, bytes.size());
    BB_TRY(file.write(bytes));
  }
  return file.commit();
}

} // namespace bitbyte
