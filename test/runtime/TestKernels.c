// Kernels of a toy model, so that the runtime is tested without the compiler.
//
// The model has one parameter per byte, w [256], and says
//   nats[i] = (w[bytes[i]] - next[i] / 256)^2 / 2.
// `prepare` keeps twice[256] = 2 w, and `update` is AdamW without weight decay.
#include <stdint.h>

#define KERNEL(name)                                                           \
  void name(void *const *buffers, const int64_t *scalars, void *scratch,       \
            int64_t begin, int64_t end)

static float error(const uint8_t *bytes, const uint8_t *next, const float *w,
                   int64_t i) {
  return w[bytes[i]] - next[i] / 256.0f;
}

// bytes, next, w -> nats; a program per position.
KERNEL(toy_score) {
  const uint8_t *bytes = buffers[0], *next = buffers[1];
  const float *w = buffers[2];
  float *nats = buffers[3];
  for (int64_t i = begin; i < end; ++i) {
    float e = error(bytes, next, w, i);
    nats[i] = e * e / 2;
  }
}

// bytes, next, w, weight -> gradient (added to), loss; one program.
KERNEL(toy_micro) {
  const uint8_t *bytes = buffers[0], *next = buffers[1];
  const float *w = buffers[2], *weight = buffers[3];
  float *gradient = buffers[4], *loss = buffers[5];
  float sum = 0;
  for (int64_t i = 0; i < scalars[0]; ++i) {
    float e = error(bytes, next, w, i);
    sum += e * e / 2;
    gradient[bytes[i]] += weight[0] * e;
  }
  loss[0] = weight[0] * sum;
}

// w -> twice; a program per 64 elements.
KERNEL(toy_prepare) {
  const float *w = buffers[0];
  float *twice = buffers[1];
  for (int64_t i = begin * 64; i < end * 64; ++i)
    twice[i] = 2 * w[i];
}

static float root(float x) { return __builtin_sqrtf(x); }

// lr, beta1, one_minus_beta1, beta2, one_minus_beta2, eps, rate1, rate2, clip
// -> w, gradient, m, v, step, norm, ok; one program.
KERNEL(toy_update) {
  float n[9];
  for (int i = 0; i < 9; ++i)
    n[i] = *(const float *)buffers[i];
  float *w = buffers[9], *g = buffers[10], *m = buffers[11], *v = buffers[12];
  int32_t *step = buffers[13];
  float *norm = buffers[14], *ok = buffers[15];
  float square = 0;
  for (int i = 0; i < 256; ++i)
    square += g[i] * g[i];
  norm[0] = root(square);
  ok[0] = norm[0] - norm[0] == 0;
  float factor = norm[0] > n[8] ? n[8] / norm[0] : 1;
  for (int i = 0; i < 256; ++i) {
    if (ok[0] != 0) {
      m[i] = n[1] * m[i] + n[2] * g[i] * factor;
      v[i] = n[3] * v[i] + n[4] * g[i] * factor * g[i] * factor;
      w[i] -= n[0] * m[i] * n[6] / (root(v[i] * n[7]) + n[5]);
    }
    g[i] = 0;
  }
  step[0] += ok[0] != 0;
}

// -> numbers [programs]: what scalar 0 and the program number give, by way of
// the worker's scratch.
KERNEL(toy_number) {
  int64_t *numbers = buffers[0], *own = scratch;
  for (int64_t i = begin; i < end; ++i) {
    own[i % 8] = i * scalars[0];
    numbers[i] = own[i % 8] + 1;
  }
}

// tiny [1] -> halved [programs]: zero where denormals are flushed.
KERNEL(toy_denormal) {
  const volatile float *tiny = buffers[0];
  float *halved = buffers[1];
  for (int64_t i = begin; i < end; ++i)
    halved[i] = tiny[0] * 0.5f;
}

// constant [64] -> sum [1]
KERNEL(toy_constant) {
  const float *constant = buffers[0];
  float *sum = buffers[1];
  sum[0] = 0;
  for (int i = 0; i < 64; ++i)
    sum[0] += constant[i];
}

// bytes -> logits [positions, 256]: the letter after, most likely; a program per
// position.
KERNEL(toy_logits) {
  const uint8_t *bytes = buffers[0];
  float *logits = buffers[1];
  for (int64_t i = begin; i < end; ++i)
    for (int id = 0; id < 256; ++id)
      logits[i * 256 + id] = id == bytes[i] + 1 ? 8 : 0;
}
