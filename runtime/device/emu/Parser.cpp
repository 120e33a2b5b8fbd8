#include "runtime/device/emu/ControlFlow.h"
#include "runtime/device/emu/Decoder.h"

#include <algorithm>
#include <charconv>

namespace bitbyte::emu {

const Kernel *Module::find(std::string_view name) const {
  for (const auto &kernel : kernels)
    if (kernel->name == name)
      return kernel.get();
  return nullptr;
}

namespace {

/// Larger declarations are mistakes: no device has more.
constexpr uint64_t maxShared = 256 << 10, maxLocal = 512 << 10,
                   maxParameters = 32 << 10, maxVariable = 64 << 20,
                   maxRegisters = 1 << 16;

class Parser {
public:
  explicit Parser(Module &module)
      : module(module), tokens(tokenize(module.text)) {
    nextKernel();
  }

  Result<void> run() {
    while (!failed() && !at().is("") && at().kind != Token::Kind::End)
      topLevel();
    if (!failed() && module.kernels.empty())
      error("there is no .entry", "end of text");
    if (failed())
      return tl::unexpected(
          Error{ErrorKind::BadInput, builder->errorMessage()});
    return {};
  }

private:
  //===--------------------------------------------------------------------===//
  // Tokens
  //===--------------------------------------------------------------------===//

  const Token &at(size_t ahead = 0) const {
    return tokens[std::min(next + ahead, tokens.size() - 1)];
  }
  bool failed() const { return builder->failed(); }
  void error(const std::string &what, std::string_view found = "") {
    const Token &token = at();
    if (token.kind == Token::Kind::End && found.empty())
      found = "end of text";
    builder->error(token.line, what, found);
  }
  bool accept(std::string_view what) {
    if (!at().is(what))
      return false;
    ++next;
    return true;
  }
  void want(std::string_view what) {
    if (!failed() && !accept(what))
      error(fmt::format("expected '{}'", what));
  }
  std::string_view wantName() {
    if (at().kind == Token::Kind::Word)
      return tokens[next++].text;
    error("expected a name");
    return {};
  }
  uint64_t wantNumber(uint64_t most) {
    uint64_t value = 0;
    std::string_view text = at().text;
    int base = 10;
    if (text.starts_with("0x")) {
      text.remove_prefix(2);
      base = 16;
    }
    auto [end, problem] =
        std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (at().kind != Token::Kind::Number || problem != std::errc() ||
        end != text.data() + text.size() || value > most) {
      error(fmt::format("expected a number up to {}", most));
      return 0;
    }
    ++next;
    return value;
  }
  void skipLine() {
    uint32_t line = at().line;
    while (at().kind != Token::Kind::End && at().line == line)
      ++next;
  }
  /// Skips up to the semicolon, and over it.
  void skipStatement() {
    while (at().kind != Token::Kind::End && !at().is(";"))
      ++next;
    want(";");
  }

  //===--------------------------------------------------------------------===//
  // The module
  //===--------------------------------------------------------------------===//

  void nextKernel() {
    kernel = std::make_unique<Kernel>();
    kernel->module = &module;
    auto made = std::make_unique<Builder>(module, *kernel);
    if (builder) // variables of the module stay known
      made->scopes[0].symbols = builder->scopes[0].symbols;
    builder = std::move(made);
    builder->sink(false); // no operand lies at offset 0
    kernel->sharedBytes = moduleShared;
    kernel->dynamicAlign = moduleAlign;
  }

  void topLevel() {
    if (at().is(".version")) {
      skipLine();
    } else if (accept(".target")) {
      if (at().kind == Token::Kind::Word)
        module.target = at().text;
      skipLine();
    } else if (accept(".address_size")) {
      if (wantNumber(64) != 64)
        error("only .address_size 64 is known");
    } else if (at().is(".file")) {
      file();
    } else if (at().is(".loc")) {
      skipLine();
    } else if (accept(".section")) {
      section();
    } else if (accept(".visible") || accept(".weak") || accept(".common")) {
    } else if (accept(".extern")) {
      if (!at().is(".shared"))
        error("of .extern only shared arrays are known");
    } else if (accept(".entry")) {
      entry();
    } else if (at().is(".shared") || at().is(".global") || at().is(".const")) {
      variable();
      moduleShared = kernel->sharedBytes;
    } else if (at().is(".func")) {
      error("functions are not known: kernels call nothing");
    } else if (at().is(".pragma")) {
      skipStatement();
    } else {
      error("expected a directive or an entry", at().text);
    }
  }

  void file() {
    uint32_t line = at().line;
    ++next;
    uint64_t number = wantNumber(~uint32_t(0));
    if (failed())
      return;
    if (at().kind != Token::Kind::String || at().line != line)
      return error("expected a file name");
    std::string_view name = at().text;
    name.remove_prefix(1);
    if (!name.empty() && name.back() == '"')
      name.remove_suffix(1);
    module.files[uint32_t(number)] = name;
    while (at().line == line && at().kind != Token::Kind::End)
      ++next;
  }

  void section() {
    wantName();
    want("{");
    int depth = 1;
    while (!failed() && depth > 0) {
      if (at().kind == Token::Kind::End)
        return error("a section lacks its closing brace");
      depth += at().is("{") ? 1 : at().is("}") ? -1 : 0;
      ++next;
    }
  }

  /// .shared .align 16 .b8 name[N]; and the like, of any space.
  void variable() {
    std::string_view spaceName = wantName();
    Space space = spaceName == ".shared"  ? Space::Shared
                  : spaceName == ".local" ? Space::Local
                  : spaceName == ".const" ? Space::Const
                                          : Space::Global;
    uint64_t align = 0;
    if (accept(".align"))
      align = wantAlign();
    uint64_t vector = accept(".v2") ? 2 : accept(".v4") ? 4 : 1;
    Type type = wantType();
    if (failed())
      return;
    uint64_t elementBytes = std::max(bitsOf(type) / 8, 1u);
    align = align ? align : elementBytes * vector;
    std::string_view name = wantName();
    uint64_t count = vector;
    bool open = false;
    while (!failed() && accept("[")) {
      if (accept("]")) {
        open = true;
        continue;
      }
      count *= wantNumber(maxVariable);
      if (count > maxVariable)
        return error("the array is too large");
      want("]");
    }
    if (failed())
      return;
    place(space, name, align, elementBytes, count, open);
    want(";");
  }

  void place(Space space, std::string_view name, uint64_t align,
             uint64_t elementBytes, uint64_t count, bool open) {
    uint64_t bytes = elementBytes * count, address = 0;
    auto lay = [&](uint32_t &used, uint64_t most) {
      address = (used + align - 1) / align * align;
      if (address + bytes > most)
        return error(fmt::format("more than {} bytes of this space", most));
      used = uint32_t(address + bytes);
    };
    if (space == Space::Shared && open) {
      moduleAlign = std::max(moduleAlign, uint32_t(align));
      kernel->dynamicAlign = moduleAlign;
      builder->scopes[builder->scope].symbols[std::string(name)] = {space, 0,
                                                                    true};
      return;
    }
    if (space == Space::Shared) {
      kernel->sharedBytes = std::max(kernel->sharedBytes, sharedStart);
      lay(kernel->sharedBytes, maxShared);
    } else if (space == Space::Local) {
      lay(kernel->localBytes, maxLocal);
    } else {
      auto made = std::make_unique<Module::Variable>();
      made->name = name;
      made->bytes = bytes;
      made->readOnly = space == Space::Const;
      if (bytes > maxVariable)
        return error("the array is too large");
      made->storage.resize(bytes / 8 + 2 + align / 8);
      uint64_t start = reinterpret_cast<uint64_t>(made->storage.data());
      address = (start + align - 1) / align * align;
      if (accept("="))
        initialize(reinterpret_cast<std::byte *>(address), elementBytes, count);
      module.variables.push_back(std::move(made));
    }
    builder->scopes[builder->scope].symbols[std::string(name)] = {space,
                                                                  address};
  }

  void initialize(std::byte *data, uint64_t elementBytes, uint64_t count) {
    bool braces = accept("{");
    uint64_t i = 0;
    do {
      bool minus = accept("-");
      std::string_view text = at().text;
      uint64_t value = 0;
      int base = 10;
      if (text.size() > 2 && text[0] == '0' &&
          (text[1] == 'x' || text[1] == 'f' || text[1] == 'F' ||
           text[1] == 'd' || text[1] == 'D')) {
        text.remove_prefix(2);
        base = 16;
      }
      auto [end, problem] =
          std::from_chars(text.data(), text.data() + text.size(), value, base);
      if (at().kind != Token::Kind::Number || problem != std::errc() ||
          end != text.data() + text.size() || i == count)
        return error("an initial value is malformed, or there are too many");
      ++next;
      if (minus)
        value = 0 - value;
      std::copy_n(reinterpret_cast<std::byte *>(&value), elementBytes,
                  data + i++ * elementBytes);
    } while (braces && accept(","));
    if (braces)
      want("}");
  }

  uint64_t wantAlign() {
    uint64_t align = wantNumber(1 << 16);
    if (!failed() && (align & (align - 1) || align == 0))
      error("an alignment is no power of two");
    return failed() ? 1 : align;
  }

  Type wantType() {
    std::string_view word = at().text;
    Type type = word.starts_with(".") ? typeNamed(word.substr(1)) : Type::None;
    if (type == Type::None)
      error("expected a type");
    else
      ++next;
    return type;
  }

  //===--------------------------------------------------------------------===//
  // A kernel
  //===--------------------------------------------------------------------===//

  void entry() {
    kernel->name = wantName();
    if (module.find(kernel->name))
      error("an entry is defined twice", kernel->name);
    openScope();
    if (accept("("))
      parameters();
    while (!failed() && !at().is("{"))
      performance();
    want("{");
    body();
    if (failed())
      return;
    resolve();
    if (failed())
      return;
    findJoins(*kernel);
    // As aligned as declared, and never more: an odd multiple.
    uint32_t align = kernel->dynamicAlign;
    kernel->sharedBytes = std::max(kernel->sharedBytes, sharedStart);
    uint32_t multiple = (kernel->sharedBytes + align - 1) / align | 1;
    kernel->dynamicStart = multiple * align;
    for (Constant &constant : kernel->constants)
      if (constant.dynamic)
        constant.value += kernel->dynamicStart;
    // Registers are copied and compared in whole vectors.
    kernel->registerBytes = (kernel->registerBytes + 255) / 256 * 256;
    module.kernels.push_back(std::move(kernel));
    nextKernel();
  }

  void parameters() {
    if (accept(")"))
      return;
    do {
      want(".param");
      uint64_t align = 0;
      if (accept(".align"))
        align = wantAlign();
      Type type = wantType();
      if (accept(".ptr")) {
        for (const char *space : {".global", ".shared", ".const", ".local"})
          accept(space);
        if (accept(".align"))
          wantAlign();
      }
      if (!align && accept(".align"))
        align = wantAlign();
      Parameter parameter;
      parameter.name = wantName();
      uint64_t bytes = std::max(bitsOf(type) / 8, 1u);
      align = std::max<uint64_t>(align, bytes);
      if (accept("[")) {
        parameter.array = true;
        bytes *= wantNumber(maxParameters);
        want("]");
      }
      uint64_t offset = (kernel->parameterBytes + align - 1) / align * align;
      if (offset + bytes > maxParameters)
        error(fmt::format("more than {} bytes of parameters", maxParameters));
      if (failed())
        return;
      parameter.offset = uint32_t(offset);
      parameter.bytes = uint32_t(bytes);
      kernel->parameterBytes = uint32_t(offset + bytes);
      builder->scopes[builder->scope].symbols[parameter.name] = {Space::Param,
                                                                 offset};
      kernel->parameters.push_back(parameter);
    } while (!failed() && accept(","));
    want(")");
  }

  /// .reqntid 128, 1, 1 and the like, between parameters and body.
  void performance() {
    std::string_view what = wantName();
    if (what == ".reqntid" || what == ".maxntid") {
      uint32_t sizes[3] = {1, 1, 1};
      size_t i = 0;
      do {
        uint64_t size = wantNumber(1024);
        if (i == 3)
          return error("more than three dimensions");
        sizes[i++] = uint32_t(size);
      } while (!failed() && accept(","));
      if (what == ".maxntid")
        kernel->maximalThreads = sizes[0] * sizes[1] * sizes[2];
      else
        std::copy_n(sizes, 3, kernel->requiredThreads);
    } else if (what == ".minnctapersm" || what == ".maxnreg" ||
               what == ".maxclusterrank") {
      wantNumber(~uint32_t(0));
    } else if (what == ".reqnctapercluster") {
      do
        if (wantNumber(16) > 1)
          error("clusters of more than one block are not known");
      while (!failed() && accept(","));
    } else if (what == ".explicitcluster" || what == ".noreturn" ||
               what == ".blocksareclusters") {
    } else if (what == ".pragma") {
      skipStatement();
    } else if (!failed()) {
      --next;
      error("expected the kernel's body", at().text);
    }
  }

  void openScope() {
    builder->scopes.emplace_back().parent = builder->scope;
    builder->scope = builder->scopes.size() - 1;
  }

  void body() {
    openScope();
    int depth = 1;
    while (!failed() && depth > 0) {
      if (at().kind == Token::Kind::End)
        return error("the kernel lacks its closing brace");
      if (accept("{")) {
        // Inline assembly nests a few braces; more is no PTX.
        if (++depth > 64)
          return error("braces are nested too deep");
        openScope();
      } else if (accept("}")) {
        builder->scope = builder->scopes[builder->scope].parent;
        --depth;
      } else if (accept(";")) {
      } else if (at().kind == Token::Kind::Word && at(1).is(":")) {
        label();
      } else if (at().kind == Token::Kind::Word && at().text[0] == '.') {
        directive();
      } else {
        statement();
      }
    }
  }

  void label() {
    std::string name(at().text);
    next += 2;
    if (at().is(".branchtargets") || at().is(".calltargets")) {
      ++next;
      std::vector<std::string> labels;
      do
        labels.push_back(std::string(wantName()));
      while (!failed() && accept(","));
      want(";");
      builder->branchTargets[name] = std::move(labels);
      return;
    }
    if (!builder->scopes[builder->scope]
             .labels.emplace(name, kernel->ops.size())
             .second)
      error("a label is defined twice", name);
  }

  void directive() {
    if (accept(".reg")) {
      registers();
    } else if (at().is(".shared") || at().is(".local") || at().is(".global") ||
               at().is(".const")) {
      variable();
    } else if (at().is(".loc")) {
      location();
    } else if (at().is(".file")) {
      file();
    } else if (at().is(".pragma")) {
      skipStatement();
    } else {
      error("directive is not known", at().text);
    }
  }

  void location() {
    uint32_t line = at().line;
    ++next;
    Location found;
    found.file = uint32_t(wantNumber(~uint32_t(0)));
    found.line = uint32_t(wantNumber(~uint32_t(0)));
    found.column = uint32_t(wantNumber(~uint32_t(0)));
    // What follows on the line says into which function it was inlined.
    while (at().line == line && at().kind != Token::Kind::End)
      ++next;
    builder->location = 0;
    if (found.line == 0)
      return;
    builder->location = uint32_t(kernel->locations.size());
    kernel->locations.push_back(found);
  }

  /// .reg .b32 %r<10>, t; vectors are taken apart by LLVM and not known.
  void registers() {
    Type type = wantType();
    if (failed())
      return;
    do {
      std::string name(wantName());
      if (accept("<")) {
        uint64_t count = wantNumber(maxRegisters);
        want(">");
        for (uint64_t i = 0; i < count && !failed(); ++i)
          builder->declareRegister(at().line, name + std::to_string(i),
                                   bitsOf(type));
      } else if (!failed()) {
        builder->declareRegister(at().line, name, bitsOf(type));
      }
    } while (!failed() && accept(","));
    if (bitsOf(type) == 128 || bitsOf(type) == 4)
      error("registers of this type are not known");
    want(";");
  }

  void statement() {
    size_t begin = next;
    while (at().kind != Token::Kind::End && !at().is(";"))
      ++next;
    if (at().kind == Token::Kind::End) {
      next = begin;
      return error("a statement lacks its semicolon");
    }
    Decoder decoder(*builder, std::span(tokens).subspan(begin, next - begin));
    decoder.decode();
    ++next;
  }

  /// Gives branches their targets.
  void resolve() {
    for (const Builder::Fixup &fixup : builder->fixups) {
      uint32_t target = builder->findLabel(fixup.scope, fixup.label);
      if (target == nowhere)
        return builder->error(
            fixup.line, fmt::format("label '{}' is missing", fixup.label), "");
      if (fixup.inList)
        kernel->lists[fixup.index] = target;
      else
        kernel->ops[fixup.op].target = target;
    }
  }

  Module &module;
  std::vector<Token> tokens;
  size_t next = 0;
  std::unique_ptr<Kernel> kernel;
  std::unique_ptr<Builder> builder;
  uint32_t moduleShared = 0, moduleAlign = 16;
};

} // namespace

Result<std::unique_ptr<Module>> Module::parse(std::string text,
                                              std::string path) {
  auto module = std::make_unique<Module>();
  module->text = std::move(text);
  module->path = std::move(path);
  BB_TRY(Parser(*module).run());
  return module;
}

} // namespace bitbyte::emu
