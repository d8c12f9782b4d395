//! How a call reaches the server and what its answers mean. A call is a set of commands in one
//! round trip, confirmed by replicas if requested, or a script.

use redis::{Cmd, Pipeline, Value};
use silverback::store::{Record, StoreError, Version};

use crate::{
    RedisStore, error,
    link::To,
    record,
    script::{self, By, Call},
};

impl RedisStore {
    /// Runs a command on one key, and has it confirmed if requested.
    pub(crate) async fn write(
        &self,
        name: &str,
        command: Cmd,
        lasts: bool,
    ) -> Result<Value, StoreError> {
        let mut commands = Pipeline::with_capacity(2);
        commands.add_command(command);
        let mut answers = self.write_all(name, commands, lasts).await?;
        answers.next().ok_or_else(no_answer)
    }

    /// Runs commands in one round trip.
    pub(crate) async fn write_all(
        &self,
        name: &str,
        mut commands: Pipeline,
        lasts: bool,
    ) -> Result<std::vec::IntoIter<Value>, StoreError> {
        let Some(confirmed) = self.confirmed.as_ref().filter(|_| lasts) else {
            let answers = self.link.run(To::Key(name), &commands, self.timeout);
            return answers.await.map(Vec::into_iter);
        };
        let within = u64::try_from(confirmed.within.as_millis()).unwrap_or(u64::MAX);
        // Zero would mean no time limit.
        let within = within.max(1);
        commands.cmd("WAIT").arg(confirmed.replicas).arg(within);
        let answers = confirmed.link.run(To::Key(name), &commands, self.timeout);
        let mut answers = answers.await?;
        match answers.pop() {
            Some(Value::Int(replicas)) if replicas >= i64::from(confirmed.replicas) => {
                Ok(answers.into_iter())
            }
            _ if answers.iter().all(has_changed_nothing) => Ok(answers.into_iter()),
            Some(Value::Int(replicas)) => Err(StoreError::unavailable(format!(
                "written, and confirmed by {replicas} of {} replicas within {:?}",
                confirmed.replicas, confirmed.within
            ))),
            // The write was done, whatever the reason is.
            Some(other) => {
                let error = error::in_value(&other);
                let cause = error.map_or_else(|| "no number".to_owned(), |it| it.to_string());
                let sentence = format!("written, and not confirmed: {cause}");
                Err(StoreError::unavailable(sentence))
            }
            None => Err(no_answer()),
        }
    }

    /// Runs a script. The server gets its text if it does not have it.
    pub(crate) async fn call(
        &self,
        call: &Call,
        name: &str,
        arguments: impl Fn(&mut Cmd),
        lasts: bool,
    ) -> Result<(), StoreError> {
        let mut by = By::Hash;
        loop {
            let mut command = call.command(by, name);
            arguments(&mut command);
            match self.write(name, command, lasts).await? {
                Value::Int(answer) => return script::outcome(answer),
                Value::ServerError(failure) if is_unknown(&failure) && by == By::Hash => {
                    by = By::Text;
                }
                Value::ServerError(failure) => return Err(error::of(failure.into())),
                other => return Err(error::unexpected(&other)),
            }
        }
    }

    /// Deletes the record, at the expected version if there is one.
    pub(crate) fn deletion(name: &str, expected: Option<Version>, by: By) -> Cmd {
        match expected {
            None => {
                let mut command = redis::cmd("DEL");
                command.arg(name);
                command
            }
            Some(version) => {
                let mut command = script::DELETE.command(by, name);
                command.arg(version.as_bytes());
                command
            }
        }
    }
}

pub(crate) fn is_unknown(failure: &redis::ServerError) -> bool {
    failure.kind() == Some(redis::ServerErrorKind::NoScript)
}

pub(crate) fn no_answer() -> StoreError {
    StoreError::unavailable("Redis has answered fewer commands than it was sent")
}

/// Returns whether the command has changed nothing that a failover could lose.
fn has_changed_nothing(answer: &Value) -> bool {
    match answer {
        Value::Int(answer) => *answer < 0,
        Value::Nil => true,
        other => error::in_value(other).is_some(),
    }
}

pub(crate) fn loaded(answer: Value) -> Result<Option<Record>, StoreError> {
    match answer {
        Value::Nil => Ok(None),
        Value::BulkString(value) => record::read(value).map(Some),
        Value::ServerError(failure) => Err(error::of(failure.into())),
        other => Err(error::unexpected(&other)),
    }
}

pub(crate) fn deleted(answer: Value) -> Result<(), StoreError> {
    match answer {
        Value::Int(_) => Ok(()),
        Value::ServerError(failure) => Err(error::of(failure.into())),
        other => Err(error::unexpected(&other)),
    }
}

/// The answers of a call about this many records that failed as a whole.
pub(crate) fn repeated<T>(failure: &StoreError, count: usize) -> Vec<Result<T, StoreError>> {
    let cause =
        std::error::Error::source(failure).map_or_else(|| failure.to_string(), ToString::to_string);
    let again = || match failure {
        StoreError::Refused(_) => StoreError::refused(cause.clone()),
        _ => StoreError::unavailable(cause.clone()),
    };
    std::iter::repeat_with(|| Err(again()))
        .take(count)
        .collect()
}
