//===- InstantiatePass.cpp - The phase, and the text of its options -------===//
#include "passes/instantiate/Instantiate.h"

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SourceMgr.h"

namespace bitbyte::bb {
#define GEN_PASS_DEF_INSTANTIATEPASS
#include "passes/instantiate/Passes.h.inc"
} // namespace bitbyte::bb

using namespace mlir;
using namespace bitbyte::bb;

/// One value: a whole or real number, true or false, a quoted text, or an
/// expression over config names.
static Attribute parseValue(MLIRContext *context, StringRef text) {
  Builder b(context);
  int64_t whole;
  double real;
  if (!text.getAsInteger(10, whole))
    return DimAttr::get(context, whole);
  if (text == "true" || text == "false")
    return DimAttr::get(context, text == "true");
  if (!text.getAsDouble(real))
    return b.getF64FloatAttr(real);
  // The parser reports to the context; a bad expression is reported once,
  // below.
  ScopedDiagnosticHandler quiet(context,
                                [](Diagnostic &) { return success(); });
  for (StringRef kind : {"dim", "num"})
    if (Attribute a =
            parseAttribute(("#bb." + kind + "<" + text + ">").str(), context))
      return a;
  return {};
}

FailureOr<SmallVector<Override>>
bitbyte::bb::parseOverrides(MLIRContext *context, StringRef text) {
  SmallVector<Override> overrides;
  SmallVector<StringRef> parts;
  text.split(parts, ',', -1, false);
  Location loc = FileLineColLoc::get(context, "--set", 1, 1);
  for (StringRef part : parts) {
    auto [name, value] = part.split('=');
    Attribute parsed =
        value.empty() ? Attribute() : parseValue(context, value.trim());
    if (name.trim().empty() || !parsed)
      return emitError(loc) << "'" << part
                            << "' is not NAME=VALUE with a number, true, false "
                               "or an expression";
    overrides.push_back({name.trim().str(), parsed});
  }
  return overrides;
}

namespace {
struct Instantiate final : bitbyte::bb::impl::InstantiatePassBase<Instantiate> {
  using InstantiatePassBase::InstantiatePassBase;
  Instantiate(const Instantiate &other)
      : InstantiatePassBase(other), given(other.given) {}
  explicit Instantiate(const InstantiateOptions &options) : given(options) {
    describe(options);
  }

  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto options = given ? *given : fromText();
    if (failed(options) || failed(importFiles(module)) ||
        failed(checkCalls(module)))
      return signalPassFailure();
    for (ModelOp model : llvm::make_early_inc_range(module.getOps<ModelOp>())) {
      if (failed(instantiate(model, *options)))
        return signalPassFailure();
      model.erase();
    }
    for (BlockOp block : llvm::make_early_inc_range(module.getOps<BlockOp>()))
      block.erase();
  }

private:
  /// Makes the text of the pass say what it was given: a reproducer holds it.
  void describe(const InstantiateOptions &options) {
    preset = options.preset;
    decode = options.decode;
    dtype = isa<BFloat16Type>(options.compute) ? "bf16" : "f32";
    for (const Override &entry : options.overrides) {
      std::string text;
      llvm::raw_string_ostream out(text);
      printExpr(out, entry.value);
      llvm::erase(text, ' ');
      sets.push_back(entry.name + "=" + text);
    }
    for (auto &shape : options.shapes) {
      std::string text;
      for (auto &[name, length] : shape)
        text += (text.empty() ? "" : ";") + name + "=" + std::to_string(length);
      shapes.push_back(text);
    }
  }

  /// bbc has resolved the imports already; bb-opt has not.
  LogicalResult importFiles(ModuleOp module) {
    auto from = module.getLoc()->findInstanceOf<FileLineColLoc>();
    StringRef path = from ? from.getFilename().getValue() : StringRef();
    auto load = [&](StringRef file, Location asker) -> OwningOpRef<ModuleOp> {
      auto buffer = llvm::MemoryBuffer::getFile(file);
      if (!buffer) {
        emitError(asker) << "cannot read '" << file
                         << "': " << buffer.getError().message();
        return {};
      }
      llvm::SourceMgr sources;
      sources.AddNewSourceBuffer(std::move(*buffer), llvm::SMLoc());
      ParserConfig config(&getContext(), /*verifyAfterParse=*/false);
      return parseSourceFile<ModuleOp>(sources, config);
    };
    return resolveImports(module, path, load);
  }

  FailureOr<InstantiateOptions> fromText() {
    InstantiateOptions options;
    MLIRContext *context = &getContext();
    options.preset = preset;
    options.decode = decode;
    if (dtype != "f32" && dtype != "bf16")
      return getOperation().emitError()
             << "dtype is f32 or bf16, not '" << dtype << "'";
    options.compute = dtype == "f32" ? Type(Float32Type::get(context))
                                     : Type(BFloat16Type::get(context));
    for (const std::string &text : sets) {
      auto overrides = parseOverrides(context, text);
      if (failed(overrides))
        return failure();
      options.overrides.append(*overrides);
    }
    for (const std::string &text : shapes)
      if (failed(addShape(options, text)))
        return failure();
    return options;
  }

  LogicalResult addShape(InstantiateOptions &options, StringRef text) {
    auto &shape = options.shapes.emplace_back();
    SmallVector<StringRef> parts;
    text.split(parts, ';', -1, false);
    for (StringRef part : parts) {
      auto [name, value] = part.split('=');
      int64_t length;
      if (value.getAsInteger(10, length) || length < 1)
        return getOperation().emitError()
               << "'" << part << "' of a shape is not NAME=NUMBER";
      shape.push_back({name.str(), length});
    }
    return success();
  }

  std::optional<FailureOr<InstantiateOptions>> given;
};
} // namespace

std::unique_ptr<Pass>
bitbyte::bb::createInstantiatePass(const InstantiateOptions &options) {
  return std::make_unique<Instantiate>(options);
}
