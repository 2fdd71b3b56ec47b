//! Refusals as RFC 9457 problem documents: what is wrong, where, what was expected, what came.

use crate::{
    config::fault::{Fault, Faults},
    serve::operate::OperateError,
};
use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::{ToResponse, ToSchema};

/// Media type of problem documents.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Seconds after which a client may try again what was refused as busy.
const RETRY_AFTER: &str = "1";

/// A problem document.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema, ToResponse)]
#[response(description = "Refused", content_type = "application/problem+json")]
pub struct Problem {
    /// Kind of problem, for programs: `urn:eyeline:unknown-stream`.
    #[serde(rename = "type")]
    kind: String,
    /// Kind of problem, for people.
    title: String,
    /// HTTP status.
    status: u16,
    /// What is wrong this time.
    detail: String,
    /// Everything that is wrong with what was sent, where that is the problem.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<ProblemFault>,
}

/// One thing that is wrong with what was sent.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ProblemFault {
    /// Which key: `zones[0].polygon`; empty where the whole is meant.
    #[serde(rename = "where")]
    place: String,
    /// What is wrong with it.
    problem: String,
    /// What should stand there, where that can be said apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
    /// What stands there, where that can be said apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    got: Option<String>,
    /// What to do, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Problem {
    /// A problem of the kind `kind` (`unknown-stream`), which people call `title`.
    pub fn new(status: StatusCode, kind: &str, title: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:eyeline:{kind}"),
            title: title.into(),
            status: status.as_u16(),
            detail: detail.into(),
            faults: Vec::new(),
        }
    }

    /// What was sent is unsound.
    pub fn invalid(faults: &Faults) -> Self {
        let detail = match &*faults.0 {
            [only] => only.to_string(),
            faults => format!("{} faults", faults.len()),
        };
        let faults = faults.0.iter().map(ProblemFault::from).collect();
        Self { faults, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Invalid content", detail) }
    }

    /// What was sent cannot even be read.
    pub fn unreadable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "unreadable", "Unreadable request", detail)
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<&Fault> for ProblemFault {
    fn from(fault: &Fault) -> Self {
        // Faults of configuration say it as `got, expected this`.
        let halves = fault.problem.split_once(", expected ");
        Self {
            place: fault.path.to_string(),
            problem: fault.problem.clone(),
            expected: halves.map(|(_, expected)| expected.to_owned()),
            got: halves.map(|(got, _)| got.to_owned()).filter(|got| got != "missing"),
            hint: fault.hint.clone(),
        }
    }
}

impl From<OperateError> for Problem {
    fn from(error: OperateError) -> Self {
        let detail = error.to_string();
        match error {
            OperateError::UnknownStream { .. } => {
                Self::new(StatusCode::NOT_FOUND, "unknown-stream", "Unknown stream", detail)
            }
            OperateError::NameTaken { .. } => Self::new(StatusCode::CONFLICT, "name-taken", "Name taken", detail),
            OperateError::Invalid(faults) => Self::invalid(&faults),
            OperateError::Ended { .. } => Self::new(StatusCode::CONFLICT, "ended", "Stream has ended", detail),
            OperateError::Busy { .. } => Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Busy", detail),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        match status {
            StatusCode::UNAUTHORIZED => {
                let scheme = HeaderValue::from_static("Bearer realm=\"eyeline\"");
                headers.insert(header::WWW_AUTHENTICATE, scheme);
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
            }
            _ => {}
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fault::KeyPath;

    #[test]
    fn a_fault_says_where_what_was_expected_and_what_came() {
        let path = KeyPath::root().key("repeat");
        let ranged = Fault::new(path.clone(), "0, expected an integer from 1 to 9").with_hint("try 1".to_owned());
        let unknown = Fault::new(path, "unknown key");
        let problem = Problem::from(OperateError::Invalid(Faults(vec![ranged, unknown])));
        let json = serde_json::to_value(&problem).unwrap();
        assert_eq!((json["status"].as_u64(), json["detail"].as_str()), (Some(422), Some("2 faults")));
        let expected = serde_json::json!([
            {
                "where": "repeat", "problem": "0, expected an integer from 1 to 9",
                "expected": "an integer from 1 to 9", "got": "0", "hint": "try 1",
            },
            { "where": "repeat", "problem": "unknown key" },
        ]);
        assert_eq!(json["faults"], expected);
    }
}
