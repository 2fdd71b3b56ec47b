//! A server of a test: a process on a free port in a folder of its own.

use super::certs::Certs;
use std::{
    fs::{self, File},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Longest wait for anything that must happen, after outages of a minute too.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Bytes a second towards a server that let one event through, with what surrounds it, in a second.
pub const ONE_A_SECOND: usize = 400;

/// The password the servers know.
pub const PASSWORD: &str = "hunter2-not-to-be-seen";

/// How a server is started.
#[derive(Clone, Copy, Default)]
pub struct How<'a> {
    /// It knows another password.
    pub refuses: bool,
    /// It speaks TLS.
    pub tls: Option<&'a Certs>,
}

/// Writes the server's files and gives the command that runs it in the foreground.
pub type Prepare = fn(folder: &Path, port: u16, how: &How<'_>) -> Command;

/// A server.
pub struct Server {
    pub port: u16,
    folder: TempDir,
    prepare: Prepare,
    child: Option<Child>,
}

impl Server {
    /// Not started yet; its port is free.
    pub fn new(prepare: Prepare) -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        // Servers that refuse to run as root must get through to their own folder.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(folder.path(), open).expect("permissions");
        Self { port: free_port(), folder, prepare, child: None }
    }

    /// Starts it on what it left behind; returns once it takes connections.
    pub fn start(&mut self, how: How<'_>) {
        let log = File::options().create(true).append(true).open(self.log_path()).expect("log");
        let mut command = (self.prepare)(self.folder.path(), self.port, &how);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("log")).stderr(log);
        self.child = Some(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}; run `make setup`")));
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            assert!(ended.is_none() && began.elapsed() < PATIENCE, "{ended:?}: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Stops it from doing anything, with its connections open.
    pub fn hang(&self) {
        self.signal("STOP");
    }

    pub fn go_on(&self) {
        self.signal("CONT");
    }

    /// Ends it in order.
    pub fn stop(&mut self) {
        self.signal("INT");
        self.reap();
    }

    pub fn kill(&mut self) {
        self.signal("KILL");
        self.reap();
    }

    fn reap(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.wait().expect("ends");
        }
    }

    fn signal(&self, name: &str) {
        let child = self.child.as_ref().expect("runs");
        let id = child.id();
        // PostgreSQL's workers live in sessions of their own.
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        let ids = children.split_whitespace().map(str::to_owned).chain([id.to_string()]);
        // An orderly end is the head's own business.
        let ids: Vec<String> = if name == "INT" { vec![id.to_string()] } else { ids.collect() };
        let sent = Command::new("kill").args(["-s", name]).args(&ids).stderr(Stdio::null()).status().expect("kill");
        assert!(sent.success() || name == "KILL", "kill -s {name} {ids:?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}

/// A port nobody listens on just now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port()
}
