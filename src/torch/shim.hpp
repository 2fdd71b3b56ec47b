// What the C++ of this folder shares: exceptions end at the border to Rust.
#pragma once

#include <cstdlib>
#include <cstring>
#include <exception>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace eyeline {

inline char* told(const char* text) {
  const size_t size = std::strlen(text) + 1;
  char* copy = static_cast<char*>(std::malloc(size));
  if (copy) std::memcpy(copy, text, size);
  return copy;
}

// Runs `work`; what it throws becomes `*problem`, which `eyeline_forget` frees.
template <typename Result, typename Work>
Result* guarded(char** problem, Work work) {
  try {
    at::NoGradGuard no_grad;
    return work();
  } catch (const std::exception& error) {
    *problem = told(error.what());
  } catch (...) {
    *problem = told("an unknown error");
  }
  return nullptr;
}

}  // namespace eyeline
