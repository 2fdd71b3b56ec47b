//! The page before the real line and real cameras: one is added through it, its picture moves, it turns to "Lost" when its
//! server dies, and is back with it.
#![cfg(feature = "line")]

mod browser;
mod cameras;
mod operated;

use browser::{Browser, Screen};
use cameras::{Server, Spec, free_port};
use operated::Program;

/// Not a test: the camera's own process.
#[test]
fn camera_process() {
    cameras::be_a_camera();
}

const TILE: &str = "document.querySelector('.tile[aria-label=\"yard\"]')";
const PICTURE: &str = "(c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.join())(document.querySelector('.tile[aria-label=\"yard\"] canvas'))";

fn sees_it_move(browser: &Browser) {
    browser.until(&format!("{TILE}.dataset.curtain === 'off'"), "a picture");
    browser.script(&format!("window.before = {PICTURE}"));
    browser.until(&format!("{PICTURE} !== window.before"), "a picture that moves");
}

fn sees_state(browser: &Browser, state: &str) {
    browser.until(&format!("{TILE}.querySelector('.chip-text').textContent === '{state}'"), state);
}

#[test]
fn a_camera_added_through_the_page_is_watched_lost_and_found() {
    let out = tempfile::tempdir().unwrap();
    let (gate, yard) = (Server::start(free_port(), &Spec::default()), Server::start(free_port(), &Spec::default()));
    let first = format!("rtsp://127.0.0.1:{}/cam", gate.port);
    let folder = out.path().to_str().unwrap();
    let program = Program::start(
        &[
            "watch",
            &first,
            "--embedder",
            "none",
            "--input-px",
            "320",
            "--out",
            folder,
            "--api",
            "127.0.0.1:0",
            "-v",
            "--json-log",
        ],
        &[],
    );
    let browser = Browser::start(Screen::Desktop);
    browser.open(&format!("http://{}/", program.address));
    browser.until("document.querySelector('.tile[data-state=live][data-curtain=off]')", "the first camera");
    browser.click("#add");
    browser.type_into("#add-address", &format!("rtsp://127.0.0.1:{}/cam", yard.port));
    browser.type_into("#add-name", "yard");
    browser.click("#add-form [type=submit]");
    sees_state(&browser, "Live");
    sees_it_move(&browser);

    let port = yard.port;
    yard.kill();
    sees_state(&browser, "Lost");
    let _yard = Server::start(port, &Spec::default());
    sees_state(&browser, "Live");
    sees_it_move(&browser);
    browser.click(".tile[aria-label=yard] [data-act=remove]");
    browser.click("#remove-form [type=submit]");
    browser.until(&format!("!{TILE}"), "it is gone");
}
