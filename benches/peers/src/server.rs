//! axum's server on loopback, in a process of its own, so that the CPU time is its own too.

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

/// Who serves.
#[derive(Clone, Copy)]
pub(crate) enum Who {
    /// axum alone.
    Bare,
    /// axum with a layer that does nothing, which is what any layer costs.
    Idle,
    /// One of [`FLOORS`] and [`SYSTEMS`] that is for axum.
    System(&'static System),
}

/// The requests of [`crate::end_to_end`], and those before and after them.
const ROUTES: [(&str, Action); 5] = [
    ("/E2", Action::Nothing),
    ("/E4", Action::Count),
    ("/prepare", Action::Prepare(ONE)),
    ("/expect-2", Action::Expect(ONE, Some(2))),
    ("/expect", Action::Expect(ONE, None)),
];
const ONE: Content = Content::profiles(1);

/// What runs in the process. It prints its address, and ends when its input does.
///
/// One thread does everything, so that the server's share of the machine is one processor, whatever
/// it serves.
pub(crate) fn run(kind: &str, name: &str) -> io::Result<()> {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let cpu = get(|| ready(process_time().as_nanos().to_string()));
            let mut all = Who::all();
            let router = all
                .find(|who| who.kind().title() == kind && who.name() == name)
                .and_then(Who::router)
                .ok_or_else(|| io::Error::other("nobody of that name is for axum"))?
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

impl Who {
    /// By kind, the floor of each before the others.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let of = |kind| {
            let systems = FLOORS.iter().chain(SYSTEMS);
            systems.filter(move |system| system.kind == kind)
        };
        let systems = Kind::KEPT.into_iter().flat_map(of).map(Self::System);
        [Self::Bare, Self::Idle].into_iter().chain(systems)
    }

    /// Whether it has anything to do for a handler that does this.
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
    who: Who,
    child: Child,
    pub(crate) address: String,
}

impl Server {
    /// In a new process, so that no two turns have the same luck with where things are in memory.
    pub(crate) fn start(who: Who, processor: usize) -> io::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        let mut child = command
            .args(["--serve", who.kind().title(), who.name()])
            .arg(processor.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        Ok(Self {
            who,
            child,
            address: line.trim().to_owned(),
        })
    }

    /// The cookies of a session that has a profile, and counted up to 2 by two requests; without
    /// sessions, others that are as long.
    pub(crate) fn session(&self) -> io::Result<String> {
        if matches!(self.who, Who::Bare | Who::Idle) {
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

    /// Sees to it that these cookies are of a session with its profile.
    pub(crate) fn check(&self, session: &str) -> io::Result<()> {
        self.visit("/expect", session).map(drop)
    }

    fn visit(&self, path: &str, cookies: &str) -> io::Result<Vec<String>> {
        Ok(self.get(path, &format!("Cookie: {cookies}\r\n"))?.0)
    }

    /// Nanoseconds that all threads of the process have had until now.
    pub(crate) fn cpu(&self) -> io::Result<f64> {
        self.get("/cpu", "")?.1.parse().map_err(io::Error::other)
    }

    /// The `Set-Cookie` fields and the body of a response. A handler that panics gives none.
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
