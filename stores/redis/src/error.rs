//! What errors of the client and of the server mean for a session.

use redis::{ErrorKind, RedisError, ServerErrorKind, Value};
use silverback::store::StoreError;

/// Converts an error by its meaning.
pub(crate) fn of(error: RedisError) -> StoreError {
    if code(&error) == Some("WRONGTYPE") {
        return StoreError::Corrupt(error.into());
    }
    if is_refusal(&error) {
        return StoreError::refused(error);
    }
    StoreError::unavailable(error)
}

/// The server's code. Up to version 6, an error inside a script has the code `ERR`, and its own
/// stands after the script's name: `ERR Error running script (call to f_4711): @user_script:1: -OOM`.
fn code(error: &RedisError) -> Option<&str> {
    let code = error.code()?;
    let of_script = error
        .detail()
        .filter(|detail| code == "ERR" && detail.starts_with("Error running script"))
        .and_then(|detail| detail.rsplit_once(": -"))
        .and_then(|(_, inner)| inner.split(' ').next());
    Some(of_script.unwrap_or(code))
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
            !is_read_only(error) && !error.to_string().contains("max number of clients")
        }
        // `UNBLOCKED` is the answer to `WAIT` of a server that becomes a replica meanwhile. It has
        // done the write that the replicas were to confirm.
        ErrorKind::Extension => !matches!(
            error.code(),
            Some("NOREPLICAS" | "BUSY" | "UNBLOCKED" | "UNKILLABLE")
        ),
        _ => false,
    }
}

/// Returns whether the server is a replica, which accepts no writes.
fn is_read_only(error: &RedisError) -> bool {
    code(error) == Some("READONLY")
}

/// Returns whether the server has not run the command but may soon: it is starting, is no longer
/// the master, or nobody listens there. `ASK` is left here if the other server sends on, too.
pub(crate) fn will_pass(error: &RedisError) -> bool {
    let is_not_done = matches!(
        error.kind(),
        ErrorKind::ClusterConnectionNotFound
            | ErrorKind::Server(
                ServerErrorKind::Ask
                    | ServerErrorKind::BusyLoading
                    | ServerErrorKind::MasterDown
                    | ServerErrorKind::ClusterDown
                    | ServerErrorKind::TryAgain
                    | ServerErrorKind::Moved
            )
    );
    is_not_done
        || is_read_only(error)
        || error.is_connection_refusal()
        || error.code() == Some("BUSY")
}

/// Returns whether another connection is needed: this one is dead, or leads to a server that is no
/// longer the master.
pub(crate) fn needs_another_connection(error: &RedisError) -> bool {
    let is_no_master = matches!(code(error), Some("MASTERDOWN" | "READONLY" | "UNBLOCKED"));
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

#[cfg(test)]
mod tests {
    use redis::parse_redis_value;

    use super::*;

    fn answer(line: &str) -> RedisError {
        let value = parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        in_value(&value).unwrap()
    }

    /// Redis 5 and 6 wrap an error inside a script.
    fn in_script(line: &str) -> RedisError {
        let at = "@user_script:9: @user_script: 9";
        answer(&format!(
            "ERR Error running script (call to f_4711): {at}: -{line}"
        ))
    }

    #[test]
    fn a_write_on_a_former_master_may_be_done() {
        let former = "UNBLOCKED force unblock from blocking operation, instance state changed";
        let error = answer(former);
        assert!(!will_pass(&error) && needs_another_connection(&error));
        assert!(matches!(of(error), StoreError::Unavailable(_)));
    }

    #[test]
    fn a_key_that_moves_back_is_asked_for_again() {
        assert!(will_pass(&answer("ASK 5567 127.0.0.1:7002")));
    }

    #[test]
    fn an_error_in_a_script_means_the_same() {
        let replica = "READONLY You can't write against a read only replica.";
        for error in [answer(replica), in_script(replica)] {
            assert!(will_pass(&error) && needs_another_connection(&error));
            assert!(matches!(of(error), StoreError::Unavailable(_)));
        }
        let full = "OOM command not allowed when used memory > 'maxmemory'.";
        for error in [answer(full), in_script(full)] {
            assert!(!will_pass(&error) && !needs_another_connection(&error));
            assert!(matches!(of(error), StoreError::Refused(_)));
        }
    }
}
