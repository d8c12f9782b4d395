//! Why a question has no answer, or an error.

use std::{error, sync::Arc};

use http::StatusCode;
use serde::Deserialize;
use silverback::store::StoreError;

/// A failure. It can be cloned, since one may concern several records.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    cause: Arc<dyn error::Error + Send + Sync>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// The document already exists.
    Exists,
    /// The document is not in the state that the write expects.
    OtherState,
    /// The question makes no sense, for example because of a state later than the document's: that
    /// of a database before an older backup was restored.
    Invalid,
    /// Other writes were in the way. This one was not done.
    Contention,
    /// The server was not reached, or what it did is unknown.
    Unavailable,
    Refused,
}

/// Any error of a client.
pub(crate) type BoxError = Box<dyn error::Error + Send + Sync>;

impl Fault {
    fn new(kind: Kind, cause: impl Into<BoxError>) -> Self {
        let cause = Arc::from(cause.into());
        Self { kind, cause }
    }

    pub(crate) fn unavailable(cause: impl Into<BoxError>) -> Self {
        Self::new(Kind::Unavailable, cause)
    }

    pub(crate) fn refused(cause: impl Into<BoxError>) -> Self {
        Self::new(Kind::Refused, cause)
    }

    /// An answer that does not fit the question.
    pub(crate) fn nonsense() -> Self {
        Self::unavailable("Firestore answers otherwise than its documentation says")
    }

    /// Interprets an answer other than a success.
    pub(crate) fn of_answer(status: StatusCode, body: &[u8]) -> Self {
        if let Ok(refusal) = serde_json::from_slice::<Refusal>(body) {
            return refusal.into_status().into();
        }
        // Something in between has answered, such as a proxy.
        let cause = format!("the answer is HTTP {status}");
        let may_pass = status == StatusCode::REQUEST_TIMEOUT
            || status == StatusCode::TOO_MANY_REQUESTS
            || status.is_server_error();
        if may_pass {
            Self::unavailable(cause)
        } else {
            Self::refused(cause)
        }
    }
}

/// The body of an error. Methods that answer with a list put the error in a list too.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Refusal {
    // First, since serde would read the list as an object with unnamed fields.
    Listed([Failure; 1]),
    Plain(Failure),
}

#[derive(Debug, Deserialize)]
struct Failure {
    error: Status,
}

impl Refusal {
    fn into_status(self) -> Status {
        match self {
            Self::Listed([failure]) | Self::Plain(failure) => failure.error,
        }
    }
}

/// The outcome of an operation, as a
/// [`google.rpc.Status`](https://cloud.google.com/apis/design/errors).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    /// HTTP's code in the body of an error, gRPC's code elsewhere.
    code: u16,
    /// The name of gRPC's code. Missing outside the body of an error.
    status: Option<String>,
    message: String,
}

impl Status {
    /// The outcome of one write among several.
    pub(crate) fn into_result(self) -> Result<(), Fault> {
        match (self.code, &self.status) {
            (0, None) => Ok(()),
            _ => Err(self.into()),
        }
    }

    fn name(&self) -> &str {
        match (&self.status, self.code) {
            (Some(name), _) => name,
            (None, 1) => "CANCELLED",
            (None, 3) => "INVALID_ARGUMENT",
            (None, 4) => "DEADLINE_EXCEEDED",
            (None, 5) => "NOT_FOUND",
            (None, 6) => "ALREADY_EXISTS",
            (None, 8) => "RESOURCE_EXHAUSTED",
            (None, 9) => "FAILED_PRECONDITION",
            (None, 10) => "ABORTED",
            (None, 13) => "INTERNAL",
            (None, 14) => "UNAVAILABLE",
            (None, 15) => "DATA_LOSS",
            (None, 7 | 11 | 12 | 16) => "REFUSED",
            _ => "UNKNOWN",
        }
    }
}

impl From<Status> for Fault {
    fn from(status: Status) -> Self {
        let name = status.name();
        let kind = match name {
            "ALREADY_EXISTS" => Kind::Exists,
            // A missing document that should be in a certain state gives either.
            "FAILED_PRECONDITION" | "NOT_FOUND" => Kind::OtherState,
            "INVALID_ARGUMENT" => Kind::Invalid,
            "ABORTED" => Kind::Contention,
            // The operation may have happened after these. An exhausted quota may be over soon.
            "CANCELLED" | "DEADLINE_EXCEEDED" | "INTERNAL" | "RESOURCE_EXHAUSTED"
            | "UNAVAILABLE" | "UNKNOWN" | "DATA_LOSS" => Kind::Unavailable,
            _ => Kind::Refused,
        };
        Self::new(kind, format!("Firestore says {name}: {}", status.message))
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault.kind {
            Kind::Contention | Kind::Unavailable => Self::unavailable(fault.cause),
            Kind::Exists | Kind::OtherState | Kind::Invalid | Kind::Refused => {
                Self::refused(fault.cause)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, body: &str) -> Kind {
        let status = StatusCode::from_u16(status).unwrap();
        Fault::of_answer(status, body.as_bytes()).kind
    }

    #[test]
    fn an_answer_says_what_went_wrong() {
        for (code, name, expected) in [
            (409, "ALREADY_EXISTS", Kind::Exists),
            (409, "ABORTED", Kind::Contention),
            (400, "FAILED_PRECONDITION", Kind::OtherState),
            (404, "NOT_FOUND", Kind::OtherState),
            (400, "INVALID_ARGUMENT", Kind::Invalid),
            (401, "UNAUTHENTICATED", Kind::Refused),
            (403, "PERMISSION_DENIED", Kind::Refused),
            (429, "RESOURCE_EXHAUSTED", Kind::Unavailable),
            (500, "INTERNAL", Kind::Unavailable),
            (503, "UNAVAILABLE", Kind::Unavailable),
            (504, "DEADLINE_EXCEEDED", Kind::Unavailable),
            (499, "CANCELLED", Kind::Unavailable),
            (500, "UNKNOWN", Kind::Unavailable),
            (500, "DATA_LOSS", Kind::Unavailable),
            (501, "UNIMPLEMENTED", Kind::Refused),
        ] {
            let error = format!(r#"{{"error":{{"code":{code},"message":"m","status":"{name}"}}}}"#);
            assert_eq!(kind(code, &error), expected, "{name}");
            assert_eq!(kind(code, &format!("[{error}]")), expected, "[{name}]");
        }
    }

    #[test]
    fn a_foreign_answer_is_judged_by_its_status() {
        for (status, expected) in [
            (301, Kind::Refused),
            (404, Kind::Refused),
            (408, Kind::Unavailable),
            (413, Kind::Refused),
            (429, Kind::Unavailable),
            (502, Kind::Unavailable),
        ] {
            for body in ["", "<html>", "{}", "[]", r#"{"error":"x"}"#] {
                assert_eq!(kind(status, body), expected, "{status} {body}");
            }
        }
    }

    #[test]
    fn a_write_among_several_has_its_own_status() {
        let result = |text: &str| serde_json::from_str::<Status>(text).unwrap().into_result();
        result("{}").unwrap();
        result(r#"{"code":0}"#).unwrap();
        for (code, expected) in [
            (6, Kind::Exists),
            (5, Kind::OtherState),
            (9, Kind::OtherState),
            (10, Kind::Contention),
            (3, Kind::Invalid),
            (7, Kind::Refused),
            (16, Kind::Refused),
            (1, Kind::Unavailable),
            (2, Kind::Unavailable),
            (4, Kind::Unavailable),
            (8, Kind::Unavailable),
            (13, Kind::Unavailable),
            (14, Kind::Unavailable),
            (15, Kind::Unavailable),
        ] {
            let failed = result(&format!(r#"{{"code":{code},"message":"m"}}"#));
            assert_eq!(failed.unwrap_err().kind, expected, "{code}");
        }
    }
}
