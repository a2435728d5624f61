//! The gallery.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use maud::{Markup, html};
use media::{MediaItem, MediaType};
use percent_encoding::utf8_percent_encode;
use runtime::s3::ObjectKey;
use runtime::uri::UNRESERVED;

use super::layout::{icon, page};
use super::path_of;
use crate::query::ListQuery;

/// How many labels are offered as chips.
const CHIPS: usize = 10;

/// A file on the page, and the URL of what is shown of it.
pub(super) struct Tile<'a> {
    pub(super) item: &'a MediaItem,
    pub(super) url: String,
}

/// What a page of the gallery shows.
pub(super) struct List<'a> {
    pub(super) tiles: Vec<Tile<'a>>,
    pub(super) query: &'a ListQuery,
    /// The cursor of the next page.
    pub(super) next: Option<String>,
    pub(super) can_upload: bool,
}

impl List<'_> {
    pub(super) fn page(&self) -> Markup {
        let title = match &self.query.filter.label {
            Some(label) => format!("{label} – Media library"),
            None => "Media library".to_owned(),
        };
        let body = html! {
            h1.unseen { "Media library" }
            (self.chips())
            ul #grid aria-label="Files" {
                @for tile in &self.tiles { (tile.markup()) }
            }
            @if self.tiles.is_empty() { (self.empty()) }
            div #more {
                @if let Some(next) = &self.next {
                    a.button rel="next" href=(self.address(&self.query.filter.label, self.query.filter.media_type, Some(next))) {
                        "Show more"
                    }
                }
                p #status role="status" {}
            }
            @if self.can_upload {
                section #uploads aria-label="Uploads" hidden {
                    h2 { "Uploads" }
                    button.plain #dismiss type="button" { "Close" }
                    ul {}
                }
                p.unseen #announcer role="status" {}
            }
        };
        page(&title, &self.header(), &body)
    }

    fn header(&self) -> Markup {
        let filter = &self.query.filter;
        html! {
            form.search role="search" action="/" {
                label.unseen for="label" { "Search by label" }
                (icon("m20 20-4.500-4.500M17 10.500a6.500 6.500 0 1 1-13 0 6.500 6.500 0 0 1 13 0Z"))
                input #label name="label" type="search" list="labels" value=[filter.label.as_ref()]
                    placeholder="Search by label" autocomplete="off" autocapitalize="off" spellcheck="false" maxlength="300";
                datalist #labels {}
                @if let Some(media_type) = filter.media_type {
                    input type="hidden" name="media-type" value=(media_type);
                }
                @if let Some(prefix) = &filter.name_prefix {
                    input type="hidden" name="startswith" value=(prefix);
                }
            }
            @if self.can_upload {
                label.button.primary for="files" {
                    (icon("M12 16V5m-4.500 4.500L12 5l4.500 4.500M5 19h14"))
                    span { "Upload" }
                }
                input.unseen #files type="file" multiple accept=".jpg,.jpeg,.png,.mp4,.mov,.avi,.flv";
            }
        }
    }

    fn chips(&self) -> Markup {
        let filter = &self.query.filter;
        let label = &filter.label;
        let types = [
            ("All", None),
            ("Photos", Some(MediaType::Image)),
            ("Videos", Some(MediaType::Video)),
        ];
        let is_current = |is_it: bool| is_it.then_some("true");
        html! {
            nav.chips aria-label="Filters" {
                ul {
                    @for (name, media_type) in types {
                        li {
                            a.chip.type href=(self.address(label, media_type, None))
                                aria-current=[is_current(media_type == filter.media_type)] { (name) }
                        }
                    }
                    @if let Some(prefix) = &filter.name_prefix {
                        li { a.chip.on href="/" { "Names that begin with “" (prefix) "” " span aria-label="(remove)" { "×" } } }
                    }
                    @if let Some(label) = label {
                        li {
                            a.chip.on href=(self.address(&None, filter.media_type, None)) {
                                (label) " " span aria-label="(remove)" { "×" }
                            }
                        }
                    }
                    @for other in self.labels() {
                        li { a.chip href=(self.address(&Some(other.to_owned()), filter.media_type, None)) { (other) } }
                    }
                }
            }
        }
    }

    /// The labels that most of the tiles have, without the one that is searched for.
    fn labels(&self) -> Vec<&str> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for label in self.tiles.iter().flat_map(|tile| &tile.item.labels) {
            *counts.entry(label).or_default() += 1;
        }
        let searched = self.query.filter.label.as_deref().unwrap_or_default();
        counts.retain(|label, _| !label.eq_ignore_ascii_case(searched));
        let mut labels: Vec<_> = counts.into_iter().collect();
        labels.sort_by_key(|(_, count)| Reverse(*count));
        labels.truncate(CHIPS);
        labels.into_iter().map(|(label, _)| label).collect()
    }

    fn empty(&self) -> Markup {
        let is_filtered = self.query.filter != media::dynamodb::Filter::default();
        html! {
            div.state #empty {
                (icon("m4 17 5-6 4 5 3-3 4 4M5 4h14a2 2 0 0 1 2 2v12a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2V6a2 2 0 0 1 2-2Z"))
                @if self.next.is_some() || self.query.after.is_some() {
                    h2 { "Nothing on this page" }
                } @else if is_filtered {
                    h2 { "Nothing matches" }
                    p { "No file in the library has what you are looking for." }
                    p { a.button href="/" { "Show all files" } }
                } @else {
                    h2 { "The library is empty" }
                    @if self.can_upload {
                        p { "Drop photos and videos here, or choose them with Upload." }
                    } @else {
                        p { "Photos and videos appear here when they have been uploaded and labelled." }
                    }
                }
            }
        }
    }

    /// The address of a page with other conditions.
    fn address(
        &self,
        label: &Option<String>,
        media_type: Option<MediaType>,
        cursor: Option<&str>,
    ) -> String {
        let filter = &self.query.filter;
        // A page of another length stays one.
        let limit = (self.query.limit != ListQuery::TILES).then(|| self.query.limit.to_string());
        let parts = [
            ("startswith", filter.name_prefix.clone()),
            ("label", label.clone()),
            (
                "media-type",
                media_type.map(|media_type| media_type.to_string()),
            ),
            ("limit", limit),
            ("cursor", cursor.map(str::to_owned)),
        ];
        let parts: Vec<String> = parts
            .into_iter()
            .filter_map(|(name, value)| {
                let value = value?;
                Some(format!(
                    "{name}={}",
                    utf8_percent_encode(&value, UNRESERVED)
                ))
            })
            .collect();
        match parts.is_empty() {
            true => "/".to_owned(),
            false => format!("/?{}", parts.join("&")),
        }
    }
}

impl Tile<'_> {
    fn markup(&self) -> Markup {
        let MediaItem {
            name,
            media_type,
            labels,
        } = self.item;
        let short = short_name(name);
        let words = alt(*media_type, &labels[..labels.len().min(3)]);
        html! {
            li data-name=(name) {
                a.tile href=(path_of(name)) {
                    span.frame {
                        @match media_type {
                            MediaType::Image => img src=(self.url) alt=(words) loading="lazy" decoding="async";,
                            MediaType::Video => {
                                video src={ (self.url) "#t=0.1" } aria-label=(words) preload="metadata" muted playsinline tabindex="-1" {}
                                span.play { (icon("M8 5.500v13l10.500-6.500Z")) }
                            }
                        }
                    }
                    span.name title=(name) { (short) }
                }
            }
        }
    }
}

/// What people call a file of this type.
pub(super) fn noun(media_type: MediaType) -> &'static str {
    match media_type {
        MediaType::Image => "Photo",
        MediaType::Video => "Video",
    }
}

/// What a file shows, in words.
pub(super) fn alt(media_type: MediaType, labels: &[String]) -> String {
    let noun = noun(media_type);
    match labels {
        [] => noun.to_owned(),
        labels => format!("{noun}: {}", labels.join(", ")),
    }
}

/// The name without the folders before it.
pub(super) fn short_name(name: &ObjectKey) -> &str {
    let name = name.as_str();
    name.rsplit('/').next().unwrap_or(name)
}
