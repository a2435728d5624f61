//! What all pages look like, and the parts that several have.

use http::StatusCode;
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, html};

use crate::assets::{ICON, SCRIPT, STYLE};
use crate::fields::link;
use crate::model::AppModel;
use crate::problem::Problem;

/// The parts of the console, in the order of the menu.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Map,
    Events,
    Data,
    Functions,
    Permissions,
    Faults,
    Logs,
}

impl Section {
    pub(crate) const ALL: [Self; 7] = [
        Self::Map,
        Self::Events,
        Self::Data,
        Self::Functions,
        Self::Permissions,
        Self::Faults,
        Self::Logs,
    ];

    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Map => "/",
            Self::Events => "/events",
            Self::Data => "/data",
            Self::Functions => "/functions",
            Self::Permissions => "/permissions",
            Self::Faults => "/faults",
            Self::Logs => "/logs",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Map => "Map",
            Self::Events => "Events",
            Self::Data => "Data",
            Self::Functions => "Functions",
            Self::Permissions => "Permissions",
            Self::Faults => "Faults",
            Self::Logs => "Logs",
        }
    }
}

/// What is between the menu and the end.
pub(crate) struct Page {
    pub(crate) section: Section,
    pub(crate) title: String,
    /// What it is a part of: names and addresses.
    pub(crate) above: Vec<(String, String)>,
    pub(crate) body: Markup,
    /// Whether it needs the whole width.
    pub(crate) is_wide: bool,
}

impl Page {
    pub(crate) fn new(section: Section, title: impl Into<String>, body: Markup) -> Self {
        Self {
            section,
            title: title.into(),
            above: Vec::new(),
            body,
            is_wide: false,
        }
    }

    pub(crate) fn below(mut self, name: impl Into<String>, path: impl Into<String>) -> Self {
        self.above.push((name.into(), path.into()));
        self
    }

    pub(crate) fn wide(self) -> Self {
        Self {
            is_wide: true,
            ..self
        }
    }

    /// The whole document.
    pub(crate) fn document(&self, app: &AppModel, notice: Option<&str>) -> Markup {
        let Self {
            section,
            title,
            above,
            body,
            is_wide,
        } = self;
        html! {
            (DOCTYPE)
            html lang="en" {
                (head(&format!("{} · {} console", shown(title), app.name)))
                body {
                    a.skip href="#main" { "Skip to the content" }
                    header.menu {
                        a.brand href="/" {
                            span.brand-mark aria-hidden="true" {}
                            span { strong { (app.name) } small { "local stage" } }
                        }
                        nav aria-label="Console" {
                            ul {
                                @for part in Section::ALL {
                                    li {
                                        a href=(part.path()) aria-current=[(part == *section).then_some("page")] {
                                            (part.name())
                                        }
                                    }
                                }
                            }
                        }
                        p.lost role="status" hidden { "The stage does not answer." }
                    }
                    main #main.wide[*is_wide] {
                        @if !above.is_empty() {
                            nav.above aria-label="Above" {
                                @for (name, path) in above {
                                    a href=(path) { (shown(name)) }
                                    span aria-hidden="true" { "/" }
                                }
                            }
                        }
                        h1 { (shown(title)) }
                        @if let Some(notice) = notice {
                            p.notice role="status" { (shown(notice)) }
                        }
                        (body)
                    }
                }
            }
        }
    }
}

/// A page for who may not see the others.
pub(crate) fn closed_door(message: &str) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head("Console"))
            body.door {
                main #main {
                    h1 { "This address does not open the console" }
                    p { (message) }
                    p {
                        "Open the address that " code { "cargo xtask local" } " prints in its terminal. It is also in "
                        code { "CONSOLE_URL" } ", which " code { "cargo xtask env --stage local" } " exports."
                    }
                }
            }
        }
    }
}

fn head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (title) }
            link rel="icon" type="image/svg+xml" href=(ICON.path());
            link rel="stylesheet" href=(STYLE.path());
            script src=(SCRIPT.path()) defer {}
        }
    }
}

/// What went wrong.
pub(crate) fn problem(problem: &Problem) -> Markup {
    html! {
        div.problem role="alert" {
            p { (shown(&problem.message)) }
            @if let Some(hint) = &problem.hint {
                p.hint { (shown(hint)) }
            }
        }
    }
}

/// A page that tells nothing but what went wrong.
pub(crate) fn problem_page(section: Section, found: &Problem) -> Page {
    let title = match found.status {
        StatusCode::NOT_FOUND => "Not found",
        _ => "Something went wrong",
    };
    Page::new(section, title, problem(found))
}

/// A form that changes something.
pub(crate) fn form(action: &str, token: &str, content: &Markup) -> Markup {
    html! {
        form method="post" action=(action) {
            input type="hidden" name="token" value=(token);
            (content)
        }
    }
}

/// A button that does something at once.
pub(crate) fn button(action: &str, token: &str, text: &str) -> Markup {
    form(action, token, &html! { button type="submit" { (text) } })
}

/// A button that does what cannot be undone, behind another click.
pub(crate) fn danger(
    action: &str,
    token: &str,
    text: &str,
    question: &str,
    hidden: &[(&str, &str)],
) -> Markup {
    html! {
        details.danger {
            summary { (text) }
            (form(action, token, &html! {
                @for (name, value) in hidden {
                    input type="hidden" name=(name) value=(value);
                }
                p { (shown(question)) }
                button.bad type="submit" { (text) }
            }))
        }
    }
}

/// Where the line of a declaration is.
pub(crate) fn declared_at(place: Option<&str>) -> Markup {
    html! {
        @if let Some(place) = place {
            code.place { (place) }
        }
    }
}

/// Links to other pages of a list.
pub(crate) fn pager(
    path: &str,
    fields: &[(&str, &str)],
    is_first: bool,
    next: Option<&str>,
) -> Markup {
    let first = link(path, fields);
    let next = next.map(|next| {
        let all: Vec<_> = fields.iter().copied().chain([("from", next)]).collect();
        link(path, &all)
    });
    html! {
        @if !is_first || next.is_some() {
            nav.pager aria-label="Pages" {
                @if !is_first { a href=(first) { "First page" } }
                @if let Some(next) = next { a href=(next) { "Next page" } }
            }
        }
    }
}

/// A text as it can be shown: what would act on the lines around it (control characters, and those that change the
/// direction of writing) is written as an escape.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => shown.push(c),
            c if c.is_control() || is_invisible(c) => {
                shown.extend(c.escape_unicode());
            }
            c => shown.push(c),
        }
    }
    shown
}

/// Marks of direction and characters without width.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{061c}')
}

/// JSON with those characters as its own escapes: it is shown exactly, and read again as the same.
pub(crate) fn shown_json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_invisible(c) || ('\u{7f}'..='\u{9f}').contains(&c) {
            shown.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            shown.push(c);
        }
    }
    shown
}

/// The beginning of a text.
pub(crate) fn short(text: &str, most: usize) -> String {
    let text = shown(text);
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A size.
pub(crate) fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{:.1} KB", count as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", count as f64 / 1e6),
        _ => format!("{:.2} GB", count as f64 / 1e9),
    }
}

/// A duration.
pub(crate) fn milliseconds(duration: f64) -> String {
    match duration {
        0.0..10.0 => format!("{duration:.1} ms"),
        10.0..1_000.0 => format!("{duration:.0} ms"),
        1_000.0..60_000.0 => format!("{:.2} s", duration / 1e3),
        _ => format!("{:.1} min", duration / 6e4),
    }
}

/// A moment, in the reader's words: the time of day in UTC, and the day where it is another one.
pub(crate) fn time(milliseconds: u64) -> Markup {
    let Some(moment) = i64::try_from(milliseconds)
        .ok()
        .and_then(|milliseconds| Timestamp::from_millisecond(milliseconds).ok())
    else {
        return html! {};
    };
    let today = Timestamp::now().strftime("%Y-%m-%d").to_string();
    let day = moment.strftime("%Y-%m-%d").to_string();
    let text = if day == today {
        moment.strftime("%H:%M:%S%.3f").to_string()
    } else {
        moment.strftime("%Y-%m-%d %H:%M:%S").to_string()
    };
    html! {
        time datetime=(moment.to_string()) { (text) }
    }
}

/// `1 item`, `2 items`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_its_surroundings_is_shown_as_an_escape() {
        assert_eq!(
            shown("a\u{202e}b\u{1b}[2J\0\u{feff}"),
            r"a\u{202e}b\u{1b}[2J\u{0}\u{feff}"
        );
        assert_eq!(shown("é🐈\n\t<b>"), "é🐈\n\t<b>");
        let json = serde_json::json!({"a": "\u{202e}\u{1b}é\u{85}"}).to_string();
        let shown = shown_json(&json);
        assert!(!shown.contains(['\u{202e}', '\u{1b}', '\u{85}']), "{shown}");
        let again: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(again.to_string(), json);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(short("éééé", 3), "ééé…");
        assert_eq!(short("ééé", 3), "ééé");
    }

    #[test]
    fn data_is_text_to_a_page() {
        let hostile = "</title><script>alert(1)</script>\"'&";
        let page = Page::new(
            Section::Data,
            hostile,
            html! { p title=(hostile) { (hostile) } },
        )
        .below(hostile, "/data");
        let app = AppModel {
            name: hostile.to_owned(),
            ..AppModel::default()
        };
        let document = page.document(&app, Some(hostile)).into_string();
        // The console's own, and no other.
        assert_eq!(document.matches("<script").count(), 1, "{document}");
        assert!(document.contains("&lt;script&gt;"));
        let door = closed_door(hostile).into_string();
        assert_eq!(door.matches("<script").count(), 1);
    }
}
