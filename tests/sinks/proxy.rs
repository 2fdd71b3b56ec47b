//! A TCP proxy that lets through only so many bytes a second.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

/// Listens on a free port and passes on to `port`, towards it at most `bytes_per_second`.
pub fn throttle(port: u16, bytes_per_second: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let own = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
            let (from_client, to_server) = (client.try_clone().expect("clone"), server.try_clone().expect("clone"));
            thread::spawn(move || pass(from_client, to_server, Some(bytes_per_second)));
            thread::spawn(move || pass(server, client, None));
        }
    });
    own
}

fn pass(mut from: TcpStream, mut to: TcpStream, bytes_per_second: Option<usize>) {
    const TICK: Duration = Duration::from_millis(20);
    let mut buffer = vec![0; bytes_per_second.map_or(64 * 1024, |bytes| (bytes / 50).max(1))];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
        if bytes_per_second.is_some() {
            thread::sleep(TICK);
        }
    }
    // The other direction learns of it.
    let _ = (from.shutdown(std::net::Shutdown::Both), to.shutdown(std::net::Shutdown::Both));
}
