//! A server that tests start, interrupt and end.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    port::Port,
    process::{Process, Program},
    user::User,
};

/// A running server. It ends when this is dropped.
pub struct Server {
    name: &'static str,
    program: Program,
    ready: Ready,
    process: Mutex<Option<Process>>,
    ports: Vec<Port>,
    log: PathBuf,
    // Removed after the process has ended, since fields are dropped in this order.
    folder: TempDir,
}

/// Returns whether a server answers.
pub(crate) type Ready = Box<dyn Fn() -> bool + Send + Sync>;

/// A program to start, and the check that it is ready.
pub(crate) struct Launch {
    pub(crate) program: Program,
    pub(crate) ready: Ready,
}

/// The resources of a server that is about to start.
pub(crate) struct Place<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) ports: &'a [Port],
}

impl Place<'_> {
    /// The first port, which clients use.
    pub(crate) fn port(&self) -> u16 {
        self.port_at(0)
    }

    pub(crate) fn port_at(&self, index: usize) -> u16 {
        let port = self.ports.get(index);
        port.unwrap_or_else(|| panic!("there is no port {index}"))
            .number()
    }
}

/// A machine with more work than cores takes long to start a database.
const PATIENCE: Duration = Duration::from_secs(120);
const TRIES: u32 = 3;

impl Server {
    /// Starts a server and waits until it answers. If the program ends at once, for example because
    /// another program has taken its port, it is tried again elsewhere.
    pub(crate) fn start(
        name: &'static str,
        ports: usize,
        user: Option<User>,
        launch: impl Fn(&Place<'_>) -> io::Result<Launch>,
    ) -> Self {
        let mut tries = 0;
        loop {
            tries += 1;
            let ports = (0..ports).map(|_| Port::take()).collect();
            let server = Self::prepare(name, ports, user, &launch)
                .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
            match server.try_run() {
                Ok(()) => return server,
                Err(failure) if tries == TRIES => panic!("{failure}"),
                Err(failure) => eprintln!("{failure}; once more"),
            }
        }
    }

    /// Makes the folder, without running anything.
    pub(crate) fn prepare(
        name: &'static str,
        ports: Vec<Port>,
        user: Option<User>,
        launch: impl Fn(&Place<'_>) -> io::Result<Launch>,
    ) -> io::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(&format!("silverback-{name}-"))
            .tempdir()?;
        if let Some(user) = user {
            user.give(folder.path())?;
        }
        let place = Place {
            folder: folder.path(),
            ports: &ports,
        };
        let Launch { program, ready } = launch(&place)?;
        Ok(Self {
            name,
            program,
            ready,
            process: Mutex::new(None),
            ports,
            log: folder.path().join("log"),
            folder,
        })
    }

    /// Runs it again after [`kill`](Self::kill) or [`stop`](Self::stop), on the same port and in
    /// the same folder, and waits until it answers. A running server is stopped first.
    ///
    /// # Panics
    ///
    /// If the server does not start.
    pub fn restart(&self) {
        self.stop();
        if let Err(failure) = self.try_run() {
            panic!("{failure}");
        }
    }

    /// Ends it like `kill -9`, without a chance to save anything.
    pub fn kill(&self) {
        if let Some(mut process) = self.take() {
            process.kill();
        }
    }

    /// Asks it to end, and waits for that.
    pub fn stop(&self) {
        if let Some(mut process) = self.take() {
            process.terminate();
        }
    }

    /// Suspends it: connections stay, the system accepts new ones, and nobody answers.
    pub fn pause(&self) {
        self.process().as_mut().into_iter().for_each(Process::pause);
    }

    /// Continues after [`pause`](Self::pause).
    pub fn resume(&self) {
        self.process()
            .as_mut()
            .into_iter()
            .for_each(Process::resume);
    }

    /// Returns whether it runs. A paused server does.
    #[must_use]
    pub fn is_running(&self) -> bool {
        let mut process = self.process();
        process.as_mut().is_some_and(|process| !process.has_ended())
    }

    /// Returns the port that clients connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.place().port()
    }

    pub(crate) fn port_at(&self, index: usize) -> u16 {
        self.place().port_at(index)
    }

    /// Returns the server's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the server's output.
    #[must_use]
    pub fn log(&self) -> String {
        let mut bytes = Vec::new();
        if let Ok(mut file) = fs::File::open(&self.log) {
            let _ = file.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn place(&self) -> Place<'_> {
        Place {
            folder: self.folder.path(),
            ports: &self.ports,
        }
    }

    /// Runs it without waiting for it to answer.
    pub(crate) fn run(&self) -> io::Result<()> {
        self.run_as(&self.program)
    }

    /// Runs it with additional arguments, which a later [`restart`](Self::restart) leaves out.
    pub(crate) fn run_with(&self, more: &[&str]) -> io::Result<()> {
        self.run_as(&self.program.clone().with(more))
    }

    fn run_as(&self, program: &Program) -> io::Result<()> {
        let process = Process::start(program, self.folder.path(), &self.log)?;
        *self.process() = Some(process);
        Ok(())
    }

    /// Waits until it answers.
    pub(crate) fn wait(&self) -> Result<(), String> {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if (self.ready)() {
                return Ok(());
            }
            if !self.is_running() {
                return Err(format!("{} has ended: {}", self.name, self.last_words()));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err(format!(
            "{} does not answer after {PATIENCE:?}: {}",
            self.name,
            self.last_words()
        ))
    }

    fn try_run(&self) -> Result<(), String> {
        self.run()
            .map_err(|error| format!("{} does not run: {error}", self.name))?;
        self.wait()
    }

    fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        let from = lines.len().saturating_sub(20);
        lines.get(from..).unwrap_or_default().join("\n")
    }

    fn take(&self) -> Option<Process> {
        self.process().take()
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("name", &self.name)
            .field("port", &self.port())
            .finish_non_exhaustive()
    }
}
