//! The thread that writes. Waiting writes share a transaction and a sync of the disk.

use std::{io, sync::Arc, thread};

use silverback::{Clock, store::StoreError};
use tokio::sync::{mpsc, oneshot};

use crate::{
    error::Fault,
    file::File,
    operation::{Change, Operation, Outcome},
};

/// The most writes that wait in the queue. Further calls wait for room.
const QUEUE: usize = 1_024;

/// The most writes of a transaction, so that the first need not wait long.
const BATCH: usize = 512;

/// The most bytes of a transaction, except that its last record may exceed them.
const BATCH_BYTES: usize = 4 << 20;

/// A job for the writer.
#[derive(Debug)]
enum Job {
    Write(Vec<Operation>, oneshot::Sender<Vec<Outcome>>),
    /// Reopens the file if redb refuses to work, as every job does.
    Mend,
    Close(oneshot::Sender<()>),
}

/// The queue to the thread that writes. The thread ends when nobody holds it any more.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Job>,
}

impl Writer {
    pub(crate) fn start(file: Arc<File>, clock: Clock) -> io::Result<Self> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let thread = Thread { file, clock };
        thread::Builder::new()
            .name("silverback-redb".to_owned())
            .spawn(move || thread.run(jobs))?;
        Ok(Self { queue })
    }

    /// Applies operations, and waits until they are on the disk. If this is dropped before, they
    /// may happen or not.
    pub(crate) async fn write(
        &self,
        operations: Vec<Operation>,
    ) -> Result<Vec<Outcome>, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job = Job::Write(operations, answer);
        self.queue.send(job).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())
    }

    /// Has the file reopened if redb refuses to work, without waiting for that.
    pub(crate) fn mend(&self) {
        // If the queue is full, the next write does it.
        drop(self.queue.try_send(Job::Mend));
    }

    /// Closes the file, after the waiting writes.
    pub(crate) async fn close(&self) {
        let (answer, answered) = oneshot::channel();
        if self.queue.send(Job::Close(answer)).await.is_ok() {
            drop(answered.await);
        }
    }
}

fn closed() -> StoreError {
    StoreError::refused("the store is closed")
}

struct Thread {
    file: Arc<File>,
    clock: Clock,
}

/// Writes that share a transaction.
#[derive(Default)]
struct Batch {
    operations: Vec<Operation>,
    /// The number of operations of each call, in order.
    waiting: Vec<(usize, oneshot::Sender<Vec<Outcome>>)>,
    bytes: usize,
    closing: Option<oneshot::Sender<()>>,
}

impl Batch {
    fn add(&mut self, job: Job) {
        match job {
            // The caller no longer waits.
            Job::Write(_, answer) if answer.is_closed() => {}
            Job::Write(operations, answer) => {
                self.bytes += operations.iter().map(Operation::bytes).sum::<usize>();
                self.waiting.push((operations.len(), answer));
                self.operations.extend(operations);
            }
            Job::Mend => {}
            Job::Close(answer) => self.closing = Some(answer),
        }
    }

    fn has_room(&self) -> bool {
        self.operations.len() < BATCH && self.bytes < BATCH_BYTES && self.closing.is_none()
    }

    fn answer(self, outcomes: Result<Vec<Outcome>, Fault>) {
        let mut outcomes = match outcomes {
            Ok(outcomes) => outcomes.into_iter(),
            Err(fault) => {
                for (count, answer) in self.waiting {
                    let failed = (0..count).map(|_| Err(fault.error()));
                    drop(answer.send(failed.collect()));
                }
                return;
            }
        };
        for (count, answer) in self.waiting {
            // A caller that no longer waits learns the outcome from the record.
            drop(answer.send(outcomes.by_ref().take(count).collect()));
        }
    }
}

impl Operation {
    fn bytes(&self) -> usize {
        match &self.change {
            Change::Create { data, .. } | Change::Update { data, .. } => data.len(),
            Change::Touch { .. } | Change::Delete { .. } | Change::Sweep => 0,
        }
    }
}

impl Thread {
    fn run(&self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(job) = jobs.blocking_recv() {
            let mut batch = Batch::default();
            batch.add(job);
            while batch.has_room()
                && let Ok(job) = jobs.try_recv()
            {
                batch.add(job);
            }
            let closing = batch.closing.take();
            self.work(batch);
            if let Some(closed) = closing {
                jobs.close();
                self.file.close();
                let _ = closed.send(());
                // A write that is just entering the queue is dropped as well, so that it learns of
                // the end. Without this it would stay there, and its caller would wait for ever.
                while jobs.blocking_recv().is_some() {}
                return;
            }
        }
        self.file.close();
    }

    fn work(&self, batch: Batch) {
        self.file.mend();
        if !batch.operations.is_empty() {
            let written = self.file.write(batch.operations.iter(), self.clock.now());
            let is_closed = matches!(written, Err(Fault::Closed(_)));
            batch.answer(written);
            // A file that could not be reopened a moment ago waits for the next job.
            if !is_closed {
                self.file.mend();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::RedbStore;

    #[tokio::test]
    async fn a_write_that_enters_the_queue_beside_the_close_learns_of_it() {
        let dir = TempDir::new().unwrap();
        let store = RedbStore::open(dir.path().join("sessions.redb")).await;
        let store = store.unwrap();
        let place = store.writer().queue.reserve().await.unwrap();
        let (answer, answered) = oneshot::channel();
        store.close().await;
        place.send(Job::Write(Vec::new(), answer));
        assert!(answered.await.is_err());
    }
}
