"""Times a TorchScript file: `time_torchscript.py FILE 1,3,416,416 THREADS`. Prints milliseconds a picture, frozen / optimized for
inference: the median with all threads for one picture, channels innermost in memory. Fails where torch is missing.

Started by `cargo bench --bench inference` with $EYELINE_BENCH_PYTHON.
"""

import sys
import time

import torch

RUNS = 40


def median(module, picture):
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        module(picture)
        times.append((time.perf_counter() - start) * 1e3)
    return sorted(times)[RUNS // 2]


def main():
    path, shape, threads = sys.argv[1], [int(size) for size in sys.argv[2].split(",")], int(sys.argv[3])
    torch.set_num_threads(threads)
    picture = torch.rand(shape).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        frozen = torch.jit.freeze(torch.jit.load(path).eval())
        # It changes the module it is given.
        optimized = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.load(path).eval()))
        for module in (frozen, optimized):
            for _ in range(5):
                module(picture)
        print(f"{median(frozen, picture):.2f} / {median(optimized, picture):.2f}")


main()
