//! The meaning of DynamoDB's errors.

use std::error::Error;

use aws_sdk_dynamodb::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use silverback::store::StoreError;

/// Why a question has no result.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Failure {
    /// The item does not satisfy the write's condition. Nothing was changed.
    Condition,
    /// Too many questions, or another write in the way. Nothing was changed, and a later attempt
    /// may succeed.
    Busy(String),
    /// The table already exists, or is being changed.
    InUse,
    /// There is no such table, or DynamoDB does not know it yet.
    NoTable(String),
    /// The operation may or may not have happened.
    Unavailable(String),
    Refused(String),
}

/// DynamoDB's answers to questions that it has not begun with.
const BUSY: [&str; 6] = [
    "ProvisionedThroughputExceededException",
    "ReplicatedWriteConflictException",
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "TransactionConflictException",
];

impl Failure {
    pub(crate) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let Some(code) = error.code() else {
            return match error {
                // The client has not sent it.
                SdkError::ConstructionFailure(_) => Self::Refused(with_causes(error)),
                _ => Self::Unavailable(with_causes(error)),
            };
        };
        let message = error.message().unwrap_or("no reason given");
        let told = format!("DynamoDB says {code}: {message}");
        let status = error.raw_response().map(|answer| answer.status());
        match code {
            "ConditionalCheckFailedException" => Self::Condition,
            "ResourceInUseException" => Self::InUse,
            "ResourceNotFoundException" => Self::NoTable(told),
            _ if BUSY.contains(&code) => Self::Busy(told),
            _ if status.is_some_and(|status| status.is_client_error()) => Self::Refused(told),
            _ => Self::Unavailable(told),
        }
    }
}

/// The error and its causes, in one line.
fn with_causes(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let causes: Vec<_> = causes.map(ToString::to_string).collect();
    causes.join(": ")
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Condition => Self::Conflict,
            Failure::Busy(reason) | Failure::Unavailable(reason) => Self::unavailable(reason),
            Failure::InUse => Self::refused("the table is being changed"),
            Failure::NoTable(reason) | Failure::Refused(reason) => Self::refused(reason),
        }
    }
}
