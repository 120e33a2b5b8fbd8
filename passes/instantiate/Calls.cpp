//===- Calls.cpp - Imports, and the names that a call binds ---------------===//
#include "passes/instantiate/Calls.h"
#include "dialects/bb/Nearest.h"
#include "passes/instantiate/Instantiate.h"

#include "llvm/ADT/StringSet.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace bitbyte::bb;

//===-- names -------------------------------------------------------------===//

Operation *bitbyte::bb::lookupCallable(Operation *from, StringRef name) {
  for (Operation *at = from; at; at = at->getParentOp())
    if (isa<ModelOp, ModuleOp>(at))
      for (Operation &op : at->getRegion(0).front())
        if (isa<BlockOp, ProgramOp>(op) &&
            SymbolTable::getSymbolName(&op) == name)
          return &op;
  return nullptr;
}
/// The blocks and programs that an op may call.
static SmallVector<StringRef> callableNames(Operation *from) {
  SmallVector<StringRef> names;
  for (Operation *at = from; at; at = at->getParentOp())
    if (isa<ModelOp, ModuleOp>(at))
      for (Operation &op : at->getRegion(0).front())
        if (isa<BlockOp, ProgramOp>(op))
          names.push_back(SymbolTable::getSymbolName(&op));
  return names;
}
static GraphTensorType type(Type t) { return cast<GraphTensorType>(t); }
static ArrayAttr configOf(Operation *op) {
  return op->getAttrOfType<ArrayAttr>("config");
}

/// Binds the names of a block: explicit values, then names of the same spelling
/// in the caller (`visible`), then defaults; others by shapes of the arguments.
LogicalResult bitbyte::bb::bindNames(CallOp call, Operation *callee,
                                     ArrayRef<Type> actual,
                                     const Env &callerValues,
                                     function_ref<bool(StringAttr)> visible,
                                     Env &env) {
  MLIRContext *ctx = call.getContext();
  llvm::DenseMap<StringAttr, Attribute> given;
  for (Attribute a : call.getConfig()) {
    auto c = cast<ConfigAttr>(a);
    given[c.getName()] = c.getValue();
  }
  llvm::SmallDenseSet<StringAttr> declared;
  for (Attribute a : configOf(callee))
    declared.insert(cast<ConfigAttr>(a).getName());
  Block &body = callee->getRegion(0).front();
  // Names bound by shapes come first, so that a default may use them.
  for (auto [arg, t] : llvm::zip(body.getArguments(), actual))
    if (type(arg.getType()).getRank() == type(t).getRank())
      for (auto [w, h] :
           llvm::zip(type(arg.getType()).getShape(), type(t).getShape()))
        if (StringAttr n = w.bareSymbol();
            n && !declared.count(n) &&
            !(callee->getParentOp() == call->getParentOfType<ModelOp>() &&
              env.count(n)))
          env.try_emplace(n, h);
  for (Attribute a : configOf(callee)) {
    auto c = cast<ConfigAttr>(a);
    Attribute v;
    if (auto it = given.find(c.getName()); it != given.end()) {
      v = it->second ? it->second : DimAttr::symbol(ctx, c.getName());
      given.erase(it);
      v = substitute(v, callerValues);
    } else if (visible(c.getName()))
      v = substitute(DimAttr::symbol(ctx, c.getName()), callerValues);
    else if (c.getValue())
      v = substitute(c.getValue(), env);
    else {
      auto d = call.emitOpError() << "must give '" << c.getName().getValue()
                                  << "' to @" << call.getCallee();
      d.attachNote(callee->getLoc()) << "@" << call.getCallee() << " is here";
      return d;
    }
    env[c.getName()] = v;
  }
  for (auto &[n, v] : given) {
    SmallVector<StringRef> names;
    for (auto c : configOf(callee).getAsRange<ConfigAttr>())
      names.push_back(c.getName());
    auto d = call.emitOpError()
             << "gives '" << n.getValue() << "', which @" << call.getCallee()
             << " does not take" << hint(n.getValue(), names);
    d.attachNote(callee->getLoc()) << "@" << call.getCallee() << " is here";
    return d;
  }
  if (body.getNumArguments() != actual.size())
    return call.emitOpError()
           << "gives " << actual.size() << " operands, but @"
           << call.getCallee() << " takes " << body.getNumArguments();
  for (auto [i, arg, t] : llvm::enumerate(body.getArguments(), actual)) {
    GraphTensorType want = type(arg.getType()), have = type(t);
    auto mismatch = [&]() {
      auto d = call.emitOpError()
               << "operand " << i << " is " << have.str() << ", but @"
               << call.getCallee() << " takes " << want.str();
      SmallVector<DimAttr> known;
      for (DimAttr x : want.getShape()) {
        auto y = dyn_cast<DimAttr>(substitute(x, env));
        known.push_back(y ? y : x);
      }
      if (shapeStr(known) != shapeStr(want.getShape()))
        d << " = " << shapeStr(known);
      d.attachNote(arg.getLoc()) << "declared here";
      return d;
    };
    if (want.getRank() != have.getRank() ||
        (want.getElement() != have.getElement() &&
         !isa<RealType>(want.getElement())))
      return mismatch();
    for (auto [w, h] : llvm::zip(want.getShape(), have.getShape())) {
      if (substitute(w, env) != Attribute(h))
        return mismatch();
    }
  }
  return success();
}
LogicalResult bitbyte::bb::checkCalls(ModuleOp module) {
  WalkResult r = module.walk([&](CallOp call) {
    Operation *callee = lookupCallable(call, call.getCallee());
    if (!callee) {
      call.emitOpError() << "names @" << call.getCallee()
                         << ", which is neither in this model nor imported"
                         << hint(call.getCallee(), callableNames(call));
      return WalkResult::interrupt();
    }
    Env env;
    auto visible = [&](StringAttr n) {
      for (Operation *p = call->getParentOp(); p; p = p->getParentOp()) {
        if (auto c = configOf(p))
          for (Attribute a : c)
            if (cast<ConfigAttr>(a).getName() == n)
              return true;
        if (auto rep = dyn_cast<RepeatOp>(p); rep && rep.getIndexAttr() == n)
          return true;
        if (isa<BlockOp>(p))
          for (Type t : p->getRegion(0).getArgumentTypes()) {
            SmallVector<StringAttr> s;
            for (DimAttr d : type(t).getShape())
              collectSymbols(d, s);
            if (llvm::is_contained(s, n))
              return true;
          }
      }
      return false;
    };
    if (Env none; failed(bindNames(call, callee,
                                   SmallVector<Type>(call.getOperandTypes()),
                                   none, visible, env)))
      return WalkResult::interrupt();
    auto results = callee->getAttrOfType<ArrayAttr>("result_types");
    if (results.size() != call.getNumResults()) {
      call.emitOpError() << "wants " << call.getNumResults()
                         << " results, but @" << call.getCallee() << " gives "
                         << results.size();
      return WalkResult::interrupt();
    }
    for (auto [t, have] : llvm::zip(results, call.getResultTypes())) {
      SmallVector<DimAttr> dims;
      for (DimAttr d : type(cast<TypeAttr>(t).getValue()).getShape())
        dims.push_back(cast<DimAttr>(substitute(d, env)));
      if (ArrayRef(dims) != type(have).getShape()) {
        auto d = call.emitOpError()
                 << "result is " << type(have).str() << ", but @"
                 << call.getCallee() << " gives " << shapeStr(dims);
        d.attachNote(callee->getLoc()) << "@" << call.getCallee() << " is here";
        return WalkResult::interrupt();
      }
    }
    return WalkResult::advance();
  });
  return failure(r.wasInterrupted());
}

//===-- imports -----------------------------------------------------------===//

namespace {
class Importer {
public:
  using Load = function_ref<OwningOpRef<ModuleOp>(StringRef, Location)>;
  explicit Importer(Load load) : load(load) {}

  LogicalResult run(ModuleOp module, StringRef path) {
    seen.insert(identity(path));
    for (auto import : llvm::make_early_inc_range(module.getOps<ImportOp>())) {
      SmallString<128> target(llvm::sys::path::parent_path(path));
      llvm::sys::path::append(target, import.getPath());
      if (!seen.contains(identity(target))) {
        OwningOpRef<ModuleOp> file = load(target, import.getLoc());
        if (!file || failed(run(*file, target)))
          return failure();
        module.getBody()->getOperations().splice(
            Block::iterator(import), file->getBody()->getOperations());
      }
      import.erase();
    }
    return success();
  }

private:
  /// The same for two names of one file.
  static std::string identity(StringRef path) {
    SmallString<128> real;
    return llvm::sys::fs::real_path(path, real) ? path.str()
                                                : std::string(real);
  }

  Load load;
  llvm::StringSet<> seen;
};
} // namespace

LogicalResult bitbyte::bb::resolveImports(
    ModuleOp module, StringRef path,
    function_ref<OwningOpRef<ModuleOp>(StringRef, Location)> load) {
  return Importer(load).run(module, path);
}
