//! The meaning of the driver's errors.

use mongodb::error::{Error, ErrorKind, RETRYABLE_ERROR, RETRYABLE_WRITE_ERROR, WriteFailure};
use silverback::store::StoreError;

/// Why MongoDB did not do what it was asked, or may not have done it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// A document with this `_id` exists.
    Exists,
    /// The server cannot be reached or did not answer, so the operation may have happened.
    Unavailable(String),
    /// The server did not do it, and would not.
    Refused(String),
}

impl Fault {
    /// Classifies an error. After the driver's own errors, and after those that the driver or the
    /// server calls retryable, the operation may have happened.
    ///
    /// The text omits what the server says about documents: a validator's error contains their
    /// values.
    pub(crate) fn of(error: &Error) -> Self {
        let may_pass = [RETRYABLE_WRITE_ERROR, RETRYABLE_ERROR]
            .iter()
            .any(|label| error.contains_label(label));
        match &*error.kind {
            ErrorKind::Write(WriteFailure::WriteError(error)) if error.code == DUPLICATE_KEY => {
                Self::Exists
            }
            ErrorKind::Write(WriteFailure::WriteError(error)) => Self::by(
                may_pass || is_passing(error.code),
                format!("MongoDB says: {} ({})", error.message, error.code),
            ),
            ErrorKind::Command(error) => {
                Self::by(may_pass || is_passing(error.code), error.to_string())
            }
            // Done on one server, but not confirmed by a majority.
            ErrorKind::Write(WriteFailure::WriteConcernError(error)) => Self::Unavailable(format!(
                "not confirmed by a majority: {} ({})",
                error.message, error.code
            )),
            kind @ (ErrorKind::Authentication { .. }
            | ErrorKind::Bson(_)
            | ErrorKind::IncompatibleServer { .. }
            | ErrorKind::InvalidArgument { .. }
            | ErrorKind::InvalidTlsConfig { .. }
            | ErrorKind::SessionsNotSupported) => Self::Refused(kind.to_string()),
            kind => Self::Unavailable(kind.to_string()),
        }
    }

    fn by(may_pass: bool, sentence: String) -> Self {
        if may_pass {
            Self::Unavailable(sentence)
        } else {
            Self::Refused(sentence)
        }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Exists => Self::Exists,
            Fault::Unavailable(sentence) => Self::unavailable(sentence),
            Fault::Refused(sentence) => Self::refused(sentence),
        }
    }
}

const DUPLICATE_KEY: i32 = 11_000;

/// Returns whether this is the answer of a server that stops, starts, has lost its rank, its data
/// or its connections, is overloaded, moves the data, or has interrupted the command. The operation
/// may have happened.
fn is_passing(code: i32) -> bool {
    PASSING.contains(&code)
}

/// From <https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml>.
const PASSING: &[i32] = &[
    6,          // HostUnreachable
    7,          // HostNotFound
    24,         // LockTimeout
    43,         // CursorNotFound
    50,         // MaxTimeMSExpired
    63,         // StaleShardVersion
    64,         // WriteConcernTimeout
    89,         // NetworkTimeout
    91,         // ShutdownInProgress
    112,        // WriteConflict
    133,        // FailedToSatisfyReadPreference
    134,        // ReadConcernMajorityNotAvailableYet
    150,        // StaleEpoch
    175,        // QueryPlanKilled
    187,        // LinearizableReadConcernError
    189,        // PrimarySteppedDown
    202,        // NetworkInterfaceExceededTimeLimit
    217,        // IncompleteTransactionHistory
    237,        // CursorKilled
    249,        // StaleDbVersion
    250,        // StaleChunkHistory
    262,        // ExceededTimeLimit
    272,        // MigrationConflict
    355,        // InterruptedDueToStorageChange
    365,        // TemporarilyUnavailable
    402,        // ResourceExhausted
    406,        // MigrationBlockingOperationCoordinatorCleaningUp
    407,        // PooledConnectionAcquisitionExceededTimeLimit
    412,        // UpdatesStillPending
    433,        // AdmissionQueueOverflow
    449,        // RateLimitExceeded
    450,        // PooledConnectionAcquisitionRejected
    453,        // InterruptedDueToReshardingCriticalSection
    462,        // IngressRequestRateLimitExceeded
    9_001,      // SocketException
    10_058,     // LegacyNotPrimary
    10_107,     // NotWritablePrimary
    11_600,     // InterruptedAtShutdown
    11_601,     // Interrupted
    11_602,     // InterruptedDueToReplStateChange
    13_388,     // StaleConfig
    13_435,     // NotPrimaryNoSecondaryOk
    13_436,     // NotPrimaryOrSecondary
    91_331,     // RetriableRemoteCommandFailure
    10_045_600, // InterruptedDueToFCVChange
];

#[cfg(test)]
mod tests {
    use mongodb::bson::{deserialize_from_document, doc};

    use super::*;

    fn of_command(code: i32) -> Fault {
        let answer = doc! { "code": code, "codeName": "Name", "errmsg": "why" };
        let error = deserialize_from_document(answer).unwrap();
        Fault::of(&ErrorKind::Command(error).into())
    }

    fn of_write(code: i32) -> Fault {
        let details = doc! { "value": "a secret" };
        let answer = doc! { "code": code, "errmsg": "why", "errInfo": details };
        let error = deserialize_from_document(answer).unwrap();
        Fault::of(&ErrorKind::Write(WriteFailure::WriteError(error)).into())
    }

    #[test]
    fn an_error_of_the_server_is_a_refusal_unless_it_passes() {
        const UNAUTHORIZED: i32 = 13;
        const NOT_A_REPLICA_SET: i32 = 123;
        for code in [UNAUTHORIZED, NOT_A_REPLICA_SET, 0, -1] {
            assert!(matches!(of_command(code), Fault::Refused(_)), "{code}");
            assert!(matches!(of_write(code), Fault::Refused(_)), "{code}");
        }
        for code in PASSING {
            assert!(matches!(of_command(*code), Fault::Unavailable(_)), "{code}");
            assert!(matches!(of_write(*code), Fault::Unavailable(_)), "{code}");
        }
        assert_eq!(of_write(DUPLICATE_KEY), Fault::Exists);
    }

    #[test]
    fn an_interrupted_command_may_be_repeated() {
        const CURSOR_NOT_FOUND: i32 = 43;
        const LINEARIZABLE_READ_CONCERN_ERROR: i32 = 187;
        const INTERRUPTED_DUE_TO_RESHARDING_CRITICAL_SECTION: i32 = 453;
        for code in [
            CURSOR_NOT_FOUND,
            LINEARIZABLE_READ_CONCERN_ERROR,
            INTERRUPTED_DUE_TO_RESHARDING_CRITICAL_SECTION,
        ] {
            assert!(matches!(of_command(code), Fault::Unavailable(_)), "{code}");
        }
    }

    #[test]
    fn no_value_of_a_document_is_revealed() {
        const DOCUMENT_VALIDATION_FAILURE: i32 = 121;
        let told = of_write(DOCUMENT_VALIDATION_FAILURE);
        assert_eq!(told, Fault::Refused("MongoDB says: why (121)".to_owned()));
    }

    #[test]
    fn an_unconfirmed_write_may_have_happened() {
        const WRITE_CONCERN_TIMEOUT: i32 = 64;
        let answer = doc! { "code": WRITE_CONCERN_TIMEOUT, "errmsg": "slow", "errInfo": {} };
        let error = deserialize_from_document(answer).unwrap();
        let kind = ErrorKind::Write(WriteFailure::WriteConcernError(error));
        assert!(matches!(Fault::of(&kind.into()), Fault::Unavailable(_)));
    }

    #[test]
    fn after_a_lost_connection_the_write_may_have_happened() {
        let lost = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert!(matches!(Fault::of(&lost.into()), Fault::Unavailable(_)));
    }
}
