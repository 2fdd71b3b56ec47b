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
#include "thin.hpp"

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
