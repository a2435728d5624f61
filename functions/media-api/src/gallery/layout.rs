//! What all pages look like.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::assets::{ICON, SCRIPT, STYLE};

/// A page: its title, what stands in the header beside the name, and the rest.
pub(super) fn page(title: &str, header: &Markup, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="icon" href=(ICON);
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                header {
                    div.bar {
                        a.home href="/" {
                            (icon("m4 17 5-6 4 5 3-3 4 4M5 4h14a2 2 0 0 1 2 2v12a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2V6a2 2 0 0 1 2-2Zm11 5.500a1 1 0 1 1-2 0 1 1 0 0 1 2 0"))
                            span { "Media library" }
                        }
                        (header)
                    }
                }
                main #content tabindex="-1" { (body) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

/// A page that says what went wrong.
pub(super) fn error(status: i64, message: &str) -> Markup {
    let title = match status {
        404 => "This file is not in the library",
        400..500 => "This address does not work",
        _ => "Something went wrong",
    };
    let body = html! {
        div.state role="alert" {
            (icon("M12 8v5m0 3.500v.01M12 3 2.500 20h19Z"))
            h1 { (title) }
            p { (sentence(message)) }
            p { a.button href="/" { "Show all files" } }
        }
    };
    page(title, &html! {}, &body)
}

/// An error's message as a sentence.
pub(super) fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let first = letters.next().map(char::to_uppercase);
    let sentence: String = first.into_iter().flatten().chain(letters).collect();
    match sentence.ends_with(['.', '!', '?']) || sentence.is_empty() {
        true => sentence,
        false => sentence + ".",
    }
}

/// A drawing of one line. It is decoration: what it stands for is said in words.
pub(super) fn icon(path: &str) -> Markup {
    html! {
        svg viewBox="0 0 24 24" width="24" height="24" aria-hidden="true" focusable="false" { path d=(path) {} }
    }
}
