//! A browser to test the page with: headless Chromium, driven through chromedriver's WebDriver protocol.
#![allow(dead_code, reason = "each test uses a part of it")]

use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// Keys by WebDriver's names for them.
pub const TAB: &str = "\u{E004}";
pub const ENTER: &str = "\u{E007}";
pub const ESCAPE: &str = "\u{E00C}";

/// Bounds waiting for what must come at once; a loaded machine takes its time to start a browser.
const PATIENCE: Duration = Duration::from_secs(60);

const ARGUMENTS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
];

/// What the browser looks like to the page.
pub enum Screen {
    /// 1440x900, a mouse.
    Desktop,
    /// 390x844, a finger.
    Phone,
}

/// A browser with one tab. Dropped, it is closed.
pub struct Browser {
    driver: Child,
    agent: ureq::Agent,
    session: String,
    _profile: TempDir,
}

impl Browser {
    /// Starts a browser with a profile of its own.
    pub fn start(screen: Screen) -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is among scripts/packages-test.txt");
        let port = port_of(&mut driver);
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(2 * PATIENCE)).build().into();
        let profile = tempfile::tempdir().unwrap();
        let mut arguments: Vec<String> = ARGUMENTS.map(String::from).into();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        let mut options = json!({ "binary": "/usr/bin/chromium" });
        match screen {
            Screen::Desktop => arguments.push("--window-size=1440,900".into()),
            Screen::Phone => {
                let metrics = json!({ "width": 390, "height": 844, "pixelRatio": 2, "touch": true });
                options["mobileEmulation"] = json!({ "deviceMetrics": metrics });
            }
        }
        options["args"] = json!(arguments);
        let wanted = json!({
            "goog:chromeOptions": options,
            "timeouts": { "script": PATIENCE.as_millis() as u64, "pageLoad": PATIENCE.as_millis() as u64 },
        });
        let server = format!("http://127.0.0.1:{port}");
        let mut browser = Self { driver, agent, session: server.clone(), _profile: profile };
        let made = browser.post("/session", &json!({ "capabilities": { "alwaysMatch": wanted } }));
        let id = made["sessionId"].as_str().unwrap_or_else(|| panic!("no browser: {made}"));
        browser.session = format!("{server}/session/{id}");
        browser
    }

    /// Opens a page and waits until it is loaded.
    pub fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// What a script returns.
    pub fn script(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Waits until an expression is true in the page; gives up with `expected`.
    pub fn until(&self, expression: &str, expected: &str) {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             (function look() {{ let met = false; try {{ met = Boolean({expression}); }} catch {{}}
               met ? done(true) : setTimeout(look, 30); }})();"
        );
        let answer = self.send("POST", "/execute/async", Some(&json!({ "script": script, "args": [] })));
        assert_eq!(answer["value"], true, "never came: {expected} ({expression}); the page says {}", self.text());
    }

    /// All text of the page.
    pub fn text(&self) -> Value {
        self.script("return document.body.innerText")
    }

    /// Clicks on the first element that a selector finds.
    pub fn click(&self, selector: &str) {
        let element = self.find(selector);
        self.post(&format!("/element/{element}/click"), &json!({}));
    }

    /// Types into the first element that a selector finds.
    pub fn type_into(&self, selector: &str, text: &str) {
        let element = self.find(selector);
        self.post(&format!("/element/{element}/value"), &json!({ "text": text }));
    }

    /// Presses keys one after another, wherever the focus is.
    pub fn press(&self, keys: &str) {
        let stroke = |key: char| {
            let key = key.to_string();
            [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })]
        };
        let strokes: Vec<Value> = keys.chars().flat_map(stroke).collect();
        self.post("/actions", &json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": strokes }] }));
    }

    /// Role and name that assistive technology hears of every element a selector finds.
    pub fn spoken(&self, selector: &str) -> Vec<(String, String)> {
        let found = self.post("/elements", &json!({ "using": "css selector", "value": selector }));
        let ids = found.as_array().unwrap().iter().map(element_id);
        let text = |path: String| self.send("GET", &path, None)["value"].as_str().unwrap_or_default().to_owned();
        ids.map(|id| (text(format!("/element/{id}/computedrole")), text(format!("/element/{id}/computedlabel"))))
            .collect()
    }

    /// The tab as PNG.
    pub fn screenshot(&self) -> Vec<u8> {
        let answer = self.send("GET", "/screenshot", None);
        from_base64(answer["value"].as_str().unwrap())
    }

    fn find(&self, selector: &str) -> String {
        element_id(&self.post("/element", &json!({ "using": "css selector", "value": selector })))
    }

    /// Sends a command and gives its value. Panics where the driver refuses.
    fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self.send("POST", path, Some(body));
        assert!(answer["value"]["error"].is_null(), "{path} {body}: {}", answer["value"]);
        answer["value"].clone()
    }

    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let url = format!("{}{path}", self.session);
        let response = match (method, body) {
            ("POST", Some(body)) => self.agent.post(&url).content_type("application/json").send(body.to_string()),
            ("DELETE", _) => self.agent.delete(&url).call(),
            _ => self.agent.get(&url).call(),
        };
        let mut response = response.unwrap_or_else(|error| panic!("{method} {url}: {error}"));
        let text = response.body_mut().with_config().limit(64 << 20).read_to_string().unwrap();
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{method} {url}: {text}"))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser ends with its session; if it cannot be ended so, the driver takes it along.
        let _ = self.agent.delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The port chromedriver says it has chosen.
fn port_of(driver: &mut Child) -> u16 {
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let line = lines.find_map(|line| line.ok().filter(|line| line.contains("started successfully on port")));
    let line = line.expect("chromedriver says where it listens");
    // What it says later is read to nowhere, so that it is never held up.
    std::thread::spawn(move || lines.for_each(drop));
    line.trim_end_matches('.').rsplit(' ').next().unwrap().parse().unwrap()
}

/// WebDriver's name for the key that holds an element's id.
fn element_id(element: &Value) -> String {
    element["element-6066-11e4-a52e-4f735466cecf"]
        .as_str()
        .unwrap_or_else(|| panic!("no element: {element}"))
        .to_owned()
}

fn from_base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for digit in text.bytes().filter_map(|byte| DIGITS.iter().position(|digit| *digit == byte)) {
        bits = (bits << 6) | digit as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}
