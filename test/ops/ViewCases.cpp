//===- ViewCases.cpp - Rows of ops that move elements ---------------------===//

#include "test/ops/OpCase.h"

namespace bitbyte::bb::ops {

namespace {

/// The element of x at a place in row-major order.
Element renamed() {
  return [](const Inputs &in, const Index &at, unsigned) {
    // The result's shape is not at hand: its axes are named by the sizes.
    const Array &x = in["x"];
    int64_t place = 0;
    for (size_t axis = 0; axis < at.size(); ++axis)
      place = place * in.size(std::string("Y") + char('0' + axis)) + at[axis];
    return x[place];
  };
}

} // namespace

std::vector<OpCase> viewCases() {
  std::vector<OpCase> cases;
  // Floats in both widths, and whole numbers.
  struct Kind {
    const char *type;
    bool isFloat;
  };
  const std::string none = "whole numbers";
  for (Kind kind : {Kind{"real", true}, Kind{"i32", false}}) {
    std::string type = kind.type;
    std::string why = kind.isFloat ? "" : none;
    auto add = [&](OpCase row) {
      row.bf16 = kind.isFloat;
      row.noGradient = why;
      cases.push_back(std::move(row));
    };
    add({.op = "reshape",
         .signature = "%x: " + type + "[B, T, D] -> " + type + "[Y0, Y1]",
         .body = "reshape %x to [Y0, Y1]",
         .sizes = {"B=1 T=1 D=1 Y0=1 Y1=1", "B=2 T=3 D=37 Y0=6 Y1=37",
                   "B=2 T=3 D=10 Y0=4 Y1=15"},
         .element = renamed()});
    // Between two ops that compute.
    if (kind.isFloat)
      add({.op = "reshape",
           .signature = "%x: real[B, T, D] -> real[Y0, Y1, Y2]",
           .body = "%a = neg %x\n%b = reshape %a to [Y0, Y1, Y2]\n"
                   "%c = neg %b\nreturn %c",
           .sizes = {"B=2 T=3 D=10 Y0=4 Y1=5 Y2=3",
                     "B=2 T=3 D=7 Y0=2 Y1=3 Y2=7"},
           .element = renamed()});
    add({.op = "transpose",
         .signature = "%x: " + type + "[B, T, D] -> " + type + "[D, B, T]",
         .body = "transpose %x by [2, 0, 1]",
         .sizes = {"B=1 T=1 D=1", "B=2 T=3 D=37", "B=5 T=16 D=9"},
         .element = [](const Inputs &in, const Index &at, unsigned) {
           return in["x"].at(at[1], at[2], at[0]);
         }});
    add({.op = "transpose",
         .signature =
             "%x: " + type + "[B, T, H, D] -> " + type + "[B, H, T, D]",
         .body = "transpose %x by [0, 2, 1, 3]",
         .sizes = {"B=1 T=5 H=1 D=3", "B=2 T=3 H=4 D=19"},
         .element = [](const Inputs &in, const Index &at, unsigned) {
           return in["x"].at(at[0], at[2], at[1], at[3]);
         }});
    for (const char *shape : {"[1, D]", "[B, 1, D]", "[T, 1]", "[]"})
      add({.op = "broadcast",
           .signature = "%x: " + type + shape + " -> " + type + "[B, T, D]",
           .body = "broadcast %x to [B, T, D]",
           .sizes = {"B=1 T=1 D=1", "B=2 T=3 D=37"},
           .element = [](const Inputs &in, const Index &at, unsigned) {
             return in.aligned("x", at);
           }});
    for (bool isLast : {false, true}) {
      auto moved = [=](Index at, int64_t by) {
        at[isLast ? 2 : 1] += by;
        return at;
      };
      std::string out = isLast ? "[B, T, S]" : "[B, S, D]";
      add({.op = "slice",
           .signature = "%x: " + type + "[B, T, D] -> " + type + out,
           .body = "slice %x axis " + std::string(isLast ? "-1" : "1") +
                   " from F size S",
           .sizes = {"B=1 T=1 D=1 F=0 S=1", "B=2 T=37 D=41 F=3 S=17",
                     "B=2 T=9 D=16 F=8 S=1"},
           .element = [=](const Inputs &in, const Index &at, unsigned) {
             return in.aligned("x", moved(at, in.size("F")));
           }});
      add({.op = "pad",
           .signature = "%x: " + type + "[B, T, D] -> " + type +
                        (isLast ? "[B, T, F+D+A]" : "[B, F+T+A, D]"),
           .body = "pad %x axis " + std::string(isLast ? "2" : "1") +
                   " before F after A",
           .sizes = {"B=1 T=1 D=1 F=0 A=1", "B=2 T=3 D=37 F=3 A=0",
                     "B=2 T=5 D=16 F=1 A=2"},
           .element = [=](const Inputs &in, const Index &at, unsigned) {
             Index from = moved(at, -in.size("F"));
             int64_t i = from[isLast ? 2 : 1];
             bool inside = i >= 0 && i < in["x"].dim(isLast ? 2 : 1);
             return inside ? in.aligned("x", from) : 0.0;
           }});
    }
    add({.op = "split",
         .signature = "%x: " + type + "[B, T, D] -> " + type + "[B, T, P], " +
                      type + "[B, T, 1], " + type + "[B, T, Q]",
         .body = "%p, %q, %r = split %x into [P, 1, Q]\nreturn %p, %q, %r",
         .sizes = {"B=1 T=1 D=3 P=1 Q=1", "B=2 T=3 D=37 P=16 Q=20"},
         .element = [](const Inputs &in, const Index &at, unsigned r) {
           int64_t before = r == 0 ? 0 : in.size("P") + (r == 2);
           return in["x"].at(at[0], at[1], before + at[2]);
         }});
    add({.op = "concat",
         .signature = "%p: " + type + "[B, T, P], %q: " + type +
                      "[B, T, 1], %r: " + type + "[B, T, Q] -> " + type +
                      "[B, T, P+1+Q]",
         .body = "concat %p, %q, %r",
         .sizes = {"B=1 T=1 P=1 Q=1", "B=2 T=3 P=16 Q=20"},
         .element = [](const Inputs &in, const Index &at, unsigned) {
           int64_t p = in.size("P"), i = at[2];
           const Array &part = in[i < p ? "p" : i == p ? "q" : "r"];
           return part.at(at[0], at[1], i < p ? i : i == p ? 0 : i - p - 1);
         }});
    for (bool hasPeriod : {false, true})
      for (const char *first : {"[D]", "[B, 1, D]"})
        add({.op = "shift",
             .signature = "%x: " + type + "[B, T, D], %first: " + type + first +
                          " -> " + type + "[B, T, D]",
             .body =
                 "shift %x, %first" + std::string(hasPeriod ? " period P" : ""),
             .sizes = {"B=1 T=1 D=1 P=1", "B=2 T=6 D=37 P=3",
                       "B=2 T=8 D=16 P=1"},
             .element = [=](const Inputs &in, const Index &at, unsigned) {
               if (at[1] % (hasPeriod ? in.size("P") : in["x"].dim(1)) == 0)
                 return in.aligned("first", at);
               return in["x"].at(at[0], at[1] - 1, at[2]);
             }});
    add({.op = "shift",
         .signature = "%x: " + type + "[B, T, H, D], %first: " + type +
                      "[H, D] -> " + type + "[B, T, H, D]",
         .body = "shift %x, %first",
         .sizes = {"B=2 T=5 H=3 D=7"},
         .element = [](const Inputs &in, const Index &at, unsigned) {
           return at[1] == 0 ? in.aligned("first", at)
                             : in["x"].at(at[0], at[1] - 1, at[2], at[3]);
         }});
    add({.op = "patch",
         .signature = "%x: " + type + "[B, P*T, D] -> " + type + "[B, T, P*D]",
         .body = "patch %x by P",
         .sizes = {"B=1 T=1 D=1 P=1", "B=2 T=3 D=37 P=4"},
         .element = [](const Inputs &in, const Index &at, unsigned) {
           int64_t d = in.size("D");
           return in["x"].at(at[0], at[1] * in.size("P") + at[2] / d,
                             at[2] % d);
         }});
    add({.op = "unpatch",
         .signature = "%x: " + type + "[B, T, P*D] -> " + type + "[B, P*T, D]",
         .body = "unpatch %x by P",
         .sizes = {"B=1 T=1 D=1 P=1", "B=2 T=3 D=37 P=4"},
         .element = [](const Inputs &in, const Index &at, unsigned) {
           int64_t p = in.size("P");
           return in["x"].at(at[0], at[1] / p,
                             at[1] % p * in.size("D") + at[2]);
         }});
  }
  return cases;
}

} // namespace bitbyte::bb::ops
