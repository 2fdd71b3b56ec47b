// The arithmetic of `thin.cpp`: vectors of 16 numbers. Included there alone.
#pragma once

#include <cstdint>

namespace {

enum class Activation : int32_t { kNone = 0, kClamp = 1, kSilu = 2 };

}  // namespace

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define EYELINE_THIN 1
#include <immintrin.h>

// Nothing of the standard library is called from here to `pop_options`: it would be compiled for this processor alone.
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")
// A product and a sum that oneDNN rounds apart must not become one.
#pragma GCC optimize("O3,fp-contract=off")

namespace {

// Values of a vector.
constexpr int64_t kLanes = 16;

// oneDNN's x / (1 + exp(-x)) of several vectors at once, so that one's multiplications fill the other's waiting.
// Source: oneDNN 3.10, src/cpu/x64/injectors/jit_uni_eltwise_injector.cpp: swish, logistic and exp, with their constants.
template <int N>
inline void silu(__m512 (&x)[N]) {
  const __m512 one = _mm512_set1_ps(1.0f);
  const __m512i sign = _mm512_set1_epi32(INT32_MIN);
  __m512 power[N], rest[N], whole[N];
  // exp(-|x|) = 2^whole · exp(rest), the latter by a polynomial.
#pragma GCC unroll 8
  for (int i = 0; i < N; ++i) {
    const __m512 negative = _mm512_castsi512_ps(_mm512_or_si512(_mm512_castps_si512(x[i]), sign));
    const __m512 scaled = _mm512_add_ps(_mm512_mul_ps(negative, _mm512_set1_ps(0x1.715476p0f)), _mm512_set1_ps(0.5f));
    whole[i] = _mm512_roundscale_ps(scaled, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    rest[i] = _mm512_fnmadd_ps(whole[i], _mm512_set1_ps(0x1.62e430p-1f), negative);
    power[i] = _mm512_set1_ps(0x1.0f9f9cp-7f);
  }
  const float terms[] = {0x1.573a1ap-5f, 0x1.555a80p-3f, 0x1.fffdc6p-2f, 0x1.fffff6p-1f, 1.0f};
#pragma GCC unroll 8
  for (float term : terms) {
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) power[i] = _mm512_fmadd_ps(power[i], rest[i], _mm512_set1_ps(term));
  }
#pragma GCC unroll 8
  for (int i = 0; i < N; ++i) {
    // Smaller powers are zero there.
    const __mmask16 there = _mm512_cmp_ps_mask(whole[i], _mm512_set1_ps(-126.0f), _CMP_GT_OS);
    power[i] = _mm512_maskz_scalef_ps(there, power[i], whole[i]);
    const __m512 below = _mm512_div_ps(power[i], _mm512_add_ps(power[i], one));
    const __mmask16 is_negative = _mm512_movepi32_mask(_mm512_castps_si512(x[i]));
    x[i] = _mm512_mul_ps(x[i], _mm512_mask_mov_ps(_mm512_sub_ps(one, below), is_negative, below));
  }
}

struct Finish {
  Activation activation;
  float low, high;

  template <int N>
  inline void apply(__m512 (&x)[N]) const {
    if (activation == Activation::kSilu) return silu(x);
    if (activation == Activation::kNone) return;
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) {
      x[i] = _mm512_min_ps(_mm512_max_ps(x[i], _mm512_set1_ps(low)), _mm512_set1_ps(high));
    }
  }

  // Sums become results: `count` of them, `sums` readable up to the next full vector.
  inline void run(const float* sums, uint16_t* out, int64_t count) const {
    int64_t i = 0;
    for (; i + 4 * kLanes <= count; i += 4 * kLanes) {
      __m512 x[4];
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) x[v] = _mm512_loadu_ps(sums + i + v * kLanes);
      apply(x);
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i + v * kLanes), (__m256i)_mm512_cvtneps_pbh(x[v]));
      }
    }
    for (; i < count; i += kLanes) {
      __m512 x[1] = {_mm512_loadu_ps(sums + i)};
      apply(x);
      const int64_t left = count - i;
      const __mmask16 there = left >= kLanes ? 0xffff : static_cast<__mmask16>((1u << left) - 1);
      _mm256_mask_storeu_epi16(out + i, there, (__m256i)_mm512_cvtneps_pbh(x[0]));
    }
  }

  // Rows of `count` results without gaps, from sums with `stride` values a row.
  inline void rows(const float* sums, int64_t stride, uint16_t* out, int64_t count, int64_t rows) const {
    if (stride == count) return run(sums, out, rows * count);
    for (int64_t row = 0; row < rows; ++row) run(sums + row * stride, out + row * count, count);
  }
};

// 1x1: sums of PIXELS pixels times BLOCKS blocks of 16 filters. `weights`: for each block, for each pair of channels, the pair
// of each filter.
template <int PIXELS, int BLOCKS>
inline void multiply(const uint16_t* in, int64_t channels, const uint16_t* weights, const float* bias, float* sums,
                     int64_t stride) {
  __m512 sum[PIXELS][BLOCKS];
#pragma GCC unroll 16
  for (int p = 0; p < PIXELS; ++p) {
#pragma GCC unroll 4
    for (int b = 0; b < BLOCKS; ++b) sum[p][b] = _mm512_setzero_ps();
  }
  for (int64_t c = 0; c < channels; c += 2) {
    __m512bh weight[BLOCKS];
#pragma GCC unroll 4
    for (int b = 0; b < BLOCKS; ++b) {
      weight[b] = (__m512bh)_mm512_loadu_si512(weights + b * kLanes * channels + c * kLanes);
    }
#pragma GCC unroll 16
    for (int p = 0; p < PIXELS; ++p) {
      int32_t both;
      __builtin_memcpy(&both, in + p * channels + c, sizeof both);
      const __m512bh pair = (__m512bh)_mm512_set1_epi32(both);
#pragma GCC unroll 4
      for (int b = 0; b < BLOCKS; ++b) sum[p][b] = _mm512_dpbf16_ps(sum[p][b], weight[b], pair);
    }
  }
#pragma GCC unroll 16
  for (int p = 0; p < PIXELS; ++p) {
#pragma GCC unroll 4
    for (int b = 0; b < BLOCKS; ++b) {
      _mm512_storeu_ps(sums + p * stride + b * kLanes, _mm512_add_ps(sum[p][b], _mm512_loadu_ps(bias + b * kLanes)));
    }
  }
}

// As many as registers hold, then one by one.
template <int PIXELS, int BLOCKS>
inline void multiply_all(const uint16_t* in, int64_t pixels, int64_t channels, const uint16_t* weights, const float* bias,
                         float* sums, int64_t stride) {
  int64_t p = 0;
  for (; p + PIXELS <= pixels; p += PIXELS) {
    multiply<PIXELS, BLOCKS>(in + p * channels, channels, weights, bias, sums + p * stride, stride);
  }
  for (; p < pixels; ++p) multiply<1, BLOCKS>(in + p * channels, channels, weights, bias, sums + p * stride, stride);
}

// Pixels whose sums lie in the first cache at once.
constexpr int64_t kGroup = 12;

struct Pointwise {
  int64_t channels, filters;
  const uint16_t* weights;
  const float* bias;
  Finish finish;

  void run(const uint16_t* in, uint16_t* out, int64_t pixels, float* sums) const {
    const int64_t blocks = (filters + kLanes - 1) / kLanes, stride = blocks * kLanes;
    for (int64_t first = 0; first < pixels; first += kGroup) {
      const int64_t group = pixels - first < kGroup ? pixels - first : kGroup;
      const uint16_t* at = in + first * channels;
      for (int64_t b = 0; b < blocks; b += 4) {
        const uint16_t* w = weights + b * kLanes * channels;
        const float* shift = bias + b * kLanes;
        float* to = sums + b * kLanes;
        switch (blocks - b) {
          case 1: multiply_all<12, 1>(at, group, channels, w, shift, to, stride); break;
          case 2: multiply_all<12, 2>(at, group, channels, w, shift, to, stride); break;
          case 3: multiply_all<6, 3>(at, group, channels, w, shift, to, stride); break;
          default: multiply_all<6, 4>(at, group, channels, w, shift, to, stride); break;
        }
      }
      finish.rows(sums, stride, out + first * filters, filters, group);
    }
  }
};

// Each value with a zero for its partner, so that a product of pairs is that of the values: what oneDNN does.
inline __m512bh paired(__m256i values) { return (__m512bh)_mm512_cvtepu16_epi32(values); }

// Depthwise: one row of results.
struct Depthwise {
  int64_t channels, height, width, stride, padding, out_width;
  // (rows · columns, channels rounded up to a vector).
  const uint16_t* weights;
  const float* bias;
  Finish finish;

  inline __m512bh tap(int64_t number, int64_t channel, int64_t padded) const {
    return paired(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(weights + number * padded + channel)));
  }

  // Sums of N results side by side, all of whose columns are there, in 16 channels.
  template <int SIDE, int STRIDE, int N, bool IS_FULL>
  inline void inner(const uint16_t* in, int64_t first_row, int64_t first_column, int64_t channel, __mmask16 there,
                    float* sums, int64_t padded) const {
    constexpr int COLUMNS = (N - 1) * STRIDE + SIDE;
    __m512 sum[N];
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) sum[n] = _mm512_setzero_ps();
    for (int row = 0; row < SIDE; ++row) {
      const int64_t y = first_row + row;
      if (y < 0 || y >= height) continue;
      const uint16_t* at = in + (y * width + first_column) * channels + channel;
      __m512bh value[COLUMNS];
#pragma GCC unroll 16
      for (int c = 0; c < COLUMNS; ++c) {
        const auto* from = at + c * channels;
        value[c] = paired(IS_FULL ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))
                                  : _mm256_maskz_loadu_epi16(there, from));
      }
#pragma GCC unroll 8
      for (int column = 0; column < SIDE; ++column) {
        const __m512bh weight = tap(row * SIDE + column, channel, padded);
#pragma GCC unroll 8
        for (int n = 0; n < N; ++n) sum[n] = _mm512_dpbf16_ps(sum[n], weight, value[n * STRIDE + column]);
      }
    }
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) _mm512_storeu_ps(sums + n * padded + channel, _mm512_add_ps(sum[n], _mm512_loadu_ps(bias + channel)));
  }

  // One result at the left or right border.
  inline void border(const uint16_t* in, int64_t side, int64_t first_row, int64_t first_column, int64_t channel,
                     __mmask16 there, float* sums, int64_t padded) const {
    __m512 sum = _mm512_setzero_ps();
    for (int64_t row = 0; row < side; ++row) {
      const int64_t y = first_row + row;
      if (y < 0 || y >= height) continue;
      for (int64_t column = 0; column < side; ++column) {
        const int64_t x = first_column + column;
        if (x < 0 || x >= width) continue;
        const __m512bh value = paired(_mm256_maskz_loadu_epi16(there, in + (y * width + x) * channels + channel));
        sum = _mm512_dpbf16_ps(sum, tap(row * side + column, channel, padded), value);
      }
    }
    _mm512_storeu_ps(sums + channel, _mm512_add_ps(sum, _mm512_loadu_ps(bias + channel)));
  }

  template <int SIDE, int STRIDE>
  void run(const uint16_t* in, int64_t out_row, uint16_t* out, float* sums) const {
    // So many that their sums and what they read fit the registers.
    constexpr int N = 6;
    const int64_t padded = (channels + kLanes - 1) / kLanes * kLanes, first_row = out_row * STRIDE - padding;
    // Results from `begin` to `end` touch no border to the left or right.
    int64_t begin = (padding + STRIDE - 1) / STRIDE, end = (width + padding - SIDE) / STRIDE + 1;
    begin = begin < out_width ? begin : out_width;
    end = end < begin ? begin : (end < out_width ? end : out_width);
    for (int64_t channel = 0; channel < channels; channel += kLanes) {
      const int64_t left = channels - channel;
      const __mmask16 there = left >= kLanes ? 0xffff : static_cast<__mmask16>((1u << left) - 1);
      const auto one = [&](int64_t x) __attribute__((always_inline)) {
        border(in, SIDE, first_row, x * STRIDE - padding, channel, there, sums + x * padded, padded);
      };
      const auto several = [&](int64_t x) __attribute__((always_inline)) {
        const int64_t column = x * STRIDE - padding;
        if (left >= kLanes) {
          inner<SIDE, STRIDE, N, true>(in, first_row, column, channel, there, sums + x * padded, padded);
        } else {
          inner<SIDE, STRIDE, N, false>(in, first_row, column, channel, there, sums + x * padded, padded);
        }
      };
      for (int64_t x = 0; x < begin; ++x) one(x);
      int64_t x = begin;
      for (; x + N <= end; x += N) several(x);
      // The last ones are computed again rather than one by one.
      if (x < end && end - begin >= N) several(end - N), x = end;
      for (; x < out_width; ++x) one(x);
    }
    finish.rows(sums, padded, out, channels, out_width);
  }

  void run(const uint16_t* in, int64_t side, int64_t out_row, uint16_t* out, float* sums) const {
    if (side == 3) return stride == 1 ? run<3, 1>(in, out_row, out, sums) : run<3, 2>(in, out_row, out, sums);
    return stride == 1 ? run<5, 1>(in, out_row, out, sums) : run<5, 2>(in, out_row, out, sums);
  }
};

}  // namespace

#pragma GCC pop_options
#endif
