//! Secrets never appear, in whatever form: in nothing the program says, writes or answers.
#![cfg(feature = "line")]

mod cameras;
mod operated;

use cameras::{Server, Spec, free_port};
use operated::{PATIENCE, Program};
use serde_json::Value;
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    thread,
    time::Instant,
};

/// Not a test: the camera's own process.
#[test]
fn camera_process() {
    cameras::be_a_camera();
}

const LOGIN: &str = "viewer:pa55/w0rd@1%d";
const RIGHT: &str = "pa55/w0rd@1%d";
const WRONG: &str = "wr0ng&pass+word=2";
const REFUSED: &str = "nobody:listens#3";
const QUERY: &str = "query-s3cret-4/x";
const TOKEN: &str = "api-t0ken/5+0123456789";

/// `text` with everything but letters and digits percent-encoded.
fn percent(text: &str, hex: fn(u8) -> String) -> String {
    let encode = |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { hex(byte) };
    text.bytes().map(encode).collect()
}

fn upper(byte: u8) -> String {
    format!("%{byte:02X}")
}

fn lower(byte: u8) -> String {
    format!("%{byte:02x}")
}

fn base64(text: &str) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = |chunk: &[u8]| {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        (0..=chunk.len()).map(|at| char::from(DIGITS[(bits >> (18 - 6 * at)) as usize & 63])).collect::<String>()
    };
    text.as_bytes().chunks(3).map(digits).collect()
}

/// Every form of every secret that must appear nowhere, under the name of the secret.
fn forbidden() -> Vec<(&'static str, String)> {
    let secrets = [("right", RIGHT), ("wrong", WRONG), ("refused", REFUSED), ("query", QUERY), ("token", TOKEN)];
    let forms = |(name, secret): (&'static str, &str)| {
        let unreserved = |text: &str| percent(text, upper).replace("%2D", "-");
        let forms = [secret.to_owned(), percent(secret, upper), percent(secret, lower), unreserved(secret)];
        forms.into_iter().chain([base64(&format!("viewer:{secret}"))]).map(move |form| (name, form))
    };
    secrets.into_iter().flat_map(forms).collect()
}

fn search(place: &str, text: &str) {
    for (name, form) in forbidden() {
        if let Some(at) = text.find(&form) {
            let line = text[..at].matches('\n').count();
            panic!("the secret {name:?} appears in {place}, line {}", line + 1);
        }
    }
}

fn search_files(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            search_files(&path);
        } else {
            search(&path.display().to_string(), &String::from_utf8_lossy(&fs::read(&path).unwrap()));
        }
    }
}

/// A pipeline of cameras that know their passwords in every way there is.
fn pipeline(out: &Path, port: u16, token_file: &Path) -> String {
    let (right, refused, query) = (percent(RIGHT, upper), percent(REFUSED, lower), percent(QUERY, upper));
    let closed = free_port();
    let out = out.display();
    format!(
        "version: 1
streams:
  - {{ name: right, url: \"rtsp://viewer:{right}@127.0.0.1:{port}/cam\" }}
  - {{ name: wrong, url: \"rtsp://127.0.0.1:{port}/cam\", camera: {{ user: viewer, password: \"${{WRONG_PASSWORD}}\" }} }}
  - {{ name: refused, url: \"rtsp://viewer:{refused}@127.0.0.1:{closed}/cam\" }}
  - {{ name: query, url: \"http://127.0.0.1:{closed}/mjpeg?token={query}\" }}
detect: {{ input_px: 320 }}
embed: none
output: {{ dir: \"{out}\", video: false }}
api: {{ listen: \"127.0.0.1:0\", token_file: \"{}\" }}
",
        token_file.display()
    )
}

#[test]
fn no_secret_appears_in_anything_the_program_emits() {
    let folder = tempfile::tempdir().unwrap();
    let (out, file, token_file) =
        (folder.path().join("out"), folder.path().join("run.yml"), folder.path().join("token"));
    let camera = Server::start(free_port(), &Spec { login: Some(LOGIN), ..Spec::default() });
    fs::write(&token_file, format!("{TOKEN}\n")).unwrap();
    fs::write(&file, pipeline(&out, camera.port, &token_file)).unwrap();
    let variables = [("WRONG_PASSWORD", WRONG), ("GST_DEBUG", "*:4,rtsp*:7,sdp*:7,souphttpsrc:7"), ("NO_COLOR", "1")];
    let program = Program::start(&["run", file.to_str().unwrap(), "-vvv", "--json-log"], &variables);
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");

    let mut news = TcpStream::connect(program.address).unwrap();
    let head = format!("GET /api/v1/events HTTP/1.1\r\nHost: {}\r\n{bearer}\r\n", program.address);
    news.write_all(head.as_bytes()).unwrap();
    let heard = thread::spawn(move || {
        let mut heard = Vec::new();
        // Ends with the program.
        let _ = news.read_to_end(&mut heard);
        String::from_utf8_lossy(&heard).into_owned()
    });

    let start = Instant::now();
    loop {
        let answer = program.ask("GET /api/v1/streams", &bearer, "");
        search("the list of streams", &answer);
        let streams: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        let all_told = streams["streams"].as_array().unwrap().iter().all(|stream| {
            if stream["name"] == "right" {
                stream["processed"].as_u64() > Some(5)
            } else {
                stream["last_fault"].is_string()
            }
        });
        if all_told {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "{streams:#}");
        thread::sleep(std::time::Duration::from_millis(50));
    }
    let json = format!("{bearer}Content-Type: application/json\r\n");
    let url = format!("rtsp://viewer:{}@127.0.0.1:99999/cam", percent(RIGHT, upper));
    let requests = [
        ("GET /api/v1/streams/right", &bearer, String::new()),
        ("GET /api/v1/streams/wrong/tracks", &bearer, String::new()),
        ("GET /api/v1/line", &bearer, String::new()),
        ("GET /metrics", &bearer, String::new()),
        ("GET /openapi.json", &bearer, String::new()),
        ("GET /nothing", &bearer, String::new()),
        ("POST /api/v1/streams/wrong/restart", &bearer, String::new()),
        ("POST /api/v1/streams", &json, format!("{{\"name\":\"right\",\"url\":\"{url}\"}}")),
        ("POST /api/v1/streams", &json, format!("{{\"name\":\"x\",\"url\":\"{url}\"}}")),
        (
            "POST /api/v1/streams",
            &json,
            format!("{{\"name\":\"y\",\"url\":\"rtsp//{RIGHT}@\",\"camera\":{{\"password\":[\"{WRONG}\"]}}}}"),
        ),
        ("PATCH /api/v1/streams/right", &json, "{\"min_score\": 0.2}".to_owned()),
    ];
    for (request, headers, body) in requests {
        search(request, &program.ask(request, headers, &body));
    }
    search("an answer to a wrong token", &program.ask("GET /metrics", "Authorization: Bearer wrong\r\n", ""));

    let said = program.stop();
    assert!(said.contains("rtspsrc") && said.contains(&format!("127.0.0.1:{}", camera.port)), "GStreamer was silent");
    search("what the program said", &said);
    search("the news", &heard.join().unwrap());
    search_files(&out);
}

#[test]
fn faults_of_a_file_repeat_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.yml");
    let unsound = format!(
        "version: 1\nstreams:\n  - {{ url: \"rtsp://viewer:{}@host:99999/x\", repeat: 0 }}\n  - {{ url: \"{RIGHT}@\", camera: {{ password: [{WRONG:?}] }} }}\n",
        percent(RIGHT, upper)
    );
    fs::write(&file, unsound).unwrap();
    let program = std::process::Command::new(env!("CARGO_BIN_EXE_eyeline")).arg("check").arg(&file).output().unwrap();
    assert!(!program.status.success());
    let said = [program.stdout, program.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(said.contains("streams[0]"), "{said}");
    search("what check says", &said);
}
