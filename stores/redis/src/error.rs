//! What errors of the client and of the server mean for a session.

use redis::{ErrorKind, RedisError, ServerErrorKind, Value};
use silverback::store::StoreError;

/// Converts an error by its meaning.
pub(crate) fn of(error: RedisError) -> StoreError {
    if error.code() == Some("WRONGTYPE") {
        return StoreError::Corrupt(error.into());
    }
    if is_refusal(&error) {
        return StoreError::refused(error);
    }
    StoreError::unavailable(error)
}

/// Returns whether the server was reached and would refuse again: it is full, or does not accept
/// this client.
fn is_refusal(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::AuthenticationFailed
        | ErrorKind::InvalidClientConfig
        | ErrorKind::EmptySentinelList
        | ErrorKind::RESP3NotSupported
        | ErrorKind::UnexpectedReturnType
        | ErrorKind::Server(
            ServerErrorKind::NoPerm | ServerErrorKind::CrossSlot | ServerErrorKind::ExecAbort,
        ) => true,
        // The limit on connections has no error code.
        ErrorKind::Server(ServerErrorKind::ResponseError) => {
            !error.to_string().contains("max number of clients")
        }
        ErrorKind::Extension => !matches!(error.code(), Some("NOREPLICAS" | "BUSY" | "UNKILLABLE")),
        _ => false,
    }
}

/// Returns whether the server has not run the command but may soon: it is starting, is no longer
/// the master, or nobody listens there.
pub(crate) fn will_pass(error: &RedisError) -> bool {
    let is_not_done = matches!(
        error.kind(),
        ErrorKind::ClusterConnectionNotFound
            | ErrorKind::Server(
                ServerErrorKind::BusyLoading
                    | ServerErrorKind::ReadOnly
                    | ServerErrorKind::MasterDown
                    | ServerErrorKind::ClusterDown
                    | ServerErrorKind::TryAgain
                    | ServerErrorKind::Moved
            )
    );
    is_not_done || error.is_connection_refusal() || error.code() == Some("BUSY")
}

/// Returns whether another connection is needed: this one is dead, or leads to a server that is no
/// longer the master.
pub(crate) fn needs_another_connection(error: &RedisError) -> bool {
    let is_no_master = matches!(
        error.kind(),
        ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)
    );
    error.is_unrecoverable_error() || error.is_timeout() || is_no_master
}

/// Returns the error that a value is, if it is one.
pub(crate) fn in_value(value: &Value) -> Option<RedisError> {
    match value {
        Value::ServerError(error) => Some(error.clone().into()),
        _ => None,
    }
}

/// The error of a server that does not answer as documented.
pub(crate) fn unexpected(value: &Value) -> StoreError {
    let kind = match value {
        Value::Nil => "nothing",
        Value::Int(_) => "a number",
        Value::BulkString(_) => "bytes",
        Value::Array(_) => "a list",
        _ => "something else than expected",
    };
    StoreError::refused(format!("the server answers with {kind}"))
}
