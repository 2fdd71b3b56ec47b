// What TorchScript needs and tch does not offer: freezing, and the two operators of torchvision's detectors, which libtorch
// itself does not have. A C interface of plain bytes; no exception leaves it.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <sstream>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/serialization/import.h>
#include <torch/library.h>

namespace {

// Boxes (N, 4) as corners, the best first, without those that overlap a better one by more than `max_iou`: their numbers.
// Source: pytorch/vision, torchvision/csrc/ops/cpu/nms_kernel.cpp, whose results it gives.
at::Tensor nms(const at::Tensor& boxes, const at::Tensor& scores, double max_iou) {
  TORCH_CHECK(boxes.dim() == 2 && boxes.size(1) == 4, "nms: boxes ", boxes.sizes(), ", expected (N, 4)");
  TORCH_CHECK(scores.dim() == 1 && scores.size(0) == boxes.size(0), "nms: scores ", scores.sizes());
  const auto corners = boxes.to(at::kCPU, at::kFloat).contiguous();
  const auto order = std::get<1>(scores.to(at::kCPU, at::kFloat).sort(/*stable=*/true, /*dim=*/0, /*descending=*/true));
  const float* box = corners.const_data_ptr<float>();
  const int64_t* ranked = order.const_data_ptr<int64_t>();
  const int64_t count = boxes.size(0);
  const auto area = [box](int64_t i) { return (box[4 * i + 2] - box[4 * i]) * (box[4 * i + 3] - box[4 * i + 1]); };
  std::vector<bool> covered(count, false);
  std::vector<int64_t> kept;
  for (int64_t a = 0; a < count; ++a) {
    const int64_t i = ranked[a];
    if (covered[i]) continue;
    kept.push_back(i);
    for (int64_t b = a + 1; b < count; ++b) {
      const int64_t j = ranked[b];
      if (covered[j]) continue;
      const float width = std::min(box[4 * i + 2], box[4 * j + 2]) - std::max(box[4 * i], box[4 * j]);
      const float height = std::min(box[4 * i + 3], box[4 * j + 3]) - std::max(box[4 * i + 1], box[4 * j + 1]);
      const float both = std::max(0.0f, width) * std::max(0.0f, height);
      covered[j] = both / (area(i) + area(j) - both) > max_iou;
    }
  }
  return at::tensor(kept, at::kLong).to(boxes.device());
}

// One value between the pixels of a plane; zero more than a pixel outside.
float between(const float* plane, int64_t rows, int64_t columns, float y, float x) {
  if (!(y >= -1.0f && y <= rows && x >= -1.0f && x <= columns)) return 0.0f;
  y = std::max(y, 0.0f);
  x = std::max(x, 0.0f);
  const int64_t above = std::min<int64_t>(static_cast<int64_t>(y), rows - 1);
  const int64_t left = std::min<int64_t>(static_cast<int64_t>(x), columns - 1);
  const int64_t below = std::min<int64_t>(above + 1, rows - 1), right = std::min<int64_t>(left + 1, columns - 1);
  const float dy = above == rows - 1 ? 0.0f : y - above, dx = left == columns - 1 ? 0.0f : x - left;
  const float upper = plane[above * columns + left] * (1 - dx) + plane[above * columns + right] * dx;
  const float lower = plane[below * columns + left] * (1 - dx) + plane[below * columns + right] * dx;
  return upper * (1 - dy) + lower * dy;
}

// Features (N, C, H, W) averaged over a grid of cells in each region (K, 5): picture, then corners. Gives (K, C, rows, columns).
// Source: He et al. 2017 (Mask R-CNN), section 3; pytorch/vision, torchvision/csrc/ops/cpu/roi_align_kernel.cpp.
at::Tensor roi_align(const at::Tensor& input, const at::Tensor& regions, double scale, int64_t rows, int64_t columns,
                     int64_t sampling, bool aligned) {
  TORCH_CHECK(input.dim() == 4 && regions.dim() == 2 && regions.size(1) == 5, "roi_align: features ", input.sizes(),
              ", regions ", regions.sizes(), ", expected (N, C, H, W) and (K, 5)");
  TORCH_CHECK(rows > 0 && columns > 0 && rows * columns <= 4096, "roi_align: a grid of ", rows, " x ", columns);
  const auto features = input.to(at::kCPU, at::kFloat).contiguous();
  const auto places = regions.to(at::kCPU, at::kFloat).contiguous();
  const int64_t channels = input.size(1), height = input.size(2), width = input.size(3);
  auto output = at::zeros({regions.size(0), channels, rows, columns}, at::kFloat);
  const float* place = places.const_data_ptr<float>();
  float* out = output.mutable_data_ptr<float>();
  for (int64_t k = 0; k < regions.size(0); ++k, place += 5) {
    const int64_t picture = static_cast<int64_t>(place[0]);
    TORCH_CHECK(picture >= 0 && picture < input.size(0), "roi_align: picture ", picture, " of ", input.size(0));
    const float shift = aligned ? 0.5f : 0.0f, by = static_cast<float>(scale);
    const float left = place[1] * by - shift, top = place[2] * by - shift;
    float region_width = place[3] * by - shift - left, region_height = place[4] * by - shift - top;
    if (!aligned) {
      region_width = std::max(region_width, 1.0f);
      region_height = std::max(region_height, 1.0f);
    }
    const float cell_height = region_height / rows, cell_width = region_width / columns;
    // A region larger than the picture needs no more samples than the picture has pixels.
    const auto samples = [sampling](float cell, int64_t most) {
      const float wanted = sampling > 0 ? static_cast<float>(sampling) : std::ceil(cell);
      return static_cast<int64_t>(std::min(std::max(wanted, 0.0f), static_cast<float>(most)));
    };
    const int64_t down = samples(cell_height, height), across = samples(cell_width, width);
    const float count = std::max<float>(down * across, 1);
    for (int64_t c = 0; c < channels; ++c) {
      const float* plane = features.const_data_ptr<float>() + (picture * channels + c) * height * width;
      for (int64_t row = 0; row < rows; ++row) {
        for (int64_t column = 0; column < columns; ++column, ++out) {
          for (int64_t i = 0; i < down; ++i) {
            const float y = top + row * cell_height + (i + 0.5f) * cell_height / down;
            for (int64_t j = 0; j < across; ++j) {
              const float x = left + column * cell_width + (j + 0.5f) * cell_width / across;
              *out += between(plane, height, width, y, x) / count;
            }
          }
        }
      }
    }
  }
  return output.to(input.device(), input.scalar_type());
}

// The module in a file, with its weights made constants, normalization folded into convolutions and dead parts taken out.
std::string frozen(const char* bytes, size_t length) {
  at::NoGradGuard no_grad;
  std::istringstream in(std::string(bytes, length));
  torch::jit::Module module = torch::jit::load(in, at::kCPU);
  module.eval();
  for (at::Tensor weight : module.parameters()) {
    // Pictures come channels innermost, so that weights of convolutions need not be turned for each of them.
    if (weight.dim() == 4) weight.set_data(weight.contiguous(at::MemoryFormat::ChannelsLast));
  }
  std::ostringstream out;
  torch::jit::freeze(module).save(out);
  return out.str();
}

char* copied(const std::string& text, size_t* length) {
  char* copy = static_cast<char*>(std::malloc(std::max<size_t>(text.size(), 1)));
  *length = copy ? text.size() : 0;
  if (copy) std::memcpy(copy, text.data(), text.size());
  return copy;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(torchvision, library) {
  library.def("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor");
  library.def(
      "roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width, "
      "int sampling_ratio, bool aligned) -> Tensor");
}

TORCH_LIBRARY_IMPL(torchvision, CompositeExplicitAutograd, library) {
  library.impl("nms", nms);
  library.impl("roi_align", roi_align);
}

// Freezes the TorchScript file in `bytes`. Returns 0 and the frozen file, or 1 and what is wrong, either as `*length` bytes
// that `eyeline_script_release` frees.
extern "C" int eyeline_script_freeze(const char* bytes, size_t size, char** result, size_t* length) {
  try {
    *result = copied(frozen(bytes, size), length);
    return *result ? 0 : 1;
  } catch (const std::exception& error) {
    *result = copied(error.what(), length);
  } catch (...) {
    *result = copied("an unknown error", length);
  }
  return 1;
}

extern "C" void eyeline_script_release(char* result) { std::free(result); }
