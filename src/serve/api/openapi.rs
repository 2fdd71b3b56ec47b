//! `/openapi.json`: what the API takes and gives, made from the handlers' own descriptions and from the schema of pipeline
//! files.

use super::problem::{self, Problem};
use crate::{
    config::{part::Part, raw::Stream},
    serve::operate::Change,
};
use axum::Json;
use serde_json::{Value, json};
use std::sync::LazyLock;
use utoipa::{
    OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};

const ABOUT: &str = "Watch and steer the streams of a running line.\n\n\
    Refusals are problem documents (RFC 9457). Three more paths answer without end, which OpenAPI cannot describe and which \
    are therefore listed under `x-endless` only: `/api/v1/events` (server-sent events; ?stream=, ?kind=event|tracks|stream), \
    `/api/v1/streams/{name}/live.mjpeg` (?size=small|large, ?fps=) and `/api/v1/wall` (the same for many: ?stream= each).";

#[derive(OpenApi)]
#[openapi(
    info(title = "eyeline", description = ABOUT, license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")),
    paths(
        super::healthz, super::readyz, super::line, super::metrics::metrics, document,
        super::streams::list, super::streams::add, super::streams::get, super::streams::change, super::streams::remove,
        super::streams::pause, super::streams::resume, super::streams::restart, super::streams::tracks,
        super::live::snapshot,
    ),
    components(schemas(problem::Problem, problem::ProblemFault), responses(problem::Problem)),
    security(("token" = [])),
)]
struct Document;

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "line",
    responses((status = 200, description = "OpenAPI 3.1", body = Value, content_type = "application/json"), (status = "4XX", response = Problem)))]
pub(super) async fn document() -> Json<&'static Value> {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(text);
    Json(&DOCUMENT)
}

fn text() -> Value {
    let mut document = Document::openapi();
    let components = document.components.get_or_insert_default();
    let bearer = Http::builder().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    let mut document = serde_json::to_value(&document).unwrap_or_default();
    document["components"]["schemas"]["Stream"] = described(Stream::schema());
    document["components"]["schemas"]["Change"] = described(Change::schema());
    let paths = document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    for operation in paths.filter_map(Value::as_object_mut).flat_map(|path| path.values_mut()) {
        if let Some(body) = operation.get_mut("requestBody") {
            body["required"] = true.into();
        }
    }
    document["x-endless"] = json!(["/api/v1/events", "/api/v1/streams/{name}/live.mjpeg", "/api/v1/wall"]);
    document
}

/// A schema without the word that stands at the top of a schema file only.
fn described(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(node) = schema.as_object_mut() {
        node.remove("$schema");
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every `$ref` below a node.
    fn references(node: &Value, found: &mut Vec<String>) {
        match node {
            Value::Object(entries) => {
                found.extend(entries.get("$ref").and_then(Value::as_str).map(str::to_owned));
                entries.values().for_each(|below| references(below, found));
            }
            Value::Array(items) => items.iter().for_each(|below| references(below, found)),
            _ => {}
        }
    }

    #[test]
    fn the_document_is_complete_in_itself() {
        let document = text();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 10, "{found:?}");
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap_or("none");
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
        assert_eq!(document["openapi"], "3.1.0");
        assert!(document["components"]["schemas"]["Stream"]["properties"]["zones"].is_object());
    }
}
