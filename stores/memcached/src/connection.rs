//! One connection that all tasks share. Their questions are sent at once, and answered in the same
//! order.

use std::{
    io,
    sync::{Arc, atomic::AtomicU64},
};

use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::{
    address::Address,
    error::{Lost, broken},
    meta::{self, Answer, Commands},
};

/// A connection to the server. It is closed when this is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    questions: mpsc::Sender<Question>,
    numbers: AtomicU64,
    pub(crate) facts: Facts,
    tasks: [JoinHandle<io::Result<()>>; 2],
}

/// The server's own settings.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Facts {
    /// The largest item in bytes: the key, the value and the server's overhead.
    pub(crate) item_bytes: usize,
    /// Whether values have compare-and-swap tokens.
    pub(crate) has_tokens: bool,
}

/// A task's question.
#[derive(Debug)]
struct Question {
    bytes: Vec<u8>,
    expected: Vec<u64>,
    answer: oneshot::Sender<Vec<Answer>>,
}

/// The numbers of the expected answers, and the task that waits for them.
type Waiting = (Vec<u64>, oneshot::Sender<Vec<Answer>>);

/// The most questions that wait to be sent. Further tasks wait for room.
const QUEUE: usize = 1_024;

/// Questions are sent in pieces of about this many bytes.
const PIECE: usize = 64 << 10;

impl Connection {
    pub(crate) async fn open(address: &Address) -> io::Result<Self> {
        let stream = TcpStream::connect(address.as_str()).await?;
        stream.set_nodelay(true)?;
        let (from, mut to) = stream.into_split();
        let mut from = BufReader::new(from);
        let facts = Facts::ask(&mut from, &mut to).await?;
        let (questions, asked) = mpsc::channel(QUEUE);
        let (waiting, answered) = mpsc::unbounded_channel();
        let most = facts.item_bytes;
        Ok(Self {
            questions,
            numbers: AtomicU64::new(1),
            facts,
            tasks: [
                tokio::spawn(send(to, asked, waiting)),
                tokio::spawn(receive(from, answered, most)),
            ],
        })
    }

    /// Sends commands, and waits for an answer to each. If this is dropped before, the server still
    /// executes what was sent, and nobody takes its answers for others.
    pub(crate) async fn ask(
        &self,
        commands: impl FnOnce(&mut Commands<'_>),
    ) -> Result<Vec<Answer>, Lost> {
        let mut asked = Commands::new(&self.numbers);
        commands(&mut asked);
        let (answer, answered) = oneshot::channel();
        let question = Question {
            bytes: asked.bytes,
            expected: asked.expected,
            answer,
        };
        let sent = self.questions.send(question).await;
        sent.map_err(|_| Lost::Unsent)?;
        answered.await.map_err(|_| Lost::Unanswered)
    }

    /// Like [`ask`](Self::ask), for one command.
    pub(crate) async fn ask_one(
        &self,
        command: impl FnOnce(&mut Commands<'_>),
    ) -> Result<Answer, Lost> {
        let mut answers = self.ask(command).await?;
        answers.pop().ok_or(Lost::Unanswered)
    }
}

#[cfg(test)]
impl Connection {
    /// Returns whether the connection is known to be over.
    pub(crate) fn is_over(&self) -> bool {
        self.questions.is_closed()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // A silent server would keep the tasks waiting.
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Sends questions until the connection ends, or nobody asks any more.
async fn send(
    mut to: OwnedWriteHalf,
    mut asked: mpsc::Receiver<Question>,
    waiting: mpsc::UnboundedSender<Waiting>,
) -> io::Result<()> {
    let mut piece = Vec::new();
    loop {
        let question = tokio::select! {
            question = asked.recv() => question,
            () = waiting.closed() => None,
        };
        let Some(question) = question else {
            return Ok(());
        };
        let mut next = Some(question);
        while let Some(question) = next {
            piece.extend_from_slice(&question.bytes);
            if waiting.send((question.expected, question.answer)).is_err() {
                return Ok(());
            }
            let has_room = piece.len() < PIECE;
            next = has_room.then(|| asked.try_recv().ok()).flatten();
        }
        to.write_all(&piece).await?;
        piece.clear();
        piece.shrink_to(PIECE);
    }
}

/// Reads the answers for the waiting tasks. Tasks that still wait at the end get none.
async fn receive(
    mut from: impl AsyncBufRead + Unpin,
    mut waiting: mpsc::UnboundedReceiver<Waiting>,
    most: usize,
) -> io::Result<()> {
    loop {
        let next = tokio::select! {
            next = waiting.recv() => next,
            // A task waits before its question is sent, but perhaps not yet when the line above
            // looked. If no task waits now, the server closes the connection or talks without being
            // asked.
            _ = from.fill_buf() => waiting.try_recv().ok(),
        };
        let Some((expected, answer)) = next else {
            return Ok(());
        };
        let mut answers = Vec::with_capacity(expected.len());
        for number in expected {
            answers.push(meta::read(&mut from, number, most).await?);
        }
        // A task that no longer waits does not need the answer.
        let _ = answer.send(answers);
    }
}

impl Facts {
    async fn ask(from: &mut BufReader<OwnedReadHalf>, to: &mut OwnedWriteHalf) -> io::Result<Self> {
        to.write_all(b"stats settings\r\n").await?;
        let mut facts = Self {
            item_bytes: 0,
            has_tokens: false,
        };
        loop {
            let line = meta::read_line(from).await?;
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["STAT", "item_size_max", bytes] => {
                    let bytes = bytes.parse();
                    facts.item_bytes = bytes.map_err(|_| broken("item_size_max is no number"))?;
                }
                ["STAT", "cas_enabled", enabled] => facts.has_tokens = enabled == "yes",
                ["STAT", ..] => {}
                ["END"] => return Ok(facts),
                _ => return Err(broken(&format!("memcached says {line:?}"))),
            }
        }
    }
}

/// Shared by its users.
pub(crate) type Shared = Arc<Connection>;

#[cfg(test)]
mod tests {
    use std::{
        pin::Pin,
        task::{Context, Poll},
    };

    use tokio::io::{AsyncRead, ReadBuf};

    use super::*;

    /// A server whose answer arrives while the connection is polled.
    struct Prompt {
        question: Option<(mpsc::UnboundedSender<Waiting>, Waiting)>,
    }

    impl AsyncRead for Prompt {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            into: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if let Some((waiting, question)) = self.question.take() {
                waiting.send(question).unwrap();
                into.put_slice(b"HD O7\r\n");
            }
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn an_answer_that_comes_between_two_polls_is_read() {
        // The order of the two polls is random.
        for _ in 0..64 {
            let (waiting, asked) = mpsc::unbounded_channel();
            let (answer, answered) = oneshot::channel();
            let question = Some((waiting, (vec![7], answer)));
            let from = BufReader::new(Prompt { question });
            receive(from, asked, 100).await.unwrap();
            assert_eq!(answered.await.unwrap(), [Answer::Done]);
        }
    }
}
