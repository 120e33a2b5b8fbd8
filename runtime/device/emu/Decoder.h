//===- Decoder.h - From one statement to one decoded instruction ----------===//
#pragma once

#include "runtime/device/emu/Lexer.h"
#include "runtime/device/emu/Program.h"
#include "runtime/device/emu/Types.h"

#include <initializer_list>
#include <optional>
#include <span>
#include <unordered_map>

namespace bitbyte::emu {

/// The value of a number, with a minus before it or not: an integer, or the
/// bits of 0fXXXXXXXX and 0dXXXXXXXXXXXXXXXX; a decimal fraction as the bits of
/// a float of `bits` bits.
std::optional<uint64_t> numberOf(std::span<const Token> tokens, unsigned bits);

/// The names and slots of a kernel while it is read. The first error stays.
class Builder {
public:
  struct Register {
    uint32_t slot;
    uint16_t bits; ///< 1 for a predicate.
  };
  struct Symbol {
    Space space;
    uint64_t address;     ///< In its space; of a global, in memory.
    bool dynamic = false; ///< The extern shared array: behind all others.
  };
  struct Scope {
    std::map<std::string, Register, std::less<>> registers;
    std::map<std::string, uint32_t, std::less<>> labels;
    std::map<std::string, Symbol, std::less<>> symbols;
    size_t parent = ~size_t(0);
  };

  Builder(Module &module, Kernel &kernel);

  void error(uint32_t line, const std::string &what, std::string_view found);
  bool failed() const { return !message.empty(); }
  const std::string &errorMessage() const { return message; }

  const Register *findRegister(std::string_view name) const;
  const Symbol *findSymbol(std::string_view name) const;
  /// The scope's label, or that of a scope around it; `nowhere` if none.
  uint32_t findLabel(size_t scope, std::string_view name) const;

  void declareRegister(uint32_t line, std::string_view name, unsigned bits);
  /// A `dynamic` one counts from the start of the extern shared array.
  uint32_t constant(uint64_t value, bool wide, bool dynamic = false);
  /// The value of a slot that is a constant.
  std::optional<uint64_t> constantOf(uint32_t slot) const;
  std::optional<uint32_t> special(std::string_view name, bool wide);
  /// Where results go that nobody wants.
  uint32_t sink(bool predicate);

  Module &module;
  Kernel &kernel;
  std::vector<Scope> scopes; ///< All of them; they never go away.
  size_t scope = 0;          ///< The innermost.
  uint32_t location = 0;

  struct Fixup {
    size_t op;
    bool inList; ///< kernel.lists[index], else the op's target.
    size_t index;
    size_t scope;
    std::string label;
    uint32_t line;
  };
  std::vector<Fixup> fixups;
  std::map<std::string, std::vector<std::string>, std::less<>> branchTargets;

private:
  uint32_t allocate(uint32_t bytes);

  std::string message;
  std::map<std::tuple<bool, bool, uint64_t>, uint32_t> constants;
  std::map<std::pair<bool, Special>, uint32_t> specials;
  uint32_t sinks[2] = {noSlot, noSlot};
};

/// One instruction: its name, the modifiers that nobody took yet, and its
/// operands, each a run of tokens.
class Decoder {
public:
  Decoder(Builder &builder, std::span<const Token> statement);

  /// Finds the instruction's decoder, and appends the op to the kernel.
  void decode();

  // What decoders of the families call.
  std::string_view name; ///< "mul" of mul.wide.u32
  Op op;
  Builder &builder;

  bool take(std::string_view modifier);
  bool takePrefix(std::string_view prefix, std::string_view &modifier);
  /// Drops the first modifier left.
  bool takeAny();
  int takeOneOf(std::initializer_list<std::string_view> modifiers);
  /// The first modifier left that names a type.
  Type takeType();
  std::string_view fullName() const { return opcode; }

  size_t operands() const { return parts.size(); }
  bool expect(size_t least, size_t most);
  bool expect(size_t count) { return expect(count, count); }

  /// Slots of operands; the type's size must be the register's.
  uint32_t read(size_t operand, unsigned bits);
  uint32_t write(size_t operand, unsigned bits);
  /// The same, but the register may be wider than `bits`: `wide` if it has
  /// 64-bit lanes.
  uint32_t readLoose(size_t operand, unsigned bits, bool &wide);
  uint32_t writeLoose(size_t operand, unsigned bits, bool &wide);
  /// Of a register operand; 0 for what is none.
  unsigned registerBits(size_t operand) const;
  uint32_t readPredicate(size_t operand);
  uint32_t writePredicate(size_t operand);
  bool isPredicate(size_t operand) const;
  bool isNegated(size_t operand) const;
  bool isVector(size_t operand) const;
  /// How many parts a vector in braces has.
  size_t vectorSize(size_t operand) const;
  bool isAddress(size_t operand) const;
  /// Whether the operand stands behind a bar: `%p1|%p2`.
  bool followsBar(size_t operand) const { return parts[operand].afterBar; }
  std::vector<uint32_t> readVector(size_t operand, unsigned bits);
  std::vector<uint32_t> writeVector(size_t operand, unsigned bits);
  /// The same for registers that may be wider, all alike.
  std::vector<uint32_t> readVectorLoose(size_t operand, unsigned bits,
                                        bool &wide);
  std::vector<uint32_t> writeVectorLoose(size_t operand, unsigned bits,
                                         bool &wide);
  /// The bits of the first register of a vector, 0 if it is none.
  unsigned widthOfFirst(size_t operand) const;
  Address address(size_t operand, Space space);
  /// [map, {coordinates}]
  Address tensorAddress(size_t operand, std::vector<uint32_t> &coordinates);
  std::optional<int64_t> number(size_t operand) const;
  int64_t needNumber(size_t operand);
  std::string_view label(size_t operand);

  /// Appends slots to the kernel's lists; `op.first` and `op.count` name them.
  void list(std::span<const uint32_t> slots);
  /// Takes an optional `.space` modifier, with `::cta` or `::cluster`.
  Space takeSpace();

  void refuse(const std::string &what);

private:
  struct Part {
    std::span<const Token> tokens;
    bool afterBar = false;
  };
  void split(std::span<const Token> tokens, std::vector<Part> &out);
  uint32_t slotOf(std::span<const Token> tokens, unsigned bits, bool write,
                  bool loose, bool *wide);
  std::vector<uint32_t> slotsOf(size_t operand, unsigned bits, bool write,
                                bool loose = false, bool *wide = nullptr);
  Address addressOf(std::span<const Token> tokens, Space space);
  std::string textOf(std::span<const Token> tokens) const;

  std::string_view opcode;
  std::vector<std::string_view> modifiers;
  std::vector<Part> parts;
  uint32_t line;
};

using DecodeFunction = void (*)(Decoder &);
using DecoderTable = std::unordered_map<std::string_view, DecodeFunction>;

void addInteger(DecoderTable &table);
void addFloat(DecoderTable &table);
void addConvert(DecoderTable &table);
void addPredicate(DecoderTable &table);
void addMove(DecoderTable &table);
void addMemory(DecoderTable &table);
void addAtomic(DecoderTable &table);
void addControl(DecoderTable &table);
void addShuffle(DecoderTable &table);
void addBarrier(DecoderTable &table);
void addAsyncCopy(DecoderTable &table);
void addMatrix(DecoderTable &table);
void addMbarrier(DecoderTable &table);
void addWarpgroup(DecoderTable &table);

} // namespace bitbyte::emu
