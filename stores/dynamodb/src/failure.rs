//! What an answer means that is no success.

use std::error::Error;

use aws_sdk_dynamodb::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use silverback::store::StoreError;

/// Why a question has no result.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Failure {
    /// The item is not as the write's condition wants it. Nothing was changed.
    Condition,
    /// There were too many questions, or another write was in the way. Nothing was changed, and
    /// soon it will be.
    Busy(String),
    /// The table is there already, or it is being changed.
    InUse,
    /// Nobody knows how far it went.
    Unavailable(String),
    Refused(String),
}

/// What DynamoDB answers to a question that it has not even begun with.
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
            _ if BUSY.contains(&code) => Self::Busy(told),
            _ if status.is_some_and(|status| status.is_client_error()) => Self::Refused(told),
            _ => Self::Unavailable(told),
        }
    }
}

/// The error and what it comes from, in a line.
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
            Failure::Refused(reason) => Self::refused(reason),
        }
    }
}
