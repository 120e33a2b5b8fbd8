// One sequence of few channels does not fill a GPU: time is cut into parts. What each
// starts from comes of a pass over the items and one over the parts, backwards from dy
// behind its gate. Parts give sums of their own for dA and dskip.
// RUN: bb-opt %s --bb-tile=target=cuda | FileCheck %s

bb.model @parts() {
  program @p(%x: f32[1, 258, 64], %dt: f32[1, 258, 64], %a: f32[64, 16],
             %b: f32[1, 258, 16], %c: f32[1, 258, 16], %skip: f32[64],
             %z: f32[1, 258, 64], %dy: f32[1, 258, 64])
      -> f32[1, 258, 64], f32[1, 258, 64], f32[64] {
    %y, %s = selective_scan %x, %dt, %a, %b, %c skip %skip gate %z save 32
    %dx, %ddt, %da, %db, %dc, %dskip, %dz = selective_scan_grad %x, %dt, %a, %b, %c, %s, %dy skip %skip gate %z save 32
    return %y, %dx, %dskip
  }
  // More items than a part wants, but a state to go on from and to give back.
  program @from(%x: f32[1, 258, 64], %dt: f32[1, 258, 64], %a: f32[64, 16],
                %b: f32[1, 258, 16], %c: f32[1, 258, 16], %h: f32[1, 16, 64])
      -> f32[1, 258, 64], f32[1, 16, 64] {
    %y, %s = selective_scan %x, %dt, %a, %b, %c from %h
    return %y, %s
  }
  // Seven chunks are too few.
  program @short(%x: f32[1, 224, 64], %dt: f32[1, 224, 64], %a: f32[64, 16],
                 %b: f32[1, 224, 16], %c: f32[1, 224, 16]) -> f32[1, 224, 64] {
    %y = selective_scan %x, %dt, %a, %b, %c
    return %y
  }
}
// CHECK-LABEL: program @p
// CHECK: [[FORTH:%.*]]:2 = tile.dispatch @selective_scan_parts_0(%x, %dt, %a, %b)
// CHECK-SAME: f32[1, 2, 16, 64]
// CHECK: [[START:%.*]] = tile.dispatch @selective_scan_parts_1(%a, [[FORTH]]#0, [[FORTH]]#1)
// CHECK: tile.dispatch @selective_scan_0(%x, %dt, %a, %b, %c, %skip, %z, [[START]])
// CHECK: [[BACK:%.*]]:2 = tile.dispatch @selective_scan_parts_2(%dy, %dt, %a, %c, %z)
// CHECK: [[BEHIND:%.*]] = tile.dispatch @selective_scan_parts_3(%a, [[BACK]]#0, [[BACK]]#1)
// CHECK: [[GRADS:%.*]]:7 = tile.dispatch @selective_scan_grad_0({{.*}}, %dy, %skip, %z, [[BEHIND]])
// CHECK-SAME: f32[2, 64]
// CHECK: tile.dispatch @sum_parts_{{.*}}([[GRADS]]#5)
// CHECK-LABEL: program @from
// CHECK-NOT: selective_scan_parts
// CHECK-LABEL: program @short
// CHECK-NOT: selective_scan_parts
