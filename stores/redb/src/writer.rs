//! The thread that writes: those who wait share a transaction, and a sync of the disk.

use std::{io, sync::Arc, thread};

use silverback::{Clock, store::StoreError};
use tokio::sync::{mpsc, oneshot};

use crate::{
    error::Fault,
    file::File,
    operation::{Change, Operation, Outcome},
};

/// So many writes wait in the queue. Whoever comes then waits for room.
const QUEUE: usize = 1_024;

/// A transaction has no more writes than this, so that the first need not wait long.
const BATCH: usize = 512;

/// Nor does it have more bytes than this, or one more record.
const BATCH_BYTES: usize = 4 << 20;

/// What the writer is asked.
#[derive(Debug)]
enum Job {
    Write(Vec<Operation>, oneshot::Sender<Vec<Outcome>>),
    /// Opens the file again, if an error has closed it, as each job does.
    Mend,
    Close(oneshot::Sender<()>),
}

/// The way to the thread that writes. The thread ends when there is none any more.
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

    /// Has operations done, and waits until the disk has them. If this is dropped before, they are
    /// done or not.
    pub(crate) async fn write(
        &self,
        operations: Vec<Operation>,
    ) -> Result<Vec<Outcome>, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job = Job::Write(operations, answer);
        self.queue.send(job).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())
    }

    /// Has the file opened again, if an error has closed it. Nobody waits for that.
    pub(crate) fn mend(&self) {
        // With a full queue, the next write does it.
        drop(self.queue.try_send(Job::Mend));
    }

    /// Closes the file, after what waits was written.
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
    /// How many of the operations are each one's, in their order.
    waiting: Vec<(usize, oneshot::Sender<Vec<Outcome>>)>,
    bytes: usize,
    closing: Option<oneshot::Sender<()>>,
}

impl Batch {
    fn add(&mut self, job: Job) {
        match job {
            // Nobody waits for it any more.
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
            // Whoever does not wait any more finds out by the record.
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
                return;
            }
        }
        self.file.close();
    }

    fn work(&self, batch: Batch) {
        self.file.mend();
        if !batch.operations.is_empty() {
            let written = self.file.write(batch.operations.iter(), self.clock.now());
            batch.answer(written);
            self.file.mend();
        }
    }
}
