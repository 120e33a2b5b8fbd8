//===- GatherCases.cpp - Rows of ops that read or write at indices --------===//

#include "test/ops/OpCase.h"

namespace bitbyte::bb::ops {

namespace {

int64_t whole(const Inputs &in, const std::string &name) {
  return int64_t(in[name][0]);
}

double embed(const Inputs &in, const Index &at, unsigned) {
  return in["table"].at(int64_t(in["ids"].at(at[0], at[1])), at[2]);
}

double scatterAdd(const Inputs &in, const Index &at, unsigned) {
  const Array &ids = in["ids"], &x = in["x"];
  double sum = 0;
  for (int64_t b = 0; b < ids.dim(0); ++b)
    for (int64_t t = 0; t < ids.dim(1); ++t)
      if (int64_t(ids.at(b, t)) == at[0])
        sum += x.at(b, t, at[1]);
  return sum;
}

/// The newest row that was written to a slot, else what the ring held.
double append(const Inputs &in, const Index &at, unsigned) {
  const Array &ring = in["ring"], &rows = in["rows"];
  double y = ring.at(at[0], at[1], at[2]);
  for (int64_t i = 0; i < rows.dim(1); ++i)
    if ((whole(in, "at") + i) % ring.dim(1) == at[1])
      y = rows.at(at[0], i, at[2]);
  return y;
}

} // namespace

std::vector<OpCase> gatherCases() {
  std::vector<OpCase> cases;
  for (const char *type : {"u8", "i32"}) {
    std::string ids = "%ids: " + std::string(type) + "[B, T] in 0..V";
    cases.push_back(
        {.op = "embed",
         .signature = ids + ", %table: real[V, D] -> real[B, T, D]",
         .body = "embed %ids, %table",
         .sizes = {"B=1 T=1 V=1 D=1", "B=2 T=3 V=7 D=37", "B=2 T=9 V=250 D=16"},
         .element = embed,
         .bf16 = true});
    cases.push_back({.op = "scatter_add",
                     .signature = ids + ", %x: real[B, T, D] -> real[V, D]",
                     .body = "scatter_add %ids, %x rows V",
                     .sizes = {"B=1 T=1 V=1 D=1", "B=2 T=9 V=250 D=16",
                               "B=3 T=70 V=5 D=37"},
                     .element = scatterAdd,
                     .bf16 = true});
    cases.push_back({.op = "one_hot",
                     .signature = ids + " -> f32[B, T, N]",
                     .body = "one_hot %ids of N",
                     .sizes = {"B=1 T=1 V=1 N=1", "B=2 T=3 V=7 N=37",
                               "B=2 T=3 V=40 N=37"}, // and ids that are outside
                     .element =
                         [](const Inputs &in, const Index &at, unsigned) {
                           return double(in["ids"].at(at[0], at[1]) ==
                                         double(at[2]));
                         },
                     .noGradient = "ids are whole numbers"});
  }
  // Sums of many rows must not be rounded one by one.
  cases.push_back({.op = "scatter_add",
                   .signature = "%ids: u8[B, T] in 0..V, %x: real[B, T, D] -> "
                                "f32[V, D]",
                   .body = "scatter_add %ids, %x rows V into f32",
                   .sizes = {"B=2 T=90 V=3 D=21"},
                   .element = scatterAdd,
                   .bf16 = true});
  cases.push_back(
      {.op = "append",
       .signature = "%ring: real[B, C, D], %rows: real[B, N, D], %at: i32[] in "
                    "A..Z -> real[B, C, D]",
       .body = "append %ring, %rows, %at",
       .sizes = {"B=1 C=1 N=1 D=1 A=0 Z=1", "B=2 C=7 N=3 D=37 A=5 Z=6",
                 "B=1 C=5 N=5 D=16 A=13 Z=14", "B=2 C=9 N=4 D=130 A=0 Z=1"},
       .element = append,
       .bf16 = true,
       .noGradient = "what generates does not learn"});
  cases.push_back({.op = "pick",
                   .signature = "%ring: real[B, C, D], %at: i32[] in A..Z -> "
                                "real[B, 1, D]",
                   .body = "pick %ring, %at",
                   .sizes = {"B=1 C=1 D=1 A=3 Z=4", "B=2 C=7 D=37 A=5 Z=6",
                             "B=2 C=7 D=16 A=20 Z=21"},
                   .element =
                       [](const Inputs &in, const Index &at, unsigned) {
                         const Array &ring = in["ring"];
                         return ring.at(at[0], whole(in, "at") % ring.dim(1),
                                        at[2]);
                       },
                   .bf16 = true,
                   .noGradient = "what generates does not learn"});
  for (bool hasPeriod : {false, true})
    cases.push_back(
        {.op = "at_start",
         .signature = "%first: real[D], %rest: real[B, 1, D], %at: i32[] in "
                      "A..Z -> real[B, 1, D]",
         .body = "at_start %first, %rest, %at" +
                 std::string(hasPeriod ? " period P" : ""),
         .sizes = {"B=1 D=1 A=0 Z=1 P=4", "B=2 D=37 A=8 Z=9 P=4",
                   "B=2 D=16 A=6 Z=7 P=4"},
         .element =
             [=](const Inputs &in, const Index &at, unsigned) {
               int64_t place = whole(in, "at");
               bool starts = hasPeriod ? place % in.size("P") == 0 : place == 0;
               return in.aligned(starts ? "first" : "rest", at);
             },
         .bf16 = true,
         .noGradient = "what generates does not learn"});
  for (bool hasPeriod : {false, true})
    for (bool hasAt : {false, true})
      cases.push_back(
          {.op = "positions",
           .signature =
               (hasAt ? "%at: i32[] in A..Z" : "") + std::string(" -> i32[T]"),
           .body = "positions of T" +
                   std::string(hasPeriod ? " period P" : "") +
                   (hasAt ? " at %at" : ""),
           .sizes = {"T=1 P=1 A=5 Z=6", "T=37 P=5 A=13 Z=14"},
           .element =
               [=](const Inputs &in, const Index &at, unsigned) {
                 int64_t place = at[0] + (hasAt ? whole(in, "at") : 0);
                 return double(hasPeriod ? place % in.size("P") : place);
               },
           .noGradient = "whole numbers"});
  return cases;
}

} // namespace bitbyte::bb::ops
