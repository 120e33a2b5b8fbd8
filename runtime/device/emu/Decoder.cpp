#include "runtime/device/emu/Decoder.h"

#include <algorithm>

namespace bitbyte::emu {

static const DecoderTable &decoders() {
  static const DecoderTable table = [] {
    DecoderTable made;
    for (auto add : {addInteger, addFloat, addConvert, addPredicate, addMove,
                     addMemory, addAtomic, addControl, addShuffle, addBarrier,
                     addAsyncCopy, addMatrix, addMbarrier, addWarpgroup})
      add(made);
    return made;
  }();
  return table;
}

//===----------------------------------------------------------------------===//
// Statements
//===----------------------------------------------------------------------===//

Decoder::Decoder(Builder &builder, std::span<const Token> statement)
    : builder(builder), line(statement.front().line) {
  op.line = line;
  op.location = builder.location;
  op.firstUse = uint32_t(builder.kernel.uses.size());
  size_t at = 0;
  if (statement[0].is("@")) {
    at = 1;
    if (at < statement.size() && statement[at].is("!")) {
      op.guardNot = true;
      ++at;
    }
    const Builder::Register *guard =
        at < statement.size() ? builder.findRegister(statement[at].text)
                              : nullptr;
    if (!guard || guard->bits != 1) {
      refuse("the guard is no predicate register");
      return;
    }
    op.guard = guard->slot;
    ++at;
  }
  if (at >= statement.size() || statement[at].kind != Token::Kind::Word) {
    refuse("expected an instruction");
    return;
  }
  opcode = statement[at].text;
  size_t dot = opcode.find('.');
  name = opcode.substr(0, dot);
  while (dot != std::string_view::npos) {
    size_t end = opcode.find('.', dot + 1);
    modifiers.push_back(opcode.substr(dot + 1, end - dot - 1));
    dot = end;
  }
  if (at + 1 < statement.size())
    split(statement.subspan(at + 1), parts);
}

void Decoder::split(std::span<const Token> tokens, std::vector<Part> &out) {
  size_t start = 0;
  int depth = 0;
  bool afterBar = false;
  for (size_t i = 0; i <= tokens.size(); ++i) {
    bool end = i == tokens.size();
    if (!end && (tokens[i].is("{") || tokens[i].is("[") || tokens[i].is("(")))
      ++depth;
    if (!end && (tokens[i].is("}") || tokens[i].is("]") || tokens[i].is(")")))
      --depth;
    bool bar = !end && tokens[i].is("|");
    if (!end && (depth != 0 || !(tokens[i].is(",") || bar)))
      continue;
    if (i == start)
      return refuse("an operand is missing");
    out.push_back({tokens.subspan(start, i - start), afterBar});
    afterBar = bar;
    start = i + 1;
  }
}

void Decoder::decode() {
  if (builder.failed())
    return;
  auto found = decoders().find(name);
  if (found == decoders().end())
    return refuse(fmt::format("instruction '{}' is not known", opcode));
  found->second(*this);
  if (builder.failed())
    return;
  if (!modifiers.empty())
    return refuse(fmt::format("modifier '.{}' of '{}' is not known",
                              modifiers.front(), opcode));
  if (!op.run)
    return refuse(fmt::format("form '{}' is not known", opcode));
  op.synchronises = name == "bar" || name == "barrier" || name == "fence" ||
                    name == "membar" || name == "mbarrier" ||
                    opcode.find("commit_group") != std::string_view::npos ||
                    opcode.find("wait_") != std::string_view::npos ||
                    opcode.starts_with("wgmma.fence") ||
                    opcode.starts_with("cp.async.mbarrier");
  op.uses = uint32_t(builder.kernel.uses.size()) - op.firstUse;
  builder.kernel.ops.push_back(op);
}

void Decoder::refuse(const std::string &what) { builder.error(line, what, ""); }

bool Decoder::expect(size_t least, size_t most) {
  if (parts.size() >= least && parts.size() <= most)
    return true;
  refuse(fmt::format("'{}' takes {} operands, not {}", opcode,
                     least == most ? std::to_string(least)
                                   : fmt::format("{} to {}", least, most),
                     parts.size()));
  return false;
}

//===----------------------------------------------------------------------===//
// Modifiers
//===----------------------------------------------------------------------===//

bool Decoder::take(std::string_view modifier) {
  auto found = std::find(modifiers.begin(), modifiers.end(), modifier);
  if (found == modifiers.end())
    return false;
  modifiers.erase(found);
  return true;
}

bool Decoder::takePrefix(std::string_view prefix, std::string_view &modifier) {
  for (size_t i = 0; i < modifiers.size(); ++i)
    if (modifiers[i].starts_with(prefix)) {
      modifier = modifiers[i];
      modifiers.erase(modifiers.begin() + long(i));
      return true;
    }
  return false;
}

bool Decoder::takeAny() {
  if (modifiers.empty())
    return false;
  modifiers.erase(modifiers.begin());
  return true;
}

int Decoder::takeOneOf(std::initializer_list<std::string_view> names) {
  int index = 0;
  for (std::string_view candidate : names) {
    if (take(candidate))
      return index;
    ++index;
  }
  return -1;
}

Type Decoder::takeType() {
  for (size_t i = 0; i < modifiers.size(); ++i)
    if (Type type = typeNamed(modifiers[i]); type != Type::None) {
      modifiers.erase(modifiers.begin() + long(i));
      return type;
    }
  return Type::None;
}

Space Decoder::takeSpace() {
  if (takeOneOf({"shared", "shared::cta", "shared::cluster"}) >= 0)
    return Space::Shared;
  if (take("global"))
    return Space::Global;
  if (take("local"))
    return Space::Local;
  if (takeOneOf({"param", "param::entry"}) >= 0)
    return Space::Param;
  if (take("const"))
    return Space::Const;
  return Space::Generic;
}

//===----------------------------------------------------------------------===//
// Operands
//===----------------------------------------------------------------------===//

std::string Decoder::textOf(std::span<const Token> tokens) const {
  std::string text;
  for (const Token &token : tokens)
    text += token.text;
  return text;
}

uint32_t Decoder::slotOf(std::span<const Token> tokens, unsigned bits,
                         bool write, bool loose, bool *wide) {
  bool wantWide = bits == 64;
  if (wide)
    *wide = wantWide;
  std::string_view word =
      tokens[0].kind == Token::Kind::Word ? tokens[0].text : std::string_view();
  if (tokens.size() == 1 && !word.empty()) {
    if (word == "_")
      return builder.sink(bits == 1);
    if (const Builder::Register *found = builder.findRegister(word)) {
      bool fits = loose ? found->bits != 1 && bits != 1 && found->bits >= bits
                        : found->bits == bits;
      // 8-bit values live in registers of 16 bits and more.
      if (!loose && bits == 8)
        fits = found->bits == 16 || found->bits == 32 || found->bits == 8;
      if (!fits)
        refuse(fmt::format("operand '{}' of '{}' has {} bits, not {}", word,
                           opcode, found->bits, bits));
      if (wide)
        *wide = found->bits == 64;
      builder.kernel.uses.push_back(found->slot);
      return found->slot;
    }
    if (write) {
      refuse(fmt::format("'{}' is no register", word));
      return 0;
    }
    if (bits == 1) {
      refuse(fmt::format("'{}' is no predicate register", word));
      return 0;
    }
    if (auto special = builder.special(word, wantWide))
      return *special;
    if (word == "WARP_SZ")
      return builder.constant(32, wantWide);
  }
  if (write) {
    refuse(fmt::format("'{}' is no register", textOf(tokens)));
    return 0;
  }
  if (auto value = numberOf(tokens, bits)) {
    if (bits == 1)
      return builder.constant(*value ? ~uint64_t(0) : 0, false);
    if (bits < 32)
      *value &= (uint64_t(1) << bits) - 1;
    return builder.constant(*value, wantWide);
  }
  if (!word.empty())
    if (const Builder::Symbol *symbol = builder.findSymbol(word)) {
      // The address in the variable's own space; cvta makes it generic.
      uint64_t value = symbol->address;
      if (tokens.size() == 1)
        return builder.constant(value, wantWide, symbol->dynamic);
      bool minus = tokens[1].is("-");
      if (tokens.size() >= 3 && (minus || tokens[1].is("+")))
        if (auto offset = numberOf(tokens.subspan(2), 64))
          return builder.constant(minus ? value - *offset : value + *offset,
                                  wantWide, symbol->dynamic);
    }
  refuse(fmt::format("operand '{}' is not declared", textOf(tokens)));
  return 0;
}

uint32_t Decoder::read(size_t operand, unsigned bits) {
  return slotOf(parts[operand].tokens, bits, false, false, nullptr);
}
uint32_t Decoder::write(size_t operand, unsigned bits) {
  return slotOf(parts[operand].tokens, bits, true, false, nullptr);
}
uint32_t Decoder::readLoose(size_t operand, unsigned bits, bool &wide) {
  return slotOf(parts[operand].tokens, bits, false, true, &wide);
}
uint32_t Decoder::writeLoose(size_t operand, unsigned bits, bool &wide) {
  return slotOf(parts[operand].tokens, bits, true, true, &wide);
}
unsigned Decoder::registerBits(size_t operand) const {
  std::span<const Token> tokens = parts[operand].tokens;
  const Builder::Register *found = builder.findRegister(tokens[0].text);
  return tokens.size() == 1 && found ? found->bits : 0;
}
uint32_t Decoder::readPredicate(size_t operand) {
  std::span<const Token> tokens = parts[operand].tokens;
  if (tokens.size() > 1 && tokens[0].is("!"))
    tokens = tokens.subspan(1);
  return slotOf(tokens, 1, false, false, nullptr);
}
uint32_t Decoder::writePredicate(size_t operand) {
  return slotOf(parts[operand].tokens, 1, true, false, nullptr);
}

bool Decoder::isPredicate(size_t operand) const {
  std::span<const Token> tokens = parts[operand].tokens;
  if (tokens.size() > 1 && tokens[0].is("!"))
    tokens = tokens.subspan(1);
  const Builder::Register *found = builder.findRegister(tokens[0].text);
  return found && found->bits == 1;
}
bool Decoder::isNegated(size_t operand) const {
  return parts[operand].tokens[0].is("!");
}
bool Decoder::isVector(size_t operand) const {
  return parts[operand].tokens[0].is("{");
}
bool Decoder::isAddress(size_t operand) const {
  return parts[operand].tokens[0].is("[");
}

size_t Decoder::vectorSize(size_t operand) const {
  std::span<const Token> tokens = parts[operand].tokens;
  if (!tokens[0].is("{"))
    return 1;
  return 1 + size_t(std::count_if(tokens.begin(), tokens.end(),
                                  [](const Token &t) { return t.is(","); }));
}

std::vector<uint32_t> Decoder::slotsOf(size_t operand, unsigned bits,
                                       bool write, bool loose, bool *wide) {
  std::span<const Token> tokens = parts[operand].tokens;
  if (!tokens[0].is("{"))
    return {slotOf(tokens, bits, write, loose, wide)};
  std::vector<Part> members;
  if (tokens.size() < 3 || !tokens.back().is("}"))
    refuse("a vector lacks its closing brace");
  else
    split(tokens.subspan(1, tokens.size() - 2), members);
  std::vector<uint32_t> slots;
  bool first = true, firstWide = false;
  for (const Part &member : members) {
    bool memberWide = false;
    slots.push_back(slotOf(member.tokens, bits, write, loose, &memberWide));
    // `_` and immediates are as wide as the type; 256 bytes fit both.
    if (member.tokens[0].is("_"))
      continue;
    if (first)
      firstWide = memberWide;
    else if (memberWide != firstWide)
      refuse("the registers of a vector differ in size");
    first = false;
  }
  if (wide)
    *wide = first ? bits == 64 : firstWide;
  return slots;
}

std::vector<uint32_t> Decoder::readVector(size_t operand, unsigned bits) {
  return slotsOf(operand, bits, false);
}
std::vector<uint32_t> Decoder::writeVector(size_t operand, unsigned bits) {
  return slotsOf(operand, bits, true);
}
std::vector<uint32_t> Decoder::readVectorLoose(size_t operand, unsigned bits,
                                               bool &wide) {
  return slotsOf(operand, bits, false, true, &wide);
}
std::vector<uint32_t> Decoder::writeVectorLoose(size_t operand, unsigned bits,
                                                bool &wide) {
  return slotsOf(operand, bits, true, true, &wide);
}

unsigned Decoder::widthOfFirst(size_t operand) const {
  std::span<const Token> tokens = parts[operand].tokens;
  size_t at = tokens[0].is("{") ? 1 : 0;
  const Builder::Register *found =
      at < tokens.size() ? builder.findRegister(tokens[at].text) : nullptr;
  return found ? found->bits : 0;
}

Address Decoder::addressOf(std::span<const Token> tokens, Space space) {
  Address address;
  address.space = space;
  if (tokens.empty()) {
    refuse("an address is empty");
    return address;
  }
  std::string_view base = tokens[0].text;
  std::span<const Token> rest = tokens.subspan(1);
  if (const Builder::Register *found = builder.findRegister(base)) {
    if (found->bits != 32 && found->bits != 64)
      refuse(
          fmt::format("address register '{}' has {} bits", base, found->bits));
    address.slot = found->slot;
    address.narrow = found->bits == 32;
    builder.kernel.uses.push_back(found->slot);
  } else if (const Builder::Symbol *symbol = builder.findSymbol(base)) {
    bool same = symbol->space == space || space == Space::Generic ||
                (symbol->space == Space::Const && space == Space::Global);
    if (!same)
      refuse(fmt::format("'{}' lies in another space than '{}' reaches", base,
                         opcode));
    uint64_t value = symbol->address;
    if (space == Space::Generic)
      value += symbol->space == Space::Shared  ? sharedWindow
               : symbol->space == Space::Local ? localWindow
               : symbol->space == Space::Param ? paramWindow
                                               : 0;
    address.slot = builder.constant(value, true, symbol->dynamic);
  } else if (auto value = numberOf(tokens, 64)) {
    address.slot = builder.constant(*value, true);
    return address;
  } else {
    refuse(fmt::format("address '{}' is not declared", textOf(tokens)));
    return address;
  }
  if (rest.empty())
    return address;
  bool minus = rest[0].is("-");
  auto offset = rest.size() > 1 ? numberOf(rest.subspan(1), 64) : std::nullopt;
  if (!offset || !(minus || rest[0].is("+")))
    refuse(fmt::format("address '{}' is malformed", textOf(tokens)));
  else
    address.offset = int64_t(minus ? 0 - *offset : *offset);
  return address;
}

Address Decoder::address(size_t operand, Space space) {
  std::span<const Token> tokens = parts[operand].tokens;
  if (tokens.size() < 3 || !tokens[0].is("[") || !tokens.back().is("]")) {
    refuse(fmt::format("'{}' is no address in brackets", textOf(tokens)));
    return {};
  }
  return addressOf(tokens.subspan(1, tokens.size() - 2), space);
}

Address Decoder::tensorAddress(size_t operand,
                               std::vector<uint32_t> &coordinates) {
  std::span<const Token> tokens = parts[operand].tokens;
  std::vector<Part> members;
  if (tokens.size() > 2 && tokens[0].is("[") && tokens.back().is("]"))
    split(tokens.subspan(1, tokens.size() - 2), members);
  if (members.size() != 2 || !members[1].tokens[0].is("{") ||
      members[1].tokens.size() < 3) {
    refuse(fmt::format("'{}' is no [map, {{coordinates}}]", textOf(tokens)));
    return {};
  }
  std::vector<Part> axes;
  split(members[1].tokens.subspan(1, members[1].tokens.size() - 2), axes);
  for (const Part &axis : axes)
    coordinates.push_back(slotOf(axis.tokens, 32, false, false, nullptr));
  return addressOf(members[0].tokens, Space::Generic);
}

std::optional<int64_t> Decoder::number(size_t operand) const {
  auto value = numberOf(parts[operand].tokens, 64);
  return value ? std::optional(int64_t(*value)) : std::nullopt;
}

int64_t Decoder::needNumber(size_t operand) {
  if (auto value = number(operand))
    return *value;
  refuse(fmt::format("operand '{}' of '{}' is no number",
                     textOf(parts[operand].tokens), opcode));
  return 0;
}

std::string_view Decoder::label(size_t operand) {
  std::span<const Token> tokens = parts[operand].tokens;
  if (tokens.size() == 1 && tokens[0].kind == Token::Kind::Word)
    return tokens[0].text;
  refuse(fmt::format("'{}' is no label", textOf(tokens)));
  return {};
}

void Decoder::list(std::span<const uint32_t> slots) {
  std::vector<uint32_t> &lists = builder.kernel.lists;
  op.first = uint32_t(lists.size());
  op.count = uint32_t(slots.size());
  lists.insert(lists.end(), slots.begin(), slots.end());
}

} // namespace bitbyte::emu
