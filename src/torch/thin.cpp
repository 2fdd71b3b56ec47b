// Convolutions in brain floats that do little with each value they read: 1x1 and depthwise ones. oneDNN's own spend more time
// on being called and on SiLU, one vector after the other, than on multiplying. These give what oneDNN's give to the last
// bit (`layers.rs` tests it): products are added in the same order in 32 bits, the activation is computed by the same formula
// in 32 bits, and the result is rounded once. A C interface of plain numbers; no exception leaves it.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/TensorIterator.h>

#include "shim.hpp"

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

namespace {

struct Thin {
  bool is_depthwise;
  int64_t side, stride, padding, channels, filters;
  // 1x1: see `multiply`; depthwise: see `Depthwise`.
  std::vector<uint16_t> weights;
  std::vector<float> bias;
  Activation activation;
  float low, high;
};

bool is_able(bool is_depthwise) {
#ifdef EYELINE_THIN
  // Tiles of AMX multiply whole matrices, which is what a 1x1 convolution is, and oneDNN uses them.
  if (!is_depthwise && __builtin_cpu_supports("amx-bf16")) return false;
  return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512dq");
#else
  return false;
#endif
}

int64_t up_to(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

// Shares `items` among libtorch's threads: its own loop does so, `at::parallel_for`, compiled here, would not. `work` is given
// the first and how many.
template <typename Work>
void share(int64_t items, int64_t grain, Work work) {
  const auto numbers = at::empty({items}, at::kByte);
  auto iterator = at::TensorIterator::borrowing_nullary_op(numbers);
  const char* base = static_cast<const char*>(numbers.const_data_ptr());
  iterator.for_each(
      [&](char** data, const int64_t* strides, int64_t count) {
        TORCH_CHECK(count == 1 || strides[0] == 1, "a loop with gaps");
        work(data[0] - base, count);
      },
      grain);
}

at::Tensor run(const Thin& thin, const at::Tensor& given) {
  TORCH_CHECK(given.dim() == 4 && given.size(1) == thin.channels && given.scalar_type() == at::kBFloat16 &&
                  given.device().is_cpu(),
              "a convolution over ", thin.channels, " channels of brain floats of ", given.sizes(), " ", given.scalar_type());
  const auto input = given.contiguous(at::MemoryFormat::ChannelsLast);
  const int64_t batch = input.size(0), height = input.size(2), width = input.size(3), reach = 2 * thin.padding - thin.side;
  TORCH_CHECK(height + reach >= 0 && width + reach >= 0, "a picture of ", input.sizes(), " is smaller than the kernel");
  const int64_t rows = (height + reach) / thin.stride + 1, columns = (width + reach) / thin.stride + 1;
  auto output = at::empty({batch, thin.filters, rows, columns},
                          input.options().memory_format(at::MemoryFormat::ChannelsLast));
#ifdef EYELINE_THIN
  const auto* in = static_cast<const uint16_t*>(input.const_data_ptr());
  auto* out = static_cast<uint16_t*>(output.mutable_data_ptr());
  const Finish finish{thin.activation, thin.low, thin.high};
  // Values a thread takes at least: less than what starting it is worth.
  constexpr int64_t kGrain = 1 << 13;
  if (!thin.is_depthwise) {
    const Pointwise layer{thin.channels, thin.filters, thin.weights.data(), thin.bias.data(), finish};
    const int64_t pixels = batch * rows * columns, groups = (pixels + kGroup - 1) / kGroup;
    share(groups, std::max<int64_t>(1, kGrain / (kGroup * thin.filters)), [&](int64_t first, int64_t count) {
      std::vector<float> sums(kGroup * up_to(thin.filters, kLanes));
      const int64_t from = first * kGroup, to = std::min(pixels, (first + count) * kGroup);
      layer.run(in + from * thin.channels, out + from * thin.filters, to - from, sums.data());
    });
    return output;
  }
  const Depthwise layer{thin.channels, height,           width,            thin.stride, thin.padding,
                        columns,       thin.weights.data(), thin.bias.data(), finish};
  share(batch * rows, std::max<int64_t>(1, kGrain / (columns * thin.channels)), [&](int64_t first, int64_t count) {
    std::vector<float> sums(columns * up_to(thin.channels, kLanes));
    for (int64_t item = first; item < first + count; ++item) {
      const int64_t picture = item / rows;
      layer.run(in + picture * height * width * thin.channels, thin.side, item % rows,
                out + item * columns * thin.channels, sums.data());
    }
  });
#endif
  return output;
}

}  // namespace

extern "C" {

// Mirrored in native/thin.rs.
struct eyeline_thin_settings {
  int32_t is_depthwise;
  // 0: none, 1: between `low` and `high`, 2: SiLU.
  int32_t activation;
  int64_t side, stride, padding;
  float low, high;
};

// Whether this processor can, and should.
int eyeline_thin_is_able(int32_t is_depthwise) { return is_able(is_depthwise != 0) ? 1 : 0; }

// `weight`: floats (filters, channels or 1, side, side), `bias`: a float a filter; both are rounded to brain floats.
void* eyeline_thin_make(const void* weight, const void* bias, const eyeline_thin_settings* settings, char** problem) {
  return eyeline::guarded<Thin>(problem, [&] {
    const auto& s = *settings;
    const auto narrow = static_cast<const at::Tensor*>(weight)->to(at::kBFloat16).contiguous();
    const auto shift = static_cast<const at::Tensor*>(bias)->to(at::kBFloat16).to(at::kFloat).contiguous();
    const int64_t filters = narrow.size(0), depth = narrow.size(1), area = s.side * s.side, padded = up_to(filters, 16);
    TORCH_CHECK(is_able(s.is_depthwise != 0) && narrow.dim() == 4 && narrow.size(2) == s.side && narrow.size(3) == s.side &&
                    shift.numel() == filters && (s.stride == 1 || s.stride == 2),
                "weights ", narrow.sizes(), " of ", s.side, " to a side");
    TORCH_CHECK(s.is_depthwise ? depth == 1 && (s.side == 3 || s.side == 5)
                               : depth % 2 == 0 && s.side == 1 && s.stride == 1 && s.padding == 0,
                "weights ", narrow.sizes(), " are neither depthwise nor 1x1");
    auto* thin = new Thin{s.is_depthwise != 0, s.side, s.stride, s.padding, s.is_depthwise ? filters : depth, filters,
                          {}, {}, static_cast<Activation>(s.activation), s.low, s.high};
    thin->bias.assign(padded, 0.0f);
    std::copy_n(shift.const_data_ptr<float>(), filters, thin->bias.begin());
    const auto* from = static_cast<const uint16_t*>(narrow.const_data_ptr());
    if (s.is_depthwise) {
      thin->weights.assign(area * padded, 0);
      for (int64_t f = 0; f < filters; ++f) {
        for (int64_t tap = 0; tap < area; ++tap) thin->weights[tap * padded + f] = from[f * area + tap];
      }
    } else {
      thin->weights.assign(padded * depth, 0);
      for (int64_t f = 0; f < filters; ++f) {
        for (int64_t c = 0; c < depth; ++c) {
          thin->weights[f / 16 * 16 * depth + (c / 2 * 16 + f % 16) * 2 + c % 2] = from[f * depth + c];
        }
      }
    }
    return thin;
  });
}

// A new tensor of brain floats (N, filters, rows, columns), channels innermost.
void* eyeline_thin_run(const void* convolution, const void* input, char** problem) {
  return eyeline::guarded<at::Tensor>(problem, [&] {
    return new at::Tensor(run(*static_cast<const Thin*>(convolution), *static_cast<const at::Tensor*>(input)));
  });
}

void eyeline_thin_drop(void* convolution) { delete static_cast<Thin*>(convolution); }
}
