//! axum's server on loopback. It has its own process, whose CPU time is that of the server alone.

use std::{
    env,
    future::ready,
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{self, Child, Command, Stdio},
    thread,
};

use axum::{Router, routing::get, serve::ListenerExt};
use tokio::{net::TcpListener, runtime};
use tower::layer::util::Identity;

use kit::{
    browser::Browser,
    scenario::{Action, Content},
    sessions::bare_router,
    time::process_time,
};

use crate::systems::{FLOORS, Kind, SYSTEMS, System};

/// The application of a server.
#[derive(Clone, Copy)]
pub(crate) enum Application {
    /// axum alone.
    Bare,
    /// axum with a layer that does nothing, for the cost of a layer alone.
    Idle,
    /// A system of [`FLOORS`] or [`SYSTEMS`] that works with axum.
    System(&'static System),
}

/// The requests of [`crate::end_to_end`], and the checks before and after them.
const ROUTES: [(&str, Action); 5] = [
    ("/E2", Action::Nothing),
    ("/E4", Action::Count),
    ("/prepare", Action::Prepare(ONE)),
    ("/expect-2", Action::Expect(ONE, Some(2))),
    ("/expect", Action::Expect(ONE, None)),
];
const ONE: Content = Content::profiles(1);

/// Runs the server, in its process. Prints the address, and exits when standard input ends.
///
/// One thread does everything, so every server has exactly one processor.
pub(crate) fn run(kind: &str, name: &str) -> io::Result<()> {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let cpu = get(|| ready(process_time().as_nanos().to_string()));
            let mut all = Application::all();
            let router = all
                .find(|application| {
                    application.kind().title() == kind && application.name() == name
                })
                .and_then(Application::router)
                .ok_or_else(|| io::Error::other("no system of that name works with axum"))?
                .route("/cpu", cpu);
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            println!("{}", listener.local_addr()?);
            thread::spawn(|| {
                let _ = io::stdin().read(&mut [0]);
                process::exit(0);
            });
            let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
            axum::serve(listener, router).await
        })
}

impl Application {
    /// All servers by kind, the floor of each kind first.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let of = |kind| {
            let systems = FLOORS.iter().chain(SYSTEMS);
            systems.filter(move |system| system.kind == kind)
        };
        let systems = Kind::KEPT.into_iter().flat_map(of).map(Self::System);
        [Self::Bare, Self::Idle].into_iter().chain(systems)
    }

    /// Returns whether it has anything to do for this action.
    pub(crate) fn serves(self, action: Action) -> bool {
        match self {
            Self::Bare | Self::Idle => true,
            Self::System(system) => {
                let sessions = (system.new)();
                sessions.router(&[]).is_some() && sessions.endpoint(action).is_some()
            }
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare axum",
            Self::Idle => "axum with a layer that does nothing",
            Self::System(system) => system.name,
        }
    }

    pub(crate) const fn kind(self) -> Kind {
        match self {
            Self::Bare | Self::Idle => Kind::Nothing,
            Self::System(system) => system.kind,
        }
    }

    fn router(self) -> Option<Router> {
        let bare = || bare_router(&ROUTES.map(|(path, _)| path));
        match self {
            Self::Bare => Some(bare()),
            Self::Idle => Some(bare().layer(Identity::new())),
            Self::System(system) => (system.new)().router(&ROUTES),
        }
    }
}

pub(crate) struct Server {
    application: Application,
    child: Child,
    pub(crate) address: String,
}

impl Server {
    /// Starts a server in a new process, so that each turn has another memory layout.
    pub(crate) fn start(application: Application, processor: usize) -> io::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        let mut child = command
            .args(["--serve", application.kind().title(), application.name()])
            .arg(processor.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        Ok(Self {
            application,
            child,
            address: line.trim().to_owned(),
        })
    }

    /// The cookies of a session that has a profile and has counted to 2. A server without sessions
    /// gets other cookies of about the same length.
    pub(crate) fn session(&self) -> io::Result<String> {
        if matches!(self.application, Application::Bare | Application::Idle) {
            return Ok(format!("session={}", "x".repeat(300)));
        }
        let mut browser = Browser::default();
        browser.keep(self.get("/prepare", "")?.0);
        for path in ["/E4", "/E4", "/expect-2"] {
            let cookies = self.visit(path, &browser.field())?;
            browser.keep(cookies);
        }
        Ok(browser.field())
    }

    /// Checks that these cookies are those of a session with its profile.
    pub(crate) fn check(&self, session: &str) -> io::Result<()> {
        self.visit("/expect", session).map(drop)
    }

    fn visit(&self, path: &str, cookies: &str) -> io::Result<Vec<String>> {
        Ok(self.get(path, &format!("Cookie: {cookies}\r\n"))?.0)
    }

    /// Nanoseconds of CPU time of all threads of the process so far.
    pub(crate) fn cpu(&self) -> io::Result<f64> {
        self.get("/cpu", "")?.1.parse().map_err(io::Error::other)
    }

    /// The `Set-Cookie` fields and the body of a response. There is no response, and so an error,
    /// if the handler panics.
    fn get(&self, path: &str, fields: &str) -> io::Result<(Vec<String>, String)> {
        let mut stream = TcpStream::connect(&self.address)?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{fields}\r\n",
            self.address
        );
        stream.write_all(request.as_bytes())?;
        let text = io::read_to_string(stream)?;
        let response = text
            .strip_prefix("HTTP/1.1 200 OK\r\n")
            .and_then(|rest| rest.split_once("\r\n\r\n"));
        let (head, body) = response
            .ok_or_else(|| io::Error::other(format!("{path} was answered with {text:?}")))?;
        let fields = head.lines().filter_map(|line| line.split_once(": "));
        let cookies = fields
            .filter(|(name, _)| *name == "set-cookie")
            .map(|(_, cookie)| cookie.to_owned());
        Ok((cookies.collect(), body.to_owned()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
