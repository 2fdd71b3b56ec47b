// SiLU of brain floats, in place. oneDNN computes it in 32 bits to the last of them along with a convolution, which takes
// longer than the thin convolutions themselves; 8 bits need a third of the steps.

#include <cstdint>

#include <ATen/ATen.h>
#include <ATen/TensorIterator.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define WITH_BRAIN_FLOATS __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))

namespace {

bool has_brain_floats() {
  return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512dq");
}

// x / (1 + 2^(-x log2 e)) of sixteen values. 2^t is 2^round(t) times a polynomial of what is left, within -0.5..0.5, that is
// off by at most 1e-4; the division by 6e-5: both less than the 2e-3 to which brain floats are rounded.
WITH_BRAIN_FLOATS inline __m256i silu_of_sixteen(__m256i values) {
  const __m512 one = _mm512_set1_ps(1.0f);
  const __m512 x = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(values), 16));
  __m512 t = _mm512_mul_ps(x, _mm512_set1_ps(-1.442695041f));
  // Beyond, the result is x or 0; infinity would leave no number.
  t = _mm512_max_ps(_mm512_min_ps(t, _mm512_set1_ps(200.0f)), _mm512_set1_ps(-200.0f));
  const __m512 whole = _mm512_roundscale_ps(t, _MM_FROUND_TO_NEAREST_INT);
  const __m512 rest = _mm512_sub_ps(t, whole);
  __m512 power = _mm512_fmadd_ps(_mm512_set1_ps(0.0558263f), rest, _mm512_set1_ps(0.2401397f));
  power = _mm512_fmadd_ps(power, rest, _mm512_set1_ps(0.69313f));
  power = _mm512_fmadd_ps(power, rest, one);
  power = _mm512_scalef_ps(power, whole);
  const __m512 result = _mm512_mul_ps(x, _mm512_rcp14_ps(_mm512_add_ps(one, power)));
  return (__m256i)_mm512_cvtneps_pbh(result);
}

WITH_BRAIN_FLOATS void silu(uint16_t* values, int64_t count) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    auto* at = reinterpret_cast<__m256i*>(values + i);
    _mm256_storeu_si256(at, silu_of_sixteen(_mm256_loadu_si256(at)));
  }
  if (i < count) {
    const __mmask16 there = static_cast<__mmask16>((1u << (count - i)) - 1);
    const __m256i last = silu_of_sixteen(_mm256_maskz_loadu_epi16(there, values + i));
    _mm256_mask_storeu_epi16(values + i, there, last);
  }
}

}  // namespace
#else
namespace {
bool has_brain_floats() { return false; }
void silu(uint16_t*, int64_t) {}
}  // namespace
#endif

extern "C" {

// Whether this processor can.
int eyeline_has_brain_silu() { return has_brain_floats() ? 1 : 0; }

// Overwrites a tensor of brain floats on the processor. 1: done; 0: nothing was done, for it is another kind of tensor.
int eyeline_brain_silu(void* tensor) {
  try {
    const auto& values = *static_cast<const at::Tensor*>(tensor);
    if (!has_brain_floats() || values.scalar_type() != at::kBFloat16 || !values.device().is_cpu() ||
        !values.is_non_overlapping_and_dense()) {
      return 0;
    }
    // libtorch's own loop, which shares the work among its threads; `at::parallel_for`, compiled here, would not.
    auto iterator = at::TensorIterator::borrowing_nullary_op(values);
    iterator.for_each(
        [](char** data, const int64_t* strides, int64_t count) {
          auto* at = reinterpret_cast<uint16_t*>(data[0]);
          if (strides[0] == sizeof(uint16_t)) return silu(at, count);
          for (int64_t i = 0; i < count; ++i) silu(at + i * strides[0] / 2, 1);
        },
        1 << 15);
    return 1;
  } catch (...) {
    return 0;
  }
}
}
