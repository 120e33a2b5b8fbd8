// A program that only drops: element 0 at [0, 0, 0].
bb.model @masks(batch B = 3, stream T = 5, width = 1037, p = 0.3) {
  program @mask(%x: f32[B, T, width], %seed: i32[], %counter: i32[]) -> f32[B, T, width] {
    %y = dropout %x p p stream 5 seed %seed counter %counter
    return %y
  }
}
