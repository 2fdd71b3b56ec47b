//! The part of a pipeline file about the interfaces for operators.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// HTTP interface, its page, and RTSP restreaming.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Api {
    /// Address and port of the HTTP interface and its page, such as "127.0.0.1:8080" or "[::]:8080"; empty: none.
    pub listen: String,
    /// File with the token that requests must carry (Authorization: Bearer); empty: the token is taken from the variable
    /// EYELINE_API_TOKEN, where it is set.
    pub token_file: String,
    /// Answer others than this machine without a token: whoever reaches the port may do everything.
    pub without_token: bool,
    /// File with the certificate (PEM), its issuers behind it; empty: plain HTTP.
    pub tls_certificate: String,
    /// File with the private key of `tls_certificate` (PEM).
    pub tls_key: String,
    /// Address and port of an RTSP server with the annotated picture of every stream at rtsp://ADDRESS/NAME, drawn and
    /// encoded only while somebody watches; empty: none. Asks for the user eyeline and the token, where there is one.
    pub restream: String,
}
