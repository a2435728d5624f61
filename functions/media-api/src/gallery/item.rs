//! The page of one file.

use maud::{Markup, html};
use media::{Failure, MediaItem, MediaType};
use percent_encoding::utf8_percent_encode;
use runtime::uri::UNRESERVED;

use super::layout::{icon, page, sentence};
use super::list::{alt, noun, short_name};
use super::path_of;

/// What the page shows.
pub(super) struct Item<'a> {
    pub(super) item: &'a MediaItem,
    pub(super) failure: Option<&'a Failure>,
    /// The file itself.
    pub(super) url: String,
    pub(super) can_delete: bool,
}

impl Item<'_> {
    pub(super) fn page(&self) -> Markup {
        let MediaItem {
            name,
            media_type,
            labels,
        } = self.item;
        let short = short_name(name);
        let words = alt(*media_type, labels);
        let body = html! {
            article.item {
                figure {
                    @match media_type {
                        MediaType::Image => img.shown src=(self.url) alt=(words);,
                        MediaType::Video => video.shown src=(self.url) aria-label=(words) controls playsinline preload="metadata" {},
                    }
                }
                div.about {
                    h1 { (short) }
                    p.quiet { (noun(*media_type)) @if short != name.as_str() { " · " (name) } }
                    @if let Some(failure) = self.failure {
                        div.failure role="alert" {
                            h2 { "This file could not be labelled" }
                            p { (sentence(&failure.message)) }
                            p.quiet { (failure.code) }
                        }
                    } @else {
                        h2 { "Labels" }
                        @if labels.is_empty() {
                            p { "Nothing was recognized in this file." }
                        } @else {
                            ul.chips {
                                @for label in labels {
                                    li { a.chip href={ "/?label=" (utf8_percent_encode(label, UNRESERVED)) } { (label) } }
                                }
                            }
                        }
                    }
                    p.actions {
                        a.button href=(self.url) target="_blank" rel="noopener" { "Open the original" }
                        @if self.can_delete {
                            button.button.danger #delete type="button" hidden { "Delete" }
                        }
                    }
                    p #status role="status" {}
                }
            }
            @if self.can_delete {
                dialog #confirm aria-labelledby="question" data-path=(path_of(name)) {
                    h2 #question { "Delete " (short) "?" }
                    p { "The file is deleted from the library for good." }
                    p.actions {
                        button.button #keep type="button" { "Keep it" }
                        button.button.danger #really type="button" { "Delete" }
                    }
                }
            }
        };
        let back = html! {
            a.button.back href="/" { (icon("m14.500 6-6 6 6 6")) span { "All files" } }
        };
        page(&format!("{short} – Media library"), &back, &body)
    }
}
