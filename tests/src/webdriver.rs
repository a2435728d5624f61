//! A browser that is driven as a person would: by the W3C's WebDriver protocol, which chromedriver speaks.
//! <https://www.w3.org/TR/webdriver2/>

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::browser::{chromium, runs_as_root};
use crate::ports::free_ports;

/// How long something may take to appear on a page.
const PATIENCE: Duration = Duration::from_secs(30);

/// The name under which WebDriver hands out elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// chromedriver, if this machine has it.
fn chromedriver() -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths)
        .map(|folder| folder.join("chromedriver"))
        .find(|program| program.is_file())
}

/// A browser with one window. Dropping it ends it.
pub struct Window {
    driver: Child,
    session: String,
    profile: TempDir,
}

impl Window {
    /// Opens a window of this size, if this machine has Chromium and its driver. Under `CI=true`, it must.
    pub fn open(width: u32, height: u32) -> Option<Self> {
        let found = chromium().zip(chromedriver());
        let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(
            found.is_some() || !is_ci,
            "install chromium and chromedriver (Debian: chromium chromium-driver)"
        );
        let (chromium, chromedriver) = found?;
        let profile = TempDir::new().unwrap();
        let port = free_ports(1);
        let driver = Command::new(chromedriver)
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut window = Self {
            driver,
            session: format!("http://127.0.0.1:{port}"),
            profile,
        };
        let mut arguments = vec![
            "--headless=new".to_owned(),
            format!("--window-size={width},{height}"),
            format!("--user-data-dir={}", window.profile.path().display()),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-gpu".to_owned(),
            "--no-first-run".to_owned(),
        ];
        if runs_as_root() {
            arguments.push("--no-sandbox".to_owned());
        }
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"binary": chromium, "args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let started = Instant::now();
        let session = loop {
            match window.ask("POST", "/session", &capabilities) {
                Ok(session) => break session,
                Err(error) if started.elapsed() > PATIENCE => panic!("no session: {error}"),
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        };
        let id = session["sessionId"].as_str().unwrap();
        window.session = format!("{}/session/{id}", window.session);
        Some(window)
    }

    /// One command; its value, or the error that the driver tells.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.session))
            .header("content-type", "application/json")
            .body(if method == "GET" {
                String::new()
            } else {
                body.to_string()
            })
            .unwrap();
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        let mut answer = agent.run(request).map_err(|error| error.to_string())?;
        let text = answer
            .body_mut()
            .read_to_string()
            .map_err(|error| error.to_string())?;
        let mut answer: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let value = answer["value"].take();
        match value["error"].as_str() {
            Some(error) => Err(format!("{error}: {}", value["message"])),
            None => Ok(value),
        }
    }

    fn must(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.ask(method, path, body);
        answer.unwrap_or_else(|error| panic!("{method} {path} {body}: {error}"))
    }

    /// Goes to an address.
    pub fn go(&self, url: &str) {
        self.must("POST", "/url", &json!({ "url": url }));
    }

    /// The address that the window shows.
    pub fn url(&self) -> String {
        self.must("GET", "/url", &Value::Null)
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// What a script returns.
    pub fn run(&self, script: &str) -> Value {
        self.must(
            "POST",
            "/execute/sync",
            &json!({"script": script, "args": []}),
        )
    }

    /// The text that the page shows.
    pub fn text(&self) -> String {
        self.run("return document.body.innerText")
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Does something to the element that a locator finds; waits for it. A live page may replace the element in between:
    /// then the new one is found.
    fn act(&self, using: &str, locator: &str, action: &str, body: &Value) {
        let wish = json!({"using": using, "value": locator});
        self.eventually(locator, || {
            let found = self.ask("POST", "/element", &wish).ok()?;
            let element = found[ELEMENT].as_str()?;
            match self.ask("POST", &format!("/element/{element}/{action}"), body) {
                Ok(_) => Some(()),
                Err(error) if error.starts_with("stale element reference") => None,
                Err(error) => panic!("{action} {locator}: {error}"),
            }
        });
    }

    /// Clicks what a CSS selector finds.
    pub fn click(&self, selector: &str) {
        self.act("css selector", selector, "click", &json!({}));
    }

    /// Clicks the first link or button with this text.
    pub fn click_text(&self, text: &str) {
        let path =
            format!("//*[self::a or self::button or self::summary][normalize-space()={text:?}]");
        self.act("xpath", &path, "click", &json!({}));
    }

    /// Replaces the content of a field.
    pub fn fill(&self, selector: &str, text: &str) {
        self.act("css selector", selector, "clear", &json!({}));
        self.type_into(selector, text);
    }

    /// Types into a field. A field for files takes a path.
    pub fn type_into(&self, selector: &str, text: &str) {
        self.act("css selector", selector, "value", &json!({ "text": text }));
    }

    /// Waits until the page shows a text.
    pub fn shows(&self, text: &str) {
        self.eventually(text, || self.text().contains(text).then_some(()));
    }

    /// Waits for something on the page.
    pub fn eventually<T>(&self, what: &str, look: impl Fn() -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "no {what} at {}:\n{}",
                self.url(),
                self.text()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Gives the window another size.
    pub fn resize(&self, width: u32, height: u32) {
        // A window has a least width. What the page takes for it has none.
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.tell("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Shows pages as to somebody who likes them dark, or light, and without motion: a colour that is on its way
    /// to another is neither.
    pub fn prefer_dark(&self, is_wanted: bool) {
        let scheme = if is_wanted { "dark" } else { "light" };
        let features = json!({"features": [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]});
        self.tell("Emulation.setEmulatedMedia", &features);
    }

    /// A command of the DevTools protocol.
    fn tell(&self, command: &str, parameters: &Value) {
        let body = json!({"cmd": command, "params": parameters});
        self.must("POST", "/goog/cdp/execute", &body);
    }

    /// What the browser complained of since the last call: errors of scripts, and what a policy forbade.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.must("POST", "/se/log", &json!({"type": "browser"}));
        let entries = log.as_array().cloned().unwrap_or_default();
        let text = |entry: &Value| entry["message"].as_str().map(str::to_owned);
        entries.iter().filter_map(text).collect()
    }

    /// Keeps what the window shows as a picture.
    pub fn save_screenshot(&self, file: &Path) {
        use base64::Engine;
        let picture = self.must("GET", "/screenshot", &Value::Null);
        let picture = base64::prelude::BASE64_STANDARD.decode(picture.as_str().unwrap());
        std::fs::write(file, picture.unwrap()).unwrap();
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // Ends the browser.
        let _ = self.ask("DELETE", "", &Value::Null);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        // A browser that was slow to start has no session yet, and outlives its driver.
        let _ = Command::new("pkill")
            .args(["-KILL", "-f", "--"])
            .arg(self.profile.path())
            .status();
    }
}
