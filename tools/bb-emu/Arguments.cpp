#include "tools/bb-emu/Arguments.h"

#include "runtime/core/File.h"
#include "runtime/core/Float16.h"
#include "runtime/device/emu/TensorMap.h"

#include <charconv>
#include <cstring>
#include <fstream>
#include <iterator>

namespace bitbyte {

namespace {

struct TypeName {
  const char *name;
  uint64_t bytes;
  char kind; ///< u, s, f, b: bf16
};
constexpr TypeName types[] = {
    {"u8", 1, 'u'},  {"s8", 1, 's'},   {"u16", 2, 'u'}, {"s16", 2, 's'},
    {"u32", 4, 'u'}, {"s32", 4, 's'},  {"u64", 8, 'u'}, {"s64", 8, 's'},
    {"f16", 2, 'f'}, {"bf16", 2, 'b'}, {"f32", 4, 'f'}, {"f64", 8, 'f'}};

const TypeName *typeNamed(std::string_view name) {
  for (const TypeName &type : types)
    if (type.name == name)
      return &type;
  return nullptr;
}

template <class T>
bool readNumber(std::string_view text, T &value) {
  const char *end = text.data() + text.size();
  auto [last, problem] = std::from_chars(text.data(), end, value);
  return problem == std::errc() && last == end && !text.empty();
}

void store(std::byte *at, const TypeName &type, double value) {
  auto put = [&](auto bits) { std::memcpy(at, &bits, type.bytes); };
  if (type.kind == 'b')
    return put(floatToBf16(float(value)));
  if (type.kind == 'f') {
    if (type.bytes == 2)
      return put(floatToF16(float(value)));
    if (type.bytes == 4)
      return put(float(value));
    return put(value);
  }
  put(value < 0 ? uint64_t(int64_t(value)) : uint64_t(value));
}

/// Integers of 64 bits do not fit a double.
bool storeText(std::byte *at, const TypeName &type, std::string_view text) {
  if (type.kind == 'u' || type.kind == 's') {
    int64_t whole = 0;
    uint64_t natural = 0;
    if (readNumber(text, whole))
      natural = uint64_t(whole);
    else if (!readNumber(text, natural))
      return false;
    std::memcpy(at, &natural, type.bytes);
    return true;
  }
  double value = 0;
  if (!readNumber(text, value))
    return false;
  store(at, type, value);
  return true;
}

Result<std::vector<std::byte>> readAll(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  if (!file)
    return fail(ErrorKind::BadInput, "{}: cannot be read", path);
  std::vector<char> text((std::istreambuf_iterator<char>(file)), {});
  std::vector<std::byte> bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

Result<void> fillBuffer(Argument &argument, const TypeName &type,
                        std::string_view fill) {
  std::byte *data = argument.bytes.data();
  uint64_t count = argument.count();
  uint64_t seed = 1;
  if (fill.empty() || fill == "zero")
    return {};
  if (fill == "iota") {
    for (uint64_t i = 0; i < count; ++i)
      store(data + i * type.bytes, type, double(i));
    return {};
  }
  if (fill == "random" ||
      (fill.starts_with("random:") && readNumber(fill.substr(7), seed))) {
    emu::Dice dice{seed};
    for (uint64_t i = 0; i < count; ++i) {
      double unit = double(dice.next()) / 4294967296.0;
      bool real = type.kind == 'f' || type.kind == 'b';
      store(data + i * type.bytes, type,
            real ? 2 * unit - 1 : double(uint64_t(unit * 256)));
    }
    return {};
  }
  if (fill.starts_with("file:")) {
    std::string path(fill.substr(5));
    BB_ASSIGN(std::vector<std::byte> bytes, readAll(path));
    if (bytes.size() != argument.bytes.size())
      return fail(ErrorKind::BadInput, "{}: has {} bytes, the buffer {}", path,
                  bytes.size(), argument.bytes.size());
    argument.bytes = std::move(bytes);
    return {};
  }
  for (uint64_t i = 0; i < count; ++i)
    if (!storeText(data + i * type.bytes, type, fill))
      return fail(ErrorKind::Usage,
                  "'{}' is no filling: zero, iota, random, random:SEED, "
                  "file:PATH or a number",
                  fill);
  return {};
}

/// "64x32"; the product, or 0 if it is malformed or too large.
uint64_t readSizes(std::string_view text, std::vector<uint64_t> &sizes) {
  uint64_t count = 1;
  for (;;) {
    size_t by = text.find('x');
    uint64_t size = 0;
    if (!readNumber(text.substr(0, by), size) || size > (1u << 30) ||
        (count *= size) > (1u << 30))
      return 0;
    sizes.push_back(size);
    if (by == std::string_view::npos)
      return count;
    text.remove_prefix(by + 1);
  }
}

Result<Argument> parseMap(const std::string &text, std::string_view what) {
  Argument map;
  map.type = "map";
  size_t box = what.find(','), swizzle = what.find(',', box + 1);
  bool known = box != std::string_view::npos &&
               readNumber(what.substr(0, box), map.mapped) &&
               readSizes(what.substr(box + 1, swizzle - box - 1), map.sizes);
  if (known && swizzle != std::string_view::npos)
    known = readNumber(what.substr(swizzle + 1), map.swizzle) &&
            (map.swizzle == 0 || map.swizzle == 32 || map.swizzle == 64 ||
             map.swizzle == 128);
  if (!known || map.sizes.size() > 5)
    return fail(ErrorKind::Usage,
                "argument '{}': a tensor map is map=ARGUMENT,BOX[,SWIZZLE], as "
                "map=0,64x64,128",
                text);
  return map;
}

/// The map of a buffer that lies at `data`, dense and row-major.
Result<std::array<std::byte, 128>>
encode(const Argument &map, const Argument &buffer, const std::byte *data) {
  size_t rank = map.sizes.size();
  if (buffer.sizes.size() != rank)
    return fail(ErrorKind::Usage,
                "a box of {} sizes does not fit argument {} with {}", rank,
                map.mapped, buffer.sizes.size());
  emu::TensorMap made;
  made.rank = uint8_t(rank);
  made.elementBytes = uint8_t(buffer.elementBytes);
  made.swizzle = uint8_t(map.swizzle);
  made.base = reinterpret_cast<uint64_t>(data);
  uint64_t stride = buffer.elementBytes;
  for (size_t axis = 0; axis < rank; ++axis) {
    made.sizes[axis] = buffer.sizes[rank - 1 - axis];
    made.strides[axis] = stride;
    stride *= made.sizes[axis];
    made.box[axis] =
        uint16_t(std::min<uint64_t>(map.sizes[rank - 1 - axis], 0xffff));
  }
  return emu::encodeTensorMap(made);
}

} // namespace

Result<Argument> Argument::parse(const std::string &text) {
  size_t equals = text.find('='), bracket = text.find('[');
  std::string_view left = std::string_view(text).substr(0, equals);
  std::string_view right = equals == std::string::npos
                               ? std::string_view()
                               : std::string_view(text).substr(equals + 1);
  if (left == "map")
    return parseMap(text, right);
  const TypeName *type = typeNamed(left.substr(0, bracket));
  if (!type)
    return fail(ErrorKind::Usage,
                "argument '{}': '{}' is no type (u8 to s64, f16, bf16, f32, "
                "f64)",
                text, left.substr(0, bracket));
  Argument argument;
  argument.type = type->name;
  argument.elementBytes = type->bytes;
  if (bracket >= left.size()) {
    argument.bytes.resize(8);
    if (!storeText(argument.bytes.data(), *type, right))
      return fail(ErrorKind::Usage,
                  "argument '{}': a scalar is TYPE=NUMBER, a buffer "
                  "TYPE[COUNT]=FILLING",
                  text);
    return argument;
  }
  argument.buffer = true;
  std::string_view sizes = left.substr(bracket + 1);
  bool closed = !sizes.empty() && sizes.back() == ']';
  sizes.remove_suffix(closed ? 1 : 0);
  uint64_t count = closed ? readSizes(sizes, argument.sizes) : 0;
  if (!count)
    return fail(ErrorKind::Usage, "argument '{}': its size is malformed", text);
  argument.bytes.resize(count * type->bytes);
  BB_TRY(fillBuffer(argument, *type, right));
  return argument;
}

std::string Argument::element(uint64_t index) const {
  const TypeName &type2 = *typeNamed(type);
  const std::byte *at = bytes.data() + index * elementBytes;
  uint64_t bits = 0;
  std::memcpy(&bits, at, elementBytes);
  if (type2.kind == 'b')
    return fmt::format("{}", bf16ToFloat(uint16_t(bits)));
  if (type2.kind == 'f')
    return elementBytes == 2 ? fmt::format("{}", f16ToFloat(uint16_t(bits)))
           : elementBytes == 4
               ? fmt::format("{}", std::bit_cast<float>(uint32_t(bits)))
               : fmt::format("{}", std::bit_cast<double>(bits));
  if (type2.kind == 's')
    return fmt::format("{}", int64_t(bits << (64 - 8 * elementBytes)) >>
                                 (64 - 8 * elementBytes));
  return fmt::format("{}", bits);
}

Result<emu::Outcome> Call::run(const emu::Kernel &variant,
                               const emu::Options &options) {
  if (arguments.size() != variant.parameters.size())
    return fail(ErrorKind::Usage,
                "kernel '{}' takes {} arguments, {} were given", variant.name,
                variant.parameters.size(), arguments.size());
  std::vector<std::byte> parameters(variant.parameterBytes);
  emu::AddressSpace memory;
  // Buffers start at multiples of 256 bytes, like those of a device.
  std::vector<std::vector<std::byte>> aligned(arguments.size());
  std::vector<std::byte *> data(arguments.size());
  for (size_t i = 0; i < arguments.size(); ++i) {
    const emu::Parameter &parameter = variant.parameters[i];
    Argument &argument = arguments[i];
    uint64_t value = 0;
    if (argument.type == "map") {
      if (argument.mapped >= i || !arguments[argument.mapped].buffer)
        return fail(ErrorKind::Usage,
                    "argument {} maps argument {}, which is no buffer before "
                    "it",
                    i, argument.mapped);
      if (parameter.bytes != 128)
        return fail(ErrorKind::Usage,
                    "parameter '{}' has {} bytes: it takes no tensor map",
                    parameter.name, parameter.bytes);
      BB_ASSIGN(auto encoded, encode(argument, arguments[argument.mapped],
                                     data[argument.mapped]));
      std::memcpy(&parameters[parameter.offset], encoded.data(), 128);
      continue;
    }
    if (argument.buffer) {
      aligned[i].resize(argument.bytes.size() + 512);
      uint64_t start = reinterpret_cast<uint64_t>(aligned[i].data());
      data[i] = reinterpret_cast<std::byte *>((start + 255) & ~uint64_t(255));
      std::memcpy(data[i], argument.bytes.data(), argument.bytes.size());
      memory.add(data[i], argument.bytes.size());
      value = reinterpret_cast<uint64_t>(data[i]);
    } else {
      std::memcpy(&value, argument.bytes.data(), 8);
    }
    if (argument.buffer ? parameter.bytes != 8 : parameter.bytes > 8)
      return fail(ErrorKind::Usage,
                  "parameter '{}' has {} bytes: it takes no {}", parameter.name,
                  parameter.bytes, argument.buffer ? "buffer" : "number");
    std::memcpy(&parameters[parameter.offset], &value, parameter.bytes);
  }
  for (const auto &variable : variant.module->variables)
    memory.add(variable->storage.data(), variable->storage.size() * 8,
               variable->readOnly);
  emu::Grid grid{variant,
                 {blocks[0], blocks[1], blocks[2]},
                 {threads[0], threads[1], threads[2]},
                 sharedBytes,
                 parameters};
  BB_TRY(emu::checkGrid(grid));
  emu::Outcome outcome = emu::execute(grid, options, memory);
  for (size_t i = 0; i < arguments.size(); ++i)
    if (arguments[i].buffer)
      std::memcpy(arguments[i].bytes.data(), data[i],
                  arguments[i].bytes.size());
  return outcome;
}

} // namespace bitbyte
