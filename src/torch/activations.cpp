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

// x / (1 + 2^(-x log2 e)) of sixteen values. 2^t is 2^round(t) times the first terms of a series of what is left, within
// -0.5..0.5, which is off by at most 3e-6; the reciprocal, after a step of Newton's, by less. Brain floats are rounded to 2e-3.
WITH_BRAIN_FLOATS inline __m256i silu_of_sixteen(__m256i values) {
  const __m512 one = _mm512_set1_ps(1.0f);
  const __m512 x = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(values), 16));
  __m512 t = _mm512_mul_ps(x, _mm512_set1_ps(-1.442695041f));
  // Beyond, the result is x or 0; infinity would leave no number.
  t = _mm512_max_ps(_mm512_min_ps(t, _mm512_set1_ps(120.0f)), _mm512_set1_ps(-120.0f));
  const __m512 whole = _mm512_roundscale_ps(t, _MM_FROUND_TO_NEAREST_INT);
  const __m512 rest = _mm512_sub_ps(t, whole);
  // (ln 2)^n / n!
  __m512 power = _mm512_fmadd_ps(_mm512_set1_ps(0.00133335581f), rest, _mm512_set1_ps(0.00961812911f));
  power = _mm512_fmadd_ps(power, rest, _mm512_set1_ps(0.0555041087f));
  power = _mm512_fmadd_ps(power, rest, _mm512_set1_ps(0.240226507f));
  power = _mm512_fmadd_ps(power, rest, _mm512_set1_ps(0.693147181f));
  power = _mm512_fmadd_ps(power, rest, one);
  const __m512 divisor = _mm512_add_ps(one, _mm512_scalef_ps(power, whole));
  __m512 reciprocal = _mm512_rcp14_ps(divisor);
  reciprocal = _mm512_mul_ps(reciprocal, _mm512_fnmadd_ps(divisor, reciprocal, _mm512_set1_ps(2.0f)));
  const __m512 result = _mm512_mul_ps(x, reciprocal);
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
