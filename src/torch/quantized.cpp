// Convolutions over bytes, which libtorch has as operators of its own and tch does not offer: oneDNN multiplies 8-bit
// integers and applies scale, bias and activation in one pass. A C interface of plain numbers; no exception leaves it.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/TensorIterator.h>
#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include "shim.hpp"

// Compiled for several processors, the best chosen when the program starts.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define FOR_EACH_PROCESSOR __attribute__((target_clones("avx512f", "avx2", "default"), optimize("O3")))
#else
#define FOR_EACH_PROCESSOR
#endif

namespace {

using eyeline::guarded;
using Ints = torch::List<int64_t>;

// Source: libtorch 2.11, ATen/native/quantized/cpu/qconv.h; the schema is `onednn::qconv2d_pointwise`.
using Convolve = at::Tensor(at::Tensor, double, int64_t, at::Tensor, at::Tensor, at::Tensor, std::optional<at::Tensor>,
                            Ints, Ints, Ints, int64_t, double, int64_t, std::optional<c10::ScalarType>,
                            std::string_view, torch::List<std::optional<at::Scalar>>, std::optional<std::string_view>);
// The schema is `onednn::qconv_prepack`.
using Prepack = at::Tensor(at::Tensor, at::Tensor, double, int64_t, Ints, Ints, Ints, int64_t,
                           std::optional<Ints>);

const c10::TypedOperatorHandle<Convolve>& convolve() {
  static const auto found =
      c10::Dispatcher::singleton().findSchemaOrThrow("onednn::qconv2d_pointwise", "").typed<Convolve>();
  return found;
}

const c10::TypedOperatorHandle<Prepack>& prepack() {
  static const auto found = c10::Dispatcher::singleton().findSchemaOrThrow("onednn::qconv_prepack", "").typed<Prepack>();
  return found;
}

// A convolution with everything that is the same for each picture.
struct Convolution {
  at::Tensor weight, weight_scales, weight_zeros, bias;
  Ints stride, padding, dilation;
  int64_t groups;
  double input_scale, output_scale;
  int64_t input_zero, output_zero;
  c10::ScalarType output;
  std::string activation;
  torch::List<std::optional<at::Scalar>> scalars;
};

Ints pair(const int64_t* values) { return Ints({values[0], values[1]}); }

// Brain floats are the upper halves of floats.
FOR_EACH_PROCESSOR void widen(const uint16_t* in, float* out, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t bits = static_cast<uint32_t>(in[i]) << 16;
    std::memcpy(&out[i], &bits, sizeof bits);
  }
}

// Bytes of floats: value / scale + zero, rounded, from 0 to `most`.
FOR_EACH_PROCESSOR void floats_to_bytes(const float* in, uint8_t* out, int64_t count, float factor, float zero,
                                        float most) {
  for (int64_t i = 0; i < count; ++i) {
    // Half is added and cut off. The first comparison takes what is not a number to 0.
    float value = in[i] * factor + (zero + 0.5f);
    value = value > 0.0f ? value : 0.0f;
    value = value < most + 0.5f ? value : most;
    out[i] = static_cast<uint8_t>(static_cast<int32_t>(value));
  }
}

at::Tensor quantized(const at::Tensor& input, double scale, int64_t zero, int64_t most) {
  const auto dense = input.is_non_overlapping_and_dense() ? input : input.contiguous();
  const bool narrow = dense.scalar_type() == at::kBFloat16;
  const auto values = narrow ? dense : dense.to(at::kFloat);
  auto output = at::empty_like(values, values.options().dtype(at::kByte));
  const float factor = static_cast<float>(1.0 / scale), shift = static_cast<float>(zero);
  // libtorch's own loop, which shares the work among its threads; `at::parallel_for`, compiled here, would not.
  auto iterator = at::TensorIteratorConfig().check_all_same_dtype(false).add_output(output).add_const_input(values).build();
  iterator.for_each(
      [&](char** data, const int64_t* strides, int64_t count) {
        // Both lie in memory without gaps and in the same order, so that their axes became one.
        const int64_t size = narrow ? 2 : 4;
        TORCH_CHECK(count == 1 || (strides[0] == 1 && strides[1] == size), "bytes of values with gaps");
        auto* out = reinterpret_cast<uint8_t*>(data[0]);
        if (!narrow) return floats_to_bytes(reinterpret_cast<const float*>(data[1]), out, count, factor, shift, most);
        const auto* in = reinterpret_cast<const uint16_t*>(data[1]);
        constexpr int64_t kPart = 2048;
        float wide[kPart];
        for (int64_t at = 0; at < count; at += kPart) {
          const int64_t part = std::min(kPart, count - at);
          widen(in + at, wide, part);
          floats_to_bytes(wide, out + at, part, factor, shift, most);
        }
      },
      1 << 15);
  return output;
}

}  // namespace

extern "C" {

// What a convolution is made of. Mirrored in native/quantized.rs.
struct eyeline_quantized_settings {
  double input_scale;
  int64_t input_zero;
  // Of bytes that come out; 1 and 0 where floats do.
  double output_scale;
  int64_t output_zero;
  // 0: bytes, 1: brain floats, 2: 32-bit floats.
  int32_t output;
  int64_t stride[2], padding[2], dilation[2], groups;
  int64_t input_shape[4];
  // In libtorch's words, with its parameters.
  const char* activation;
  double scalars[2];
  int64_t scalar_count;
};

// `weight`: signed bytes (filters, channels / groups, rows, columns); `scales`, `bias`: one float a filter.
void* eyeline_quantized_make(const void* weight, const void* scales, const void* bias,
                             const eyeline_quantized_settings* settings, char** problem) {
  return guarded<Convolution>(problem, [&] {
    const auto& s = *settings;
    const auto& scale = *static_cast<const at::Tensor*>(scales);
    torch::List<std::optional<at::Scalar>> scalars;
    for (int64_t i = 0; i < s.scalar_count; ++i) scalars.push_back(at::Scalar(s.scalars[i]));
    const Ints stride = pair(s.stride), padding = pair(s.padding), dilation = pair(s.dilation);
    const Ints shape({s.input_shape[0], s.input_shape[1], s.input_shape[2], s.input_shape[3]});
    const auto packed = prepack().call(*static_cast<const at::Tensor*>(weight), scale, s.input_scale, s.input_zero, stride,
                                       padding, dilation, s.groups, shape);
    const c10::ScalarType kinds[] = {at::kByte, at::kBFloat16, at::kFloat};
    return new Convolution{packed, scale, at::zeros_like(scale, at::kInt), *static_cast<const at::Tensor*>(bias), stride,
                           padding, dilation, s.groups, s.input_scale, s.output_scale, s.input_zero, s.output_zero,
                           kinds[s.output], s.activation, scalars};
  });
}

// A new tensor, of bytes (N, channels, rows, columns).
void* eyeline_quantized_run(const void* convolution, const void* input, char** problem) {
  return guarded<at::Tensor>(problem, [&] {
    const auto& c = *static_cast<const Convolution*>(convolution);
    return new at::Tensor(convolve().call(*static_cast<const at::Tensor*>(input), c.input_scale, c.input_zero, c.weight,
                                          c.weight_scales, c.weight_zeros, c.bias, c.stride, c.padding, c.dilation,
                                          c.groups, c.output_scale, c.output_zero, c.output, c.activation, c.scalars,
                                          std::string_view()));
  });
}

void eyeline_quantized_drop(void* convolution) { delete static_cast<Convolution*>(convolution); }

// A new tensor of bytes, in the memory order of `input`, floats on the processor.
void* eyeline_quantize(const void* input, double scale, int64_t zero, int64_t most, char** problem) {
  return guarded<at::Tensor>(problem, [&] {
    return new at::Tensor(quantized(*static_cast<const at::Tensor*>(input), scale, zero, most));
  });
}

void eyeline_forget(char* problem) { std::free(problem); }
}
