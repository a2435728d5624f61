//! The console's address, and a browser that shows it.

use acceptance::webdriver::Window;
use acceptance::{Reply, picture_folder, send};
use ureq::http::Request;

use crate::library::Stage;

/// The pages of the menu.
const SECTIONS: [&str; 7] = [
    "",
    "events",
    "data",
    "functions",
    "permissions",
    "faults",
    "logs",
];

/// A phone's width and height.
const PHONE: (u32, u32) = (390, 844);
pub(crate) const DESKTOP: (u32, u32) = (1360, 900);

/// Where the console answers.
pub(crate) struct Console {
    /// With the key.
    pub(crate) url: String,
    pub(crate) origin: String,
    pub(crate) port: String,
}

impl Console {
    pub(crate) fn of(stage: &Stage) -> Self {
        let url = stage.variable("CONSOLE_URL").to_owned();
        let (origin, _) = url.split_once("/?").unwrap();
        Self {
            origin: origin.to_owned(),
            port: origin.rsplit(':').next().unwrap().to_owned(),
            url,
        }
    }

    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.origin));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(request.body(body.to_owned()).unwrap())
    }

    /// Path and query with the key.
    pub(crate) fn keyed(&self, path: &str) -> String {
        let key = self.url.split_once("?").unwrap().1;
        format!("{path}?{key}")
    }

    /// The cookie that the key gets.
    pub(crate) fn cookie(&self) -> String {
        let reply = self.ask("GET", &self.keyed("/"), &[], "");
        reply
            .header("set-cookie")
            .unwrap()
            .split(';')
            .next()
            .unwrap()
            .to_owned()
    }
}

/// A window on the console.
pub(crate) struct Browser<'a> {
    pub(crate) window: Window,
    pub(crate) console: &'a Console,
}

impl Browser<'_> {
    pub(crate) fn go(&self, path: &str) {
        self.window.go(&format!("{}{path}", self.console.origin));
    }

    /// Keeps a picture, if somebody wants to see it.
    pub(crate) fn picture(&self, name: &str) {
        if let Some(folder) = picture_folder() {
            self.window
                .save_screenshot(&folder.join(format!("console-{name}.png")));
        }
    }

    /// Chooses from a list.
    pub(crate) fn choose(&self, name: &str, value: &str) {
        let script = format!("document.querySelector('select[name={name}]').value = {value:?}");
        self.window.run(&script);
    }

    /// Looks at each page of the menu and at those of these paths: as on a desktop, in the dark, and on a phone, where
    /// nothing is to be wider than the screen.
    pub(crate) fn look_at_all(&self, more: &[(&str, String)]) {
        let sections = SECTIONS.map(|name| {
            let picture = if name.is_empty() { "map" } else { name };
            (picture, format!("/{name}"))
        });
        for (name, path) in sections.iter().chain(more) {
            self.go(path);
            self.picture(name);
            let (width, height) = PHONE;
            self.window.resize(width, height);
            let shown = self
                .window
                .run("return document.documentElement.scrollWidth");
            assert!(
                shown.as_u64().unwrap() <= u64::from(width),
                "{path} is {shown} wide"
            );
            self.picture(&format!("{name}-phone"));
            let (width, height) = DESKTOP;
            self.window.resize(width, height);
            self.window.prefer_dark(true);
            self.picture(&format!("{name}-dark"));
            self.window.prefer_dark(false);
        }
    }
}
