//===- Instantiate.cpp - Config values in, straight-line programs out -----===//
//
// Blocks are inlined, repeats unrolled, ifs decided, names joined to paths.
// Parameters become states of the model, read at the head of each program.
//
//===----------------------------------------------------------------------===//
#include "passes/instantiate/Instantiate.h"
#include "dialects/bb/BBChecks.h"
#include "dialects/bb/BBStreams.h"
#include "dialects/bb/Nearest.h"
#include "passes/instantiate/Calls.h"

#include "mlir/IR/AttrTypeSubElements.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace bitbyte::bb;

static GraphTensorType type(Type t) { return cast<GraphTensorType>(t); }

namespace {
class Instantiator {
public:
  Instantiator(ModelOp model, const InstantiateOptions &o)
      : model(model), options(o), ctx(model.getContext()), b(ctx) {}
  FailureOr<ModelOp> run() {
    if (failed(resolveConfig()) || failed(checkContext(config)))
      return failure();
    b.setInsertionPointAfter(model);
    out = ModelOp::create(b, model.getLoc(), model.getSymName(), resolved());
    out.getBody().emplaceBlock();
    if (failed(programs()) || failed(importRules())) {
      out.erase();
      return failure();
    }
    return out;
  }

private:
  struct Frame {
    Env env;
    IRMapping map;
    std::string scope;
    std::optional<Location> caller;
  };

  /// One copy of a program: its name, and what its batch and stream names are.
  struct Closure {
    std::string suffix;
    Env env;
  };

  /// The config with its final values, for readers and the artifact.
  ArrayAttr resolved() {
    SmallVector<Attribute> list;
    for (Attribute a : model.getConfig()) {
      auto c = cast<ConfigAttr>(a);
      list.push_back(ConfigAttr::get(ctx, c.getName(), c.getRole(),
                                     config.lookup(c.getName())));
    }
    return b.getArrayAttr(list);
  }

  /// Stream names may not exceed `context`, the capacity of full KV rings and
  /// learned positions.
  LogicalResult checkContext(const Env &env) {
    auto context =
        dyn_cast_or_null<DimAttr>(env.lookup(b.getStringAttr("context")));
    if (!context || !context.constant())
      return success();
    for (Attribute a : model.getConfig()) {
      auto c = cast<ConfigAttr>(a);
      if (c.getRole() != "stream")
        continue;
      auto length = dyn_cast_or_null<DimAttr>(env.lookup(c.getName()));
      if (length && length.constant() &&
          *length.constant() > *context.constant())
        return model.emitOpError()
               << "has " << c.getName().getValue() << " = "
               << *length.constant() << ", longer than its context of "
               << *context.constant();
    }
    return success();
  }

  SmallVector<StringRef> shapeNames() {
    SmallVector<StringRef> names;
    for (auto c : model.getConfig().getAsRange<ConfigAttr>())
      if (c.getRole() != "value")
        names.push_back(c.getName());
    return names;
  }

  /// Copies the rules, with shapes in numbers.
  LogicalResult importRules() {
    for (auto rule : model.getBody().getOps<ImportRuleOp>()) {
      b.setInsertionPointToEnd(&out.getBody().front());
      auto copy = cast<ImportRuleOp>(b.clone(*rule));
      if (!rule.getReshape())
        continue;
      SmallVector<Attribute> sizes;
      int64_t open = 0;
      for (DimAttr size : rule.getReshape()->getAsRange<DimAttr>()) {
        auto known = dyn_cast<DimAttr>(substitute(size, config));
        int64_t whole = known ? known.constant().value_or(0) : 0;
        open += whole == -1;
        if (whole < 1 && (whole != -1 || open > 1))
          return rule.emitOpError()
                 << "cannot reshape to '" << size.str()
                 << "': sizes are whole numbers above 0, one of them may be -1";
        sizes.push_back(known);
      }
      copy.setReshapeAttr(b.getArrayAttr(sizes));
    }
    return success();
  }

  LogicalResult programs() {
    for (ProgramOp p : model.getBody().getOps<ProgramOp>())
      if (failed(program(p, {"", config})))
        return failure();
    for (auto &shape : options.shapes) {
      Closure closure{".", config};
      for (auto &[name, value] : shape) {
        auto key = b.getStringAttr(name);
        bool known = llvm::any_of(model.getConfig(), [&](Attribute a) {
          auto c = cast<ConfigAttr>(a);
          return c.getName() == key && c.getRole() != "value";
        });
        if (!known)
          return model.emitOpError()
                 << "has no batch or stream name '" << name
                 << "' to give a shape" << hintOrList(name, shapeNames());
        closure.env[key] = DimAttr::get(ctx, value);
        closure.suffix += name + std::to_string(value);
      }
      if (failed(checkContext(closure.env)) ||
          failed(programNamed("score", closure)))
        return failure();
    }
    if (failed(checkScore()))
      return failure();
    if (!options.decode)
      return success();
    Closure open{".open", config}, full{".", config};
    auto context =
        dyn_cast_or_null<DimAttr>(config.lookup(b.getStringAttr("context")));
    for (Attribute a : model.getConfig()) {
      auto c = cast<ConfigAttr>(a);
      if (c.getRole() == "value")
        continue;
      bool batch = c.getRole() == "batch";
      Attribute length =
          context ? Attribute(context) : config.lookup(c.getName());
      full.env[c.getName()] = batch ? Attribute(DimAttr::get(ctx, 1)) : length;
      full.suffix +=
          c.getName().str() + cast<DimAttr>(full.env[c.getName()]).str();
      if (batch)
        open.env[c.getName()] = DimAttr::get(ctx, 1);
      else
        open.env.erase(c.getName());
    }
    if (failed(programNamed("logits", open)))
      return failure();
    return programNamed("logits", full);
  }
  /// Makes @score once more with a stream name left open: only then do types
  /// tell which bytes a value depends on.
  LogicalResult checkScore() {
    if (!SymbolTable::lookupSymbolIn(model, "score"))
      return success();
    for (Attribute a : model.getConfig()) {
      auto c = cast<ConfigAttr>(a);
      if (c.getRole() != "stream")
        continue;
      Closure open{".open", config};
      open.env.erase(c.getName());
      if (failed(programNamed("score", open)))
        return failure();
      auto made = cast<ProgramOp>(out.getBody().front().back());
      LogicalResult causal = checkCausality(made, c.getName());
      made.erase();
      if (failed(causal))
        return failure();
    }
    return success();
  }
  LogicalResult programNamed(StringRef name, const Closure &closure) {
    for (ProgramOp p : model.getBody().getOps<ProgramOp>())
      if (p.getSymName() == name)
        return program(p, closure);
    return model.emitOpError() << "has no program @" << name;
  }

  LogicalResult resolveConfig() {
    llvm::MapVector<StringAttr, Attribute> values;
    for (Attribute a : model.getConfig())
      values[cast<ConfigAttr>(a).getName()] = cast<ConfigAttr>(a).getValue();
    auto set = [&](StringAttr n, Attribute v, Location loc) -> LogicalResult {
      auto it = values.find(n);
      if (it != values.end()) {
        it->second = v;
        return success();
      }
      SmallVector<StringRef> names;
      for (auto &[name, x] : values)
        names.push_back(name);
      return emitError(loc)
             << "@" << model.getSymName() << " has no config name '"
             << n.getValue() << "'" << hintOrList(n.getValue(), names);
    };
    if (!options.preset.empty()) {
      auto p = options.preset.empty()
                   ? PresetOp()
                   : dyn_cast_or_null<PresetOp>(
                         SymbolTable::lookupSymbolIn(model, options.preset));
      if (!p) {
        SmallVector<StringRef> names;
        for (PresetOp q : model.getBody().getOps<PresetOp>())
          names.push_back(q.getSymName());
        return model.emitOpError() << "has no preset '" << options.preset << "'"
                                   << hintOrList(options.preset, names);
      }
      for (Attribute a : p.getConfig())
        if (failed(set(cast<ConfigAttr>(a).getName(),
                       cast<ConfigAttr>(a).getValue(), p.getLoc())))
          return failure();
    }
    for (const Override &o : options.overrides)
      if (failed(set(
              StringAttr::get(ctx, o.name), o.value,
              NameLoc::get(StringAttr::get(ctx, "--set"),
                           FileLineColLoc::get(ctx, "<command line>", 1, 1)))))
        return failure();
    for (size_t round = 0; round <= values.size(); ++round) {
      bool open = false;
      for (auto &[n, v] : values) {
        if (!v)
          return model.emitOpError() << "needs a value for '" << n.getValue()
                                     << "': --set " << n.getValue() << "=...";
        Attribute r = substitute(v, config);
        SmallVector<StringAttr> names;
        collectSymbols(r, names);
        if (!names.empty()) {
          open = true;
          continue;
        }
        if (auto d = dyn_cast<DimAttr>(r); d && neverWhole(d))
          return model.emitOpError()
                 << "config '" << n.getValue()
                 << "' is not a whole number: " << cast<DimAttr>(v).str()
                 << " = " << d.str();
        config[n] = r;
      }
      if (!open)
        return success();
    }
    for (auto &[n, v] : values)
      if (!config.count(n))
        return model.emitOpError()
               << "config '" << n.getValue()
               << "' depends on itself or on an unknown name";
    return success();
  }

  AttrTypeReplacer replacerFor(const Env &env, DimAttr &bad, DimAttr &badAs) {
    AttrTypeReplacer r;
    r.addReplacement([&](DimAttr d) -> std::pair<Attribute, WalkResult> {
      Attribute v = substitute(d, env);
      if (auto w = dyn_cast<DimAttr>(v); w && neverWhole(w))
        bad = d, badAs = w;
      return {v, WalkResult::skip()};
    });
    r.addReplacement([&](NumAttr n) -> std::pair<Attribute, WalkResult> {
      return {substitute(n, env), WalkResult::skip()};
    });
    r.addReplacement([&](RealType) -> std::pair<Type, WalkResult> {
      return {options.compute, WalkResult::skip()};
    });
    return r;
  }
  Location locate(Operation *op, const Frame &f) {
    Location l = f.caller ? Location(CallSiteLoc::get(op->getLoc(), *f.caller))
                          : op->getLoc();
    return f.scope.empty()
               ? l
               : Location(NameLoc::get(StringAttr::get(ctx, f.scope), l));
  }
  static std::string join(const std::string &a, StringRef b) {
    return a.empty() ? b.str() : b.empty() ? a : a + "." + b.str();
  }
  static std::string fill(StringRef text, const Env &env) {
    std::string out;
    while (!text.empty()) {
      size_t i = text.find('{'), j = text.find('}');
      if (i == StringRef::npos || j == StringRef::npos) {
        out += text;
        break;
      }
      out += text.take_front(i);
      Attribute v = env.lookup(StringAttr::get(env.begin()->first.getContext(),
                                               text.slice(i + 1, j)));
      if (auto d = dyn_cast_or_null<DimAttr>(v))
        out += d.str();
      else
        out += text.slice(i, j + 1);
      text = text.drop_front(j + 1);
    }
    return out;
  }

  LogicalResult program(ProgramOp p, const Closure &closure) {
    Frame f;
    f.env = names = closure.env;
    if (llvm::any_of(out.getBody().getOps<ProgramOp>(), [&](ProgramOp made) {
          return made.getSymName() == (p.getSymName() + closure.suffix).str();
        }))
      return success();
    b.setInsertionPointToEnd(&out.getBody().front());
    DimAttr bad, badAs;
    auto r = replacerFor(f.env, bad, badAs);
    auto made = cast<ProgramOp>(b.cloneWithoutRegions(*p.getOperation()));
    made.setSymName((p.getSymName() + closure.suffix).str());
    r.replaceElementsIn(made, true, false, true);
    SmallVector<Attribute> roles;
    for (Attribute a : model.getConfig())
      if (auto c = cast<ConfigAttr>(a); c.getRole() != "value")
        roles.push_back(ConfigAttr::get(ctx, c.getName(), c.getRole(),
                                        closure.env.lookup(c.getName())));
    made.setConfigAttr(b.getArrayAttr(roles));
    Block *body = new Block;
    made.getBody().push_back(body);
    for (BlockArgument a : p.getBody().getArguments())
      f.map.map(a, body->addArgument(r.replace(a.getType()), a.getLoc()));
    params.clear();
    dropouts = 0;
    lastParam = nullptr;
    entry = body;
    b.setInsertionPointToEnd(body);
    SmallVector<Value> results;
    if (failed(emit(p.getBody().front(), f, results)))
      return failure();
    b.setInsertionPointToEnd(body);
    ReturnOp::create(b, p.getBody().front().getTerminator()->getLoc(), results);
    return success();
  }

  /// The state of a parameter, made on first sight; a second use with another
  /// shape or init is an error with a note at the first.
  FailureOr<StateOp> stateOf(StringRef name, GraphTensorType type,
                             InitAttr init, bool decay, Location loc) {
    auto stored = type.of(Float32Type::get(ctx));
    StringRef group = decay ? "decay" : "no_decay";
    if (StateOp known = parameters.lookup(name)) {
      if (known.getType() == stored && *known.getInit() == init &&
          *known.getGroup() == group)
        return known;
      auto d = emitError(loc)
               << "parameter '" << name << "' is " << stored.str()
               << " here, but " << cast<GraphTensorType>(known.getType()).str()
               << " (or starts or decays differently) elsewhere";
      d.attachNote(known.getLoc()) << "the other use";
      return d;
    }
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&out.getBody().front());
    if (lastState)
      b.setInsertionPointAfter(lastState);
    auto made =
        StateOp::create(b, loc, b.getStringAttr(name), TypeAttr::get(stored),
                        StateKindAttr::get(ctx, StateKind::Parameter), init,
                        b.getStringAttr(group), FlatSymbolRefAttr(),
                        IntegerAttr(), b.getUnitAttr());
    lastState = made;
    parameters[name] = made;
    return made;
  }

  LogicalResult emit(Block &block, Frame &f, SmallVectorImpl<Value> &results) {
    DimAttr bad, badAs;
    auto r = replacerFor(f.env, bad, badAs);
    for (Operation &op : block) {
      if (isa<ReturnOp, YieldOp>(op)) {
        for (Value v : op.getOperands())
          results.push_back(f.map.lookup(v));
        return success();
      }
      if (auto c = dyn_cast<CallOp>(op)) {
        if (failed(call(c, f)))
          return failure();
        continue;
      }
      if (auto rep = dyn_cast<RepeatOp>(op)) {
        if (failed(repeat(rep, f)))
          return failure();
        continue;
      }
      if (auto i = dyn_cast<IfOp>(op)) {
        FailureOr<bool> yes = decide(i, f);
        if (failed(yes))
          return failure();
        SmallVector<Value> out;
        if (failed(emit((*yes ? i.getThenBody() : i.getElseBody()).front(), f,
                        out)))
          return failure();
        f.map.map(i.getResults(), out);
        continue;
      }
      Location loc = locate(&op, f);
      if (auto p = dyn_cast<ParamOp>(op)) {
        std::string name = join(f.scope, fill(p.getName(), f.env));
        auto t = type(r.replace(p.getType()));
        auto init = cast<InitAttr>(r.replace(Attribute(p.getInit())));
        auto state = stateOf(name, t, init, !p.getNoDecay(), loc);
        if (failed(state))
          return failure();
        Value &value = params[name];
        if (!value) { // reads stand at the head of the program
          OpBuilder::InsertionGuard g(b);
          if (lastParam)
            b.setInsertionPointAfter(lastParam);
          else
            b.setInsertionPointToStart(entry);
          value =
              ReadOp::create(b, loc, (*state).getType(),
                             FlatSymbolRefAttr::get((*state).getSymNameAttr()));
          if (t != (*state).getType())
            value = CastOp::create(b, loc, value, t.getElement());
          lastParam = value.getDefiningOp();
        }
        f.map.map(p.getResult(), value);
      } else {
        Operation *n = b.clone(op, f.map);
        r.replaceElementsIn(n, true, false, true);
        n->setLoc(loc);
        if (auto dropout = dyn_cast<DropoutOp>(n))
          if (failed(settle(dropout, &op, f)))
            return failure();
        if (auto norm = dyn_cast<RmsNormOp>(n);
            norm && failed(checkGroups(norm)))
          return failure();
      }
      if (bad)
        return emitError(loc)
               << "'" << bad.str()
               << "' is not a whole number here: " << badAs.str();
    }
    return success();
  }
  /// Numbers a dropout, so that each use draws for itself; one that never drops
  /// goes.
  LogicalResult settle(DropoutOp dropout, Operation *written, Frame &f) {
    std::optional<double> p = evaluate(dropout.getP());
    if (!p)
      return dropout.emitOpError("drops with a probability that is no number");
    if (failed(dropout.verify()))
      return failure();
    if (*p == 0) {
      f.map.map(written->getResult(0), dropout.getX());
      dropout.erase();
    } else if (!dropout.getStream()) {
      dropout.setStreamAttr(DimAttr::get(ctx, dropouts++));
    }
    return success();
  }
  FailureOr<bool> decide(IfOp i, Frame &f) {
    auto l = dyn_cast<DimAttr>(substitute(i.getLhs(), f.env));
    std::optional<int64_t> a = l ? l.constant() : std::nullopt, c = 0;
    if (i.getRhs()) {
      auto x = dyn_cast<DimAttr>(substitute(*i.getRhs(), f.env));
      c = x ? x.constant() : std::nullopt;
    }
    if (!a || !c)
      return i.emitOpError(
          "cannot be decided: its condition is not a whole number");
    if (!i.getCmp())
      return *a != 0;
    return *i.getCmp() == "not"  ? *a == 0
           : *i.getCmp() == "==" ? *a == *c
                                 : *a < *c;
  }
  LogicalResult call(CallOp c, Frame &f) {
    Operation *callee = lookupCallable(c, c.getCallee());
    Frame g;
    SmallVector<Value> args;
    for (Value v : c.getOperands())
      args.push_back(f.map.lookup(v));
    if (callee->getParentOp() == model.getOperation())
      g.env = names;
    if (failed(bindNames(
            c, callee, SmallVector<Type>(ValueRange(args).getTypes()), f.env,
            [&](StringAttr n) { return f.env.count(n) != 0; }, g.env)))
      return failure();
    g.map.map(callee->getRegion(0).getArguments(), args);
    g.scope = join(f.scope, c.getScope() ? fill(*c.getScope(), f.env) : "");
    g.caller = f.caller ? Location(CallSiteLoc::get(c.getLoc(), *f.caller))
                        : c.getLoc();
    SmallVector<Value> out;
    if (failed(emit(callee->getRegion(0).front(), g, out)))
      return failure();
    f.map.map(c.getResults(), out);
    return success();
  }
  LogicalResult repeat(RepeatOp rep, Frame &f) {
    auto n = dyn_cast<DimAttr>(substitute(rep.getCount(), f.env));
    if (!n || !n.constant())
      return rep.emitOpError()
             << "count '" << rep.getCount().str() << "' is not a whole number";
    SmallVector<Value> carried;
    for (Value v : rep.getInits())
      carried.push_back(f.map.lookup(v));
    for (int64_t i = 0; i < *n.constant(); ++i) {
      Frame g{f.env, f.map, f.scope, f.caller};
      g.env[rep.getIndexAttr()] = DimAttr::get(ctx, i);
      if (rep.getScope())
        g.scope = join(f.scope, fill(*rep.getScope(), g.env));
      g.map.map(rep.getBody().getArguments(), carried);
      SmallVector<Value> out;
      if (failed(emit(rep.getBody().front(), g, out)))
        return failure();
      carried = out;
    }
    f.map.map(rep.getResults(), carried);
    return success();
  }

  ModelOp model;
  const InstantiateOptions &options;
  MLIRContext *ctx;
  OpBuilder b;
  Env config; ///< final values
  Env names;  ///< the same for the program at hand: `--shape` differs
  ModelOp out;
  StateOp lastState;
  llvm::StringMap<StateOp> parameters;
  llvm::StringMap<Value> params;
  int64_t dropouts = 0; ///< Of the program at hand.
  Operation *lastParam = nullptr;
  Block *entry = nullptr;
};
} // namespace
FailureOr<ModelOp> bitbyte::bb::instantiate(ModelOp m,
                                            const InstantiateOptions &o) {
  return Instantiator(m, o).run();
}
