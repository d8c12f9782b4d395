//! A proxy that delays answers, as if the server were further away.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// Returns a loopback port whose connections lead to the port of a server. Each piece of an answer
/// arrives `delay` after the server has sent it, no matter how many are under way.
pub(super) fn delayed_port(server: u16, delay: Duration) -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // A connection that fails is its client's problem.
            let _ = open(&client, server, delay);
        }
    });
    Ok(port)
}

fn open(client: &TcpStream, server: u16, delay: Duration) -> io::Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server))?;
    server.set_nodelay(true)?;
    client.set_nodelay(true)?;
    pass(client.try_clone()?, server.try_clone()?, Duration::ZERO);
    pass(server, client.try_clone()?, delay);
    Ok(())
}

/// One thread reads and another writes, so that several pieces wait at the same time.
fn pass(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let (pieces, due) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut piece = vec![0; 64 << 10];
        while let Ok(len @ 1..) = from.read(&mut piece) {
            let copy = piece.get(..len).unwrap_or_default().to_owned();
            if pieces.send((Instant::now() + delay, copy)).is_err() {
                break;
            }
        }
    });
    thread::spawn(move || {
        for (when, piece) in due {
            thread::sleep(when.saturating_duration_since(Instant::now()));
            if to.write_all(&piece).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}
