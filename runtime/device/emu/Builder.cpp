//===- Builder.cpp - Names, slots and numbers of a kernel being read ------===//

#include "runtime/device/emu/Decoder.h"

#include <bit>
#include <charconv>

namespace bitbyte::emu {

//===----------------------------------------------------------------------===//
// Numbers
//===----------------------------------------------------------------------===//

/// An integer, or the bits of 0fXXXXXXXX and 0dXXXXXXXXXXXXXXXX; a decimal
/// fraction as the bits of a float of `bits` bits.
static std::optional<uint64_t> parseNumber(std::string_view text,
                                           unsigned bits) {
  auto digits = [&](size_t skip, int base) -> std::optional<uint64_t> {
    uint64_t value = 0;
    const char *end = text.data() + text.size();
    auto [last, error] = std::from_chars(text.data() + skip, end, value, base);
    if (error != std::errc() || last != end)
      return std::nullopt;
    return value;
  };
  if (text.empty())
    return std::nullopt;
  if (text.size() > 1 && text.back() == 'U')
    text.remove_suffix(1);
  if (text.size() > 2 && text[0] == '0') {
    char kind = text[1];
    if (kind == 'x' || kind == 'X')
      return digits(2, 16);
    if (kind == 'b' || kind == 'B')
      return digits(2, 2);
    if ((kind == 'f' || kind == 'F') && text.size() == 10)
      return digits(2, 16);
    if ((kind == 'd' || kind == 'D') && text.size() == 18)
      return digits(2, 16);
  }
  if (text.find('.') != std::string_view::npos) {
    double value = 0;
    const char *end = text.data() + text.size();
    auto [last, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || last != end)
      return std::nullopt;
    if (bits == 64)
      return std::bit_cast<uint64_t>(value);
    return std::bit_cast<uint32_t>(float(value));
  }
  if (text.size() > 1 && text[0] == '0')
    return digits(1, 8);
  return digits(0, 10);
}

std::optional<uint64_t> numberOf(std::span<const Token> tokens, unsigned bits) {
  bool minus = tokens.size() == 2 && tokens[0].is("-");
  if (tokens.size() != (minus ? 2u : 1u) ||
      tokens.back().kind != Token::Kind::Number)
    return std::nullopt;
  auto value = parseNumber(tokens.back().text, bits);
  if (value && minus) {
    std::string_view text = tokens.back().text;
    bool real = text.find('.') != std::string_view::npos;
    *value = real ? *value ^ (bits == 64 ? uint64_t(1) << 63 : 1u << 31)
                  : uint64_t(0) - *value;
  }
  return value;
}

//===----------------------------------------------------------------------===//
// Builder
//===----------------------------------------------------------------------===//

Builder::Builder(Module &module, Kernel &kernel)
    : module(module), kernel(kernel), scopes(1) {}

void Builder::error(uint32_t line, const std::string &what,
                    std::string_view found) {
  if (message.empty())
    message = fmt::format("{}:{}: {}; found '{}'", module.path, line, what,
                          found.empty() ? lineOf(module.text, line) : found);
}

uint32_t Builder::allocate(uint32_t bytes) {
  uint32_t align = bytes >= 64 ? 64 : bytes;
  uint32_t slot = (kernel.registerBytes + align - 1) / align * align;
  kernel.registerBytes = slot + bytes;
  return slot;
}

const Builder::Register *Builder::findRegister(std::string_view name) const {
  for (size_t at = scope; at != ~size_t(0); at = scopes[at].parent)
    if (auto found = scopes[at].registers.find(name);
        found != scopes[at].registers.end())
      return &found->second;
  return nullptr;
}

const Builder::Symbol *Builder::findSymbol(std::string_view name) const {
  for (size_t at = scope; at != ~size_t(0); at = scopes[at].parent)
    if (auto found = scopes[at].symbols.find(name);
        found != scopes[at].symbols.end())
      return &found->second;
  return nullptr;
}

uint32_t Builder::findLabel(size_t from, std::string_view name) const {
  for (size_t at = from; at != ~size_t(0); at = scopes[at].parent)
    if (auto found = scopes[at].labels.find(name);
        found != scopes[at].labels.end())
      return found->second;
  return nowhere;
}

void Builder::declareRegister(uint32_t line, std::string_view name,
                              unsigned bits) {
  // A warp of the largest kernels has some thousand registers.
  if (kernel.registerBytes > (uint32_t(8) << 20))
    return error(line, "more registers than the emulator holds (8 MiB a warp)",
                 name);
  uint32_t bytes = bits == 1 ? 4 : bits == 64 ? 256 : 128;
  Register made{allocate(bytes), uint16_t(bits)};
  if (!scopes[scope].registers.emplace(std::string(name), made).second)
    error(line, "register declared twice in one scope", name);
}

uint32_t Builder::constant(uint64_t value, bool wide, bool dynamic) {
  if (!wide)
    value = uint32_t(value);
  auto [entry, isNew] = constants.emplace(std::tuple(wide, dynamic, value), 0);
  if (isNew) {
    entry->second = allocate(wide ? 256 : 128);
    kernel.constants.push_back({entry->second, wide, dynamic, value});
  }
  return entry->second;
}

std::optional<uint32_t> Builder::special(std::string_view name, bool wide) {
  static const std::unordered_map<std::string_view, Special> names = {
      {"%tid.x", Special::TidX},
      {"%tid.y", Special::TidY},
      {"%tid.z", Special::TidZ},
      {"%ntid.x", Special::NtidX},
      {"%ntid.y", Special::NtidY},
      {"%ntid.z", Special::NtidZ},
      {"%ctaid.x", Special::CtaidX},
      {"%ctaid.y", Special::CtaidY},
      {"%ctaid.z", Special::CtaidZ},
      {"%nctaid.x", Special::NctaidX},
      {"%nctaid.y", Special::NctaidY},
      {"%nctaid.z", Special::NctaidZ},
      {"%laneid", Special::LaneId},
      {"%warpid", Special::WarpId},
      {"%nwarpid", Special::NwarpId},
      {"%smid", Special::SmId},
      {"%nsmid", Special::NsmId},
      {"%gridid", Special::GridId},
      {"%lanemask_eq", Special::LanemaskEq},
      {"%lanemask_le", Special::LanemaskLe},
      {"%lanemask_lt", Special::LanemaskLt},
      {"%lanemask_ge", Special::LanemaskGe},
      {"%lanemask_gt", Special::LanemaskGt},
      {"%clock", Special::Clock},
      {"%clock64", Special::Clock64},
      {"%globaltimer", Special::GlobalTimer},
      {"%dynamic_smem_size", Special::DynamicSharedSize},
      {"%total_smem_size", Special::TotalSharedSize},
      {"%cluster_ctarank", Special::ClusterCtaRank},
      {"%cluster_nctarank", Special::ClusterNctaRank}};
  auto found = names.find(name);
  if (found == names.end())
    return std::nullopt;
  auto [entry, isNew] = specials.emplace(std::pair(wide, found->second), 0);
  if (isNew) {
    entry->second = allocate(wide ? 256 : 128);
    kernel.specials.push_back({entry->second, wide, found->second});
  }
  return entry->second;
}

std::optional<uint64_t> Builder::constantOf(uint32_t slot) const {
  for (const Constant &constant : kernel.constants)
    if (constant.slot == slot && !constant.dynamic)
      return constant.value;
  return std::nullopt;
}

uint32_t Builder::sink(bool predicate) {
  uint32_t &slot = sinks[predicate];
  if (slot == noSlot)
    slot = allocate(predicate ? 4 : 256);
  return slot;
}

} // namespace bitbyte::emu
