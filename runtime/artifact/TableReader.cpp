#include "runtime/artifact/TableReader.h"

#include "runtime/core/Safetensors.h"

#include <algorithm>
#include <cmath>

namespace bitbyte {

bool overlap(const Buffer &a, const Buffer &b) {
  return a.space == b.space && a.bytes && b.bytes &&
         a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
}

Error TableReader::badInput(const void *where, std::string message) const {
  return {ErrorKind::BadInput,
          fmt::format("{}: byte {}: {}", artifact.path,
                      static_cast<const std::byte *>(where) - file.data(),
                      message)};
}

/// Names go to terminals, file names and symbol tables: nothing unprintable.
Result<std::string> TableReader::readName(const void *where,
                                          const flatbuffers::String *text,
                                          std::string_view what) const {
  if (!text || text->size() == 0)
    return bad(where, "{} is empty", what);
  for (unsigned char c : text->string_view())
    if (c < 0x20 || c == 0x7f)
      return bad(text, "{} contains the byte {:#04x}", what, int(c));
  return text->str();
}

Result<DType> TableReader::readType(const void *where, fb::DType type) const {
  if (type > fb::DType::MAX)
    return bad(where, "element type {} is unknown", int(type));
  return DType(type);
}

Result<Buffer> TableReader::readBuffer(const void *where,
                                       const fb::Buffer *table) const {
  if (!table)
    return bad(where, "a buffer is missing");
  if (table->space() > fb::Space::MAX)
    return bad(table, "space {} is unknown", int(table->space()));
  if (table->offset() > largestSpace || table->bytes() > largestSpace)
    return bad(table, "a buffer of {} bytes at {} fits in no space",
               table->bytes(), table->offset());
  return Buffer{Space(table->space()), table->offset(), table->bytes()};
}

Result<std::vector<uint64_t>>
TableReader::readShape(const void *where,
                       const flatbuffers::Vector<uint64_t> *sizes, DType type,
                       uint64_t bytes) const {
  std::vector<uint64_t> shape = numbersOf(sizes);
  auto count = elementCount(shape);
  uint64_t needed;
  if (!count ||
      __builtin_mul_overflow(*count, uint64_t(byteWidth(type)), &needed) ||
      needed != bytes)
    return bad(where, "{}{} does not fill its buffer of {} bytes", name(type),
               formatShape(shape), bytes);
  return shape;
}

Result<std::vector<std::pair<std::string, std::string>>>
TableReader::readPairs(const Tables<fb::NameValue> *table) const {
  std::vector<std::pair<std::string, std::string>> pairs;
  if (!table)
    return pairs;
  std::set<std::string> names;
  for (const fb::NameValue *pair : *table) {
    BB_ASSIGN(std::string key, readName(pair, pair->name(), "a name"));
    if (!names.insert(key).second)
      return bad(pair, "'{}' is given twice", key);
    pairs.emplace_back(key, pair->value()->str());
  }
  return pairs;
}

//===----------------------------------------------------------------------===//
// States
//===----------------------------------------------------------------------===//

static Space spaceOf(StateKind kind) {
  switch (kind) {
  case StateKind::parameter:
    return Space::parameters;
  case StateKind::gradient:
  case StateKind::moment:
  case StateKind::counter:
    return Space::training;
  case StateKind::derived:
    return Space::derived;
  case StateKind::cache:
    return Space::cache;
  }
  return Space::arena;
}

Result<std::optional<Init>> TableReader::readInit(const void *where,
                                                  const fb::Init *table) const {
  if (!table)
    return std::nullopt;
  if (table->kind() > fb::InitKind::MAX)
    return bad(where, "init {} is unknown", int(table->kind()));
  if (!std::isfinite(table->a()) || !std::isfinite(table->b()))
    return bad(where, "an init has a number that is not finite");
  return Init{InitKind(table->kind()), table->a(), table->b()};
}

Result<State> TableReader::readState(const fb::State &table) const {
  State state;
  BB_ASSIGN(state.name, readName(&table, table.name(), "a state's name"));
  BB_ASSIGN(state.dtype, readType(&table, table.dtype()));
  BB_ASSIGN(state.buffer, readBuffer(&table, table.buffer()));
  BB_ASSIGN(state.shape,
            readShape(&table, table.shape(), state.dtype, state.buffer.bytes));
  if (table.kind() > fb::StateKind::MAX)
    return bad(&table, "state '{}': kind {} is unknown", state.name,
               int(table.kind()));
  state.kind = StateKind(table.kind());
  if (state.buffer.space != spaceOf(state.kind))
    return bad(&table, "state '{}' lies in a space of another kind",
               state.name);
  if (state.buffer.offset % bufferAlignment != 0)
    return bad(&table, "state '{}' begins at {}, no multiple of {}", state.name,
               state.buffer.offset, bufferAlignment);
  if (table.group() && table.group()->size() != 0) {
    BB_ASSIGN(state.group, readName(&table, table.group(), "a group"));
  }
  state.sliceOf = table.slice_of();
  BB_ASSIGN(state.init, readInit(&table, table.init()));
  if (state.init && state.kind != StateKind::parameter)
    return bad(&table, "state '{}' has an init but is no parameter",
               state.name);
  state.saved = table.saved();
  return state;
}

Result<std::vector<State>>
TableReader::readStates(const Tables<fb::State> *table,
                        std::set<std::string> &names) const {
  std::vector<State> states;
  if (!table)
    return states;
  for (const fb::State *entry : *table) {
    BB_ASSIGN(State state, readState(*entry));
    if (!names.insert(state.name).second)
      return bad(entry, "two states are called '{}'", state.name);
    states.push_back(std::move(state));
  }
  BB_TRY(checkSlices(table, states));
  return states;
}

/// Slices lie inside their flat states; beside that no two states overlap.
Result<void> TableReader::checkSlices(const Tables<fb::State> *table,
                                      std::span<const State> states) const {
  std::vector<size_t> order; // by parent, then place
  for (size_t i = 0; i < states.size(); ++i) {
    const State &state = states[i];
    const void *where = table->Get(unsigned(i));
    order.push_back(i);
    if (state.sliceOf == -1)
      continue;
    if (state.sliceOf < 0 || size_t(state.sliceOf) >= states.size() ||
        states[size_t(state.sliceOf)].sliceOf != -1)
      return bad(where, "state '{}' is a slice of {}, which is no flat state",
                 state.name, state.sliceOf);
    const State &flat = states[size_t(state.sliceOf)];
    const Buffer &inner = state.buffer, &outer = flat.buffer;
    if (state.kind != flat.kind || state.dtype != flat.dtype ||
        inner.offset < outer.offset ||
        inner.offset + inner.bytes > outer.offset + outer.bytes)
      return bad(where, "slice '{}' is not inside '{}'", state.name, flat.name);
  }
  auto key = [&](size_t i) {
    const State &state = states[i];
    return std::tuple(state.sliceOf, state.buffer.space, state.buffer.offset,
                      state.buffer.bytes);
  };
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return key(a) < key(b); });
  for (size_t i = 1; i < order.size(); ++i) {
    const State &before = states[order[i - 1]], &state = states[order[i]];
    if (before.sliceOf == state.sliceOf && overlap(before.buffer, state.buffer))
      return bad(table->Get(unsigned(order[i])), "states '{}' and '{}' overlap",
                 before.name, state.name);
  }
  return {};
}

//===----------------------------------------------------------------------===//
// The rest of what variants share
//===----------------------------------------------------------------------===//

Result<ImportRule> TableReader::readRule(const fb::ImportRule &table) const {
  ImportRule rule;
  rule.ignore = table.ignore();
  rule.transpose = table.transpose();
  if (table.pattern() && table.pattern()->size() != 0) {
    BB_ASSIGN(rule.pattern, readName(&table, table.pattern(), "a pattern"));
  }
  if (table.names())
    for (const flatbuffers::String *text : *table.names()) {
      BB_ASSIGN(std::string name, readName(&table, text, "a name on disk"));
      rule.names.push_back(std::move(name));
    }
  rule.reshape = numbersOf(table.reshape());

  if (rule.ignore != rule.pattern.empty() ||
      (rule.ignore && rule.names.empty()))
    return bad(&table, "an import rule needs a pattern, or names to ignore");
  auto stars = [](std::string_view text) {
    return std::count(text.begin(), text.end(), '*');
  };
  for (const std::string &name : rule.names)
    if (!rule.ignore && stars(name) != stars(rule.pattern))
      return bad(&table,
                 "import rule: '{}' and '{}' have different numbers of *",
                 rule.pattern, name);
  if (std::count(rule.reshape.begin(), rule.reshape.end(), -1) > 1 ||
      std::any_of(rule.reshape.begin(), rule.reshape.end(),
                  [](int64_t size) { return size < -1 || size == 0; }))
    return bad(&table, "import rule '{}': [{}] is no shape", rule.pattern,
               fmt::join(rule.reshape, ", "));
  return rule;
}

Result<void> TableReader::read(const fb::Artifact &table) {
  BB_ASSIGN(artifact.compiler,
            readName(&table, table.compiler(), "the compiler"));
  BB_ASSIGN(artifact.model,
            readName(&table, table.model(), "the model's name"));
  BB_ASSIGN(artifact.computeType,
            readName(&table, table.compute_type(), "the compute type"));
  BB_ASSIGN(artifact.sourceHash,
            readName(&table, table.source_hash(), "the source hash"));
  BB_ASSIGN(artifact.config, readPairs(table.config()));
  BB_ASSIGN(artifact.defaults, readPairs(table.defaults()));
  if (table.programs_asked())
    for (const flatbuffers::String *text : *table.programs_asked()) {
      BB_ASSIGN(std::string name,
                readName(&table, text, "a program asked for"));
      artifact.programsAsked.push_back(std::move(name));
    }

  std::set<std::string> names;
  BB_ASSIGN(artifact.states, readStates(table.states(), names));
  for (size_t i = 0; i < artifact.states.size(); ++i)
    if (artifact.states[i].kind == StateKind::derived)
      return bad(table.states()->Get(unsigned(i)),
                 "derived state '{}' stands outside a variant",
                 artifact.states[i].name);
  if (table.import_rules())
    for (const fb::ImportRule *entry : *table.import_rules()) {
      BB_ASSIGN(ImportRule rule, readRule(*entry));
      artifact.importRules.push_back(std::move(rule));
    }
  if (!table.variants() || table.variants()->size() == 0)
    return bad(&table, "there is no variant");
  for (const fb::Variant *entry : *table.variants()) {
    BB_ASSIGN(Variant variant, readVariant(*entry));
    for (const Variant &other : artifact.variants)
      if (other.target == variant.target)
        return bad(entry, "two variants are for '{}'", variant.target);
    artifact.variants.push_back(std::move(variant));
  }
  return {};
}

} // namespace bitbyte
