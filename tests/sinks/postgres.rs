//! PostgreSQL.

use super::{
    certs::Certs,
    process::{How, ONE_A_SECOND, PASSWORD, Server},
    proxy::throttle,
    scene::Scene,
};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
};
use tokio_postgres::NoTls;

/// A command of PostgreSQL's; its server refuses to run as root, so then it runs as the user of the Debian package.
fn as_postgres(program: &str) -> Command {
    let folder = fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL: run `make test`").flatten().next();
    let program = folder.expect("a version").path().join("bin").join(program);
    let Some(user) = postgres_user() else { return Command::new(program) };
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups"]).arg(program);
    command
}

/// The number of user `postgres` where we are root.
fn postgres_user() -> Option<u32> {
    let number = |arguments: &[&str]| {
        let output = Command::new("id").args(arguments).output().expect("id");
        String::from_utf8_lossy(&output.stdout).trim().parse::<u32>().ok()
    };
    (number(&["-u"]) == Some(0)).then(|| number(&["-u", "postgres"]).expect("the package's user"))
}

fn own(path: &Path) {
    if let Some(user) = postgres_user() {
        chown(path, Some(user), Some(user)).expect("chown");
    }
}

fn server(folder: &Path, port: u16, how: &How<'_>) -> Command {
    let data: PathBuf = folder.join("data");
    if !data.exists() {
        let password = folder.join("password");
        fs::write(&password, PASSWORD).expect("writes");
        fs::create_dir(&data).expect("folder");
        fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).expect("permissions");
        [&data, &password].into_iter().for_each(|path| own(path));
        let mut init = as_postgres("initdb");
        init.arg("-D").arg(&data).arg("--pwfile").arg(&password);
        let output = init.args(["-U", "eye", "-A", "scram-sha-256", "-N", "--no-locale", "-E", "UTF8"]).output();
        let output = output.expect("initdb");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let method = if how.refuses { "reject" } else { "scram-sha-256" };
    fs::write(data.join("pg_hba.conf"), format!("host all all 127.0.0.1/32 {method}\n")).expect("writes");
    // Left by a killed server whose id another process may have by now.
    let _ = fs::remove_file(data.join("postmaster.pid"));
    let mut command = as_postgres("postgres");
    command.arg("-D").arg(&data).args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k", "", "-c", "fsync=off"]);
    if let Some(certs) = how.tls {
        let key = folder.join("server.key");
        fs::copy(certs.key(), &key).expect("copies");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("permissions");
        own(&key);
        let setting = |name: &str, path: &Path| format!("{name}={}", path.display());
        command.args(["-c", "ssl=on", "-c", &setting("ssl_cert_file", &certs.cert())]);
        command.args(["-c", &setting("ssl_key_file", &key)]);
    }
    command
}

fn stored(port: u16) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        let config = format!("host=127.0.0.1 port={port} user=eye password={PASSWORD} dbname=postgres");
        let (client, connection) = tokio_postgres::connect(&config, NoTls).await.expect("connects");
        tokio::spawn(connection);
        let rows = client.query("SELECT id FROM eyeline_events ORDER BY position", &[]).await.expect("rows");
        rows.iter().map(|row| row.get(0)).collect()
    })
}

fn sink(port: u16, more: &str) -> String {
    format!(
        "  postgres: [{{name: p, url: \"postgres://127.0.0.1:{port}/postgres\", user: eye, password: \"${{PASSWORD}}\"{more}}}]\n"
    )
}

#[test]
fn postgres_survives_every_misfortune() {
    let mut server = Server::new(server);
    let mut scene = Scene::new(&sink(server.port, ""));
    scene.misfortunes(&mut server);
    let stored = stored(server.port);
    scene.assert_arrived(&stored);
    assert_eq!(stored.len(), scene.ids().len(), "an event is there twice");
}

#[test]
fn a_slow_wire_to_postgres_loses_nothing_and_tls_works() {
    let certs = Certs::new();
    let mut server = Server::new(server);
    server.start(How { tls: Some(&certs), ..How::default() });
    let tls = format!(", tls: {{ca: {}}}", certs.ca().display());
    let mut scene = Scene::new(&sink(throttle(server.port, 8_000), &tls).replace("127.0.0.1", "localhost"));
    scene.append();
    scene.wait_delivered();
    scene.assert_arrived(&stored(server.port));
}

#[test]
fn postgres_that_takes_one_a_second_gets_everything_once() {
    let mut server = Server::new(server);
    server.start(How::default());
    let mut scene = Scene::slow(&sink(throttle(server.port, ONE_A_SECOND), ""), 50);
    scene.trickle(|| stored(server.port));
}
