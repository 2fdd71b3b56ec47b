//! The real program with its HTTP interface, for tests.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

/// Bounds waiting on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// `eyeline` at work. Dropped, it is killed.
pub struct Program {
    child: Child,
    /// Where it answers.
    pub address: SocketAddr,
    said: Arc<Mutex<String>>,
}

impl Program {
    /// Starts `eyeline ARGS`, which must make it listen on a free port and log as JSON, and waits until it does.
    pub fn start(args: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eyeline"));
        command.args(args).envs(variables.iter().copied()).env_remove("EYELINE_LOG");
        command.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (found, address) = mpsc::channel();
        listen(child.stdout.take().unwrap(), &said, found.clone());
        listen(child.stderr.take().unwrap(), &said, found);
        let address = address.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no API: {}", said.lock().unwrap()));
        Self { child, address, said }
    }

    /// Everything it said until now.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Asks it to end and waits until it has.
    pub fn stop(mut self) -> String {
        self.signal("TERM");
        self.child.wait().unwrap();
        self.said()
    }

    /// Head and body of one answer.
    pub fn ask(&self, request: &str, headers: &str, body: &str) -> String {
        let mut socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let length = body.len();
        let head = format!(
            "{request} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}",
            self.address
        );
        socket.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Already gone after `stop`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps what the program says, and tells the address it says it listens on.
fn listen(pipe: impl Read + Send + 'static, said: &Arc<Mutex<String>>, found: mpsc::Sender<SocketAddr>) {
    let said = Arc::clone(said);
    thread::spawn(move || {
        let mut lines = BufReader::new(pipe);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).into_owned();
            if let Some(address) = text.contains("\"API\"").then(|| address_in(&text)).flatten() {
                let _ = found.send(address);
            }
            said.lock().unwrap().push_str(&text);
            line.clear();
        }
    });
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("\"address\":\"")?;
    rest.split('"').next()?.parse().ok()
}
