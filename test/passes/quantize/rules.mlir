// Without a rule nothing changes; a rule is refused by name.
// RUN: bb-opt %s --bb-quantize | FileCheck %s
// RUN: not bb-opt %s --bb-quantize=rules=layers.*.weight=int8/row 2>&1 | FileCheck %s --check-prefix=RULE
// RUN: not bb-opt %s --bb-quantize=rules=int8/row 2>&1 | FileCheck %s --check-prefix=FORM

// RULE: error: quantize rule 'layers.*.weight=int8/row': no target has kernels for values in encoding 'int8/row'
// FORM: error: quantize rule 'int8/row' is not of the form PATTERN=ENCODING

// CHECK: state @layers.0.weight f32[4, 8] parameter init ones group "decay"
bb.model @m() {
  state @layers.0.weight f32[4, 8] parameter init ones group "decay"
  program @logits(%x: f32[2, 8]) -> f32[2, 4] {
    %w = read @layers.0.weight f32[4, 8]
    %y = linear %x, %w
    return %y
  }
}
