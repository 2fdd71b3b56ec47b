//! The page in a real browser: cameras are added, watched, lost, found and removed through it; with a mouse, by keyboard
//! alone, on a phone, with a token.
#![cfg(all(feature = "serve", feature = "delivery"))]

mod browser;

use browser::{Browser, ENTER, ESCAPE, Screen, TAB};
use eyeline::{
    config::raw::Stream,
    event::{Event, What},
    frame::ImageSize,
    serve::{
        Gate, Listen, Server,
        fake::FakeLine,
        operate::{News, Operate, Percentiles, StreamState},
    },
};
use std::{
    collections::BTreeMap,
    env, fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

const PICTURE: ImageSize = ImageSize { width: 320, height: 180 };
const FRAME_INTERVAL: Duration = Duration::from_millis(50);

/// A line of fake cameras that send pictures as long as they are live.
struct Cameras {
    line: FakeLine,
    server: Server,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Cameras {
    fn start(gate: Gate) -> Self {
        let line = FakeLine::default();
        let listen = Listen { address: ([127, 0, 0, 1], 0).into(), tls: None };
        let server = Server::start(&listen, gate, Arc::new(line.clone())).unwrap();
        let stopping = Arc::new(AtomicBool::new(false));
        let (filmed, stop) = (line.clone(), Arc::clone(&stopping));
        let film = move || {
            for frame in 0.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                filmed.streams().iter().filter(|s| s.state == StreamState::Live).for_each(|stream| {
                    filmed.show(&stream.name, frame, PICTURE);
                });
                thread::sleep(FRAME_INTERVAL);
            }
        };
        Self { line, server, stopping, thread: Some(thread::spawn(film)) }
    }

    fn url(&self) -> String {
        format!("http://{}/", self.server.address())
    }

    fn add(&self, name: &str, state: StreamState) {
        self.line.add(&Stream { name: Some(name.into()), file: "gate.mp4".into(), ..Stream::default() }).unwrap();
        self.turn(name, state);
    }

    fn turn(&self, name: &str, state: StreamState) {
        self.line.set(name, |status| {
            let is_live = state == StreamState::Live;
            status.state = state;
            (status.width, status.height) = (Some(PICTURE.width), Some(PICTURE.height));
            (status.fps, status.nominal_fps) = (if is_live { 14.9 } else { 0.0 }, Some(15.0));
            (status.received, status.processed) = (18_240, 18_021);
            status.dropped = BTreeMap::from([("overload".to_owned(), 219)]);
            status.age = Some(Percentiles { p50_ms: 38.0, p99_ms: 82.0 });
            status.tracks = if is_live { 3 } else { 0 };
            let fault = "cam-7: no answer for 3 s, trying again in 2 s";
            status.last_fault = (state == StreamState::Lost).then(|| fault.to_owned());
        });
        self.tell(self.line.stream(name).map(|status| News::Stream(Arc::new(status))).unwrap());
    }

    fn tell(&self, news: News) {
        self.line.tell(news);
    }
}

impl Drop for Cameras {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

/// An expression for a tile of the wall.
fn tile(name: &str) -> String {
    format!("document.querySelector('.tile[aria-label=\"{name}\"]')")
}

/// An expression for what a tile's picture shows: the bytes of one row.
fn picture(name: &str) -> String {
    let canvas = format!("{}.querySelector('canvas')", tile(name));
    format!("(c => c.getContext('2d').getImageData(0, c.height >> 1, c.width, 1).data.join())({canvas})")
}

fn sees_it_move(browser: &Browser, name: &str) {
    browser.until(&format!("{}.dataset.curtain === 'off'", tile(name)), "a picture");
    browser.script(&format!("window.before = {}", picture(name)));
    browser.until(&format!("{} !== window.before", picture(name)), "a picture that moves");
}

fn sees_state(browser: &Browser, name: &str, state: &str) {
    browser.until(&format!("{}.querySelector('.chip-text').textContent === '{state}'", tile(name)), state);
}

/// Keeps pictures of the page in the folder named by `EYELINE_SCREENSHOTS`, to be looked at.
fn keep(browser: &Browser, name: &str) {
    if let Some(folder) = env::var_os("EYELINE_SCREENSHOTS") {
        fs::write(Path::new(&folder).join(format!("{name}.png")), browser.screenshot()).unwrap();
    }
}

#[test]
fn a_camera_is_added_watched_lost_found_paused_and_removed() {
    let cameras = Cameras::start(Gate::ThisMachine);
    let browser = Browser::start(Screen::Desktop);
    browser.open(&cameras.url());
    browser.until("document.querySelector('.empty')", "an empty wall says so");
    keep(&browser, "desktop-empty");

    browser.click("#add");
    browser.type_into("#add-address", "courtyard.mp4");
    browser.type_into("#add-name", "Front <b>gate</b>");
    keep(&browser, "desktop-add");
    browser.click("#add-form [type=submit]");
    browser.until("document.querySelector('.faults p')", "a name with a slash is refused where it was entered");
    browser.script("document.querySelector('#add-name').value = ''");
    browser.type_into("#add-name", "Gate & <yard>");
    browser.click("#add-form [type=submit]");
    sees_state(&browser, "Gate & <yard>", "Connecting");
    assert_eq!(browser.script("return document.querySelector('.name').textContent"), "Gate & <yard>");

    cameras.turn("Gate & <yard>", StreamState::Live);
    sees_state(&browser, "Gate & <yard>", "Live");
    sees_it_move(&browser, "Gate & <yard>");
    for name in ["Car park", "Loading bay", "Reception"] {
        cameras.add(name, StreamState::Live);
    }
    cameras.add("Back door", StreamState::Connecting);
    cameras.turn("Loading bay", StreamState::Lost);
    let what = What::StreamStarted { width: 320, height: 180, fps: Some(15.0), models: Vec::new() };
    let event = Event {
        id: "a/0".into(),
        stream: "Car park".into(),
        sequence: 0,
        frame: 0,
        time_seconds: 0.0,
        captured_at: None,
        clock: eyeline::event::Clock::File,
        what,
    };
    browser.until("document.querySelectorAll('.tile').length === 5", "cameras added elsewhere appear");
    cameras.tell(News::Event(Arc::new(event)));
    browser.until("document.querySelector('#events .what')?.textContent === 'Stream started'", "the event");
    sees_it_move(&browser, "Car park");
    sees_it_move(&browser, "Reception");
    keep(&browser, "desktop-wall");

    cameras.turn("Gate & <yard>", StreamState::Lost);
    sees_state(&browser, "Gate & <yard>", "Lost");
    let note = format!("{}.querySelector('.curtain-note').textContent.includes('no answer')", tile("Gate & <yard>"));
    browser.until(&note, "why it is lost");
    cameras.turn("Gate & <yard>", StreamState::Live);
    sees_state(&browser, "Gate & <yard>", "Live");
    sees_it_move(&browser, "Gate & <yard>");

    browser.click(".tile [data-act=enlarge]");
    browser.until("document.querySelector('#large-dialog[open] canvas').width === 320", "the large view");
    keep(&browser, "desktop-large");
    browser.press(ESCAPE);
    browser.until("!document.querySelector('dialog[open]')", "the large view closed");

    browser.click(".tile [data-act=pause]");
    sees_state(&browser, "Gate & <yard>", "Paused");
    assert_eq!(cameras.line.stream("Gate & <yard>").unwrap().state, StreamState::Paused);
    browser.click(".tile [data-act=remove]");
    browser.click("#remove-form [type=submit]");
    browser.until(&format!("!{}", tile("Gate & <yard>")), "it is gone");
    assert!(cameras.line.stream("Gate & <yard>").is_err());
    browser.script("document.documentElement.dataset.theme = 'dark'");
    sees_it_move(&browser, "Car park");
    keep(&browser, "desktop-dark");

    browser.open("about:blank");
    while cameras.line.is_watched("Car park") {
        thread::sleep(FRAME_INTERVAL);
    }
}

#[test]
fn the_page_is_used_by_keyboard_on_a_phone_behind_a_token() {
    let cameras = Cameras::start(Gate::token("correct horse battery"));
    cameras.add("Gate", StreamState::Live);
    let browser = Browser::start(Screen::Phone);
    browser.open(&cameras.url());
    browser.until("document.querySelector('#key-dialog[open]')", "the question for the token");
    assert!(!browser.text().as_str().unwrap().contains("gate.mp4"));
    keep(&browser, "phone-token");
    browser.press("wrong");
    browser.press(ENTER);
    browser.until("document.querySelector('#key-form .faults p')", "a wrong token is refused");
    browser.script("document.querySelector('#key-token').value = ''; document.querySelector('#key-token').focus()");
    browser.press("correct horse battery");
    browser.press(ENTER);
    sees_it_move(&browser, "Gate");

    let focus = |id: &str| {
        for _ in 0..20 {
            browser.press(TAB);
            if browser.script("return document.activeElement.id") == id {
                return;
            }
        }
        panic!("#{id} cannot be reached by keyboard");
    };
    browser.script("document.activeElement.blur()");
    focus("add");
    browser.press(ENTER);
    browser.until("document.activeElement.id === 'add-address'", "the dialog takes the focus");
    browser.press("yard.mp4");
    browser.press(ENTER);
    browser.until(&tile("yard"), "the camera added by keyboard");
    cameras.turn("yard", StreamState::Live);
    sees_it_move(&browser, "yard");
    assert_eq!(browser.script("return document.activeElement.id"), "add", "the focus goes back");

    let fits = browser.script("return document.documentElement.scrollWidth <= innerWidth");
    assert_eq!(fits, true, "the page is wider than the phone");
    let small = "return [...document.querySelectorAll('header button, .tile button')].filter(b => b.offsetHeight && \
                 (b.getBoundingClientRect().height < 36 || b.getBoundingClientRect().width < 36)).map(b => b.outerHTML)";
    assert_eq!(browser.script(small), serde_json::json!([]), "too small for a finger");
    for (role, name) in browser.spoken("button, input, .tile canvas, .tile, main, aside, dialog[open]") {
        // What is in closed dialogs is not spoken at all.
        assert!(
            !name.trim().is_empty() || role == "none" || role == "generic" || role.is_empty(),
            "{role} has no name"
        );
    }
    keep(&browser, "phone-wall");
    browser.script("document.documentElement.dataset.theme = 'dark'; scrollTo(0, 5000)");
    keep(&browser, "phone-dark");
}
