//! What a pipeline file says of threads, device and shutdown. See `raw`.

use super::raw::{Auto, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Threads, device, precision and shutdown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Runtime {
    /// Threads one inference may use; auto is one a CPU.
    pub threads: Threads,
    /// Where networks run: cpu, cuda (the first GPU) or cuda:N; auto takes a GPU if there is one.
    #[schemars(extend("pattern" = r"^(auto|cpu|cuda(:[0-9]{1,3})?)$", "examples" = ["auto", "cpu", "cuda:1"]))]
    pub device: String,
    /// Numbers networks compute in. auto takes bf16 on CPUs that have it in hardware, fp16 on GPUs, else fp32; bf16 costs
    /// next to no accuracy, see models/README.md. int8, on CPUs, needs what `eyeline models quantize` learns from your
    /// video; embedders then run as with auto.
    #[schemars(extend("enum" = ["auto", "fp32", "bf16", "fp16", "int8"]))]
    pub precision: String,
    /// How long a live stream's frame may wait for those of others to share an inference with.
    #[schemars(extend("x-duration" = ["0s", "1s"]))]
    pub max_wait: Span,
    /// How long an orderly shutdown may take before the process gives up.
    #[schemars(extend("x-duration" = ["1s", "10m"]))]
    pub shutdown: Span,
}

/// Number of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Threads {
    /// One a CPU.
    Auto(Auto),
    /// This many.
    Count(#[schemars(range(min = 1, max = 1024))] u32),
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            threads: Threads::Auto(Auto::Auto),
            device: "auto".into(),
            precision: "auto".into(),
            max_wait: Span::from("10ms"),
            shutdown: Span::from("10s"),
        }
    }
}
