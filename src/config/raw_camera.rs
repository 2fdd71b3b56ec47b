//! The part of a stream that only live ones have: how a camera is reached, and how patient eyeline is with it.

use super::{
    raw::{Auto, Span},
    secret::SecretText,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a camera is reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Camera {
    /// User to log in with; ${NAME} takes it from the environment.
    #[schemars(extend("writeOnly" = true))]
    pub user: String,
    /// Password, as a variable: ${NAME}; empty: none.
    pub password: SecretText,
    /// File that holds the password instead; read at every connection.
    pub password_file: String,
    /// What RTSP carries the video in.
    pub transport: Transport,
    /// How long RTSP packets may wait for earlier ones; more smooths over a bad network and makes everything later.
    #[schemars(extend("x-duration" = ["0s", "10s"]))]
    pub jitter: Span,
    /// Check the certificate of rtsps:// and https://.
    pub verify: bool,
    /// File with the certificates (PEM) to check against in place of the system's.
    pub ca_file: String,
    /// How long the first frame may take before a connection is given up.
    #[schemars(extend("x-duration" = ["100ms", "10m"]))]
    pub connect_timeout: Span,
    /// How long frames may stay away before a connection is given up; auto follows the camera's frame rate.
    pub stall_timeout: StallTimeout,
    /// Longest pause between two attempts to connect; pauses begin at 250ms and double.
    #[schemars(extend("x-duration" = ["100ms", "1h"]))]
    pub max_backoff: Span,
}

/// What RTSP carries the video in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Within the RTSP connection: nothing gets lost.
    #[default]
    Tcp,
    /// Packets of their own: lost ones leave holes in the picture.
    Udp,
    /// Within HTTP, for cameras behind a proxy.
    Http,
}

/// How long frames may stay away.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum StallTimeout {
    /// By the camera's frame rate.
    Auto(Auto),
    /// This long.
    After(#[schemars(extend("x-duration" = ["100ms", "1h"]))] Span),
}

impl Default for Camera {
    fn default() -> Self {
        Self {
            user: String::new(),
            password: SecretText::default(),
            password_file: String::new(),
            transport: Transport::Tcp,
            jitter: Span::from("100ms"),
            verify: true,
            ca_file: String::new(),
            connect_timeout: Span::from("10s"),
            stall_timeout: StallTimeout::Auto(Auto::Auto),
            max_backoff: Span::from("10s"),
        }
    }
}
