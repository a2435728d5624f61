//! The Markdown documents of a workspace: their headings, links and blocks of code.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A document.
pub struct Document {
    /// Its path in the workspace.
    pub path: PathBuf,
    /// What links to it can name after a `#`, by GitHub's rule.
    pub anchors: Vec<String>,
    /// Where its links lead, each with the number of its line.
    pub links: Vec<(usize, String)>,
    /// Its blocks of code.
    pub blocks: Vec<Block>,
}

/// A block of code.
pub struct Block {
    /// The line that it begins in.
    pub line: usize,
    /// Its language.
    pub language: String,
    /// What is in it.
    pub text: String,
    /// Why no test runs it: the text of the comment `<!-- Not run: … -->` before it.
    pub not_run: Option<String>,
}

/// Every document below a folder, but for what is built and what git does not keep.
pub fn documents(root: &Path) -> Vec<Document> {
    let mut found = Vec::new();
    find(root, Path::new(""), &mut found);
    found.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(root.join(&path)).unwrap();
        Document::parse(path, &text)
    };
    found.into_iter().map(read).collect()
}

fn find(root: &Path, folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(root.join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let path = folder.join(&*name);
        if entry.file_type().unwrap().is_dir() {
            if name != "target" && !name.starts_with('.') {
                find(root, &path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

impl Document {
    /// The document with this text.
    pub fn parse(path: PathBuf, text: &str) -> Self {
        let mut document = Self {
            path,
            anchors: Vec::new(),
            links: Vec::new(),
            blocks: Vec::new(),
        };
        let line = |range: &Range<usize>| text[..range.start].matches('\n').count() + 1;
        let mut not_run = None;
        let mut heading: Option<String> = None;
        let mut block: Option<Block> = None;
        let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
        for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    document.anchors.extend(heading.take());
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    document.links.push((line(&range), dest_url.to_string()));
                }
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                    block = Some(Block {
                        line: line(&range),
                        language: language.to_string(),
                        text: String::new(),
                        not_run: not_run.take(),
                    });
                }
                Event::End(TagEnd::CodeBlock) => document.blocks.extend(block.take()),
                Event::Html(html) => not_run = reason(&html).or(not_run),
                Event::Text(text) | Event::Code(text) => {
                    if let Some(block) = &mut block {
                        block.text += &text;
                    } else if let Some(heading) = &mut heading {
                        *heading += &text;
                    }
                }
                _ => {}
            }
        }
        document.anchors = anchors(&document.anchors);
        document
    }
}

fn reason(comment: &str) -> Option<String> {
    let (_, reason) = comment.split_once("<!-- Not run: ")?;
    Some(reason.split_once(" -->")?.0.to_owned())
}

/// The anchors that GitHub gives headings. The second of two equal ones gets a number.
fn anchors(headings: &[String]) -> Vec<String> {
    let mut seen = BTreeMap::new();
    let anchor = |heading: &String| {
        let kept = |character: &char| character.is_alphanumeric() || " -_".contains(*character);
        let name: String = heading.to_lowercase().chars().filter(kept).collect();
        let name = name.replace(' ', "-");
        let count = seen.entry(name.clone()).or_insert(0);
        *count += 1;
        match *count {
            1 => name,
            count => format!("{name}-{}", count - 1),
        }
    };
    headings.iter().map(anchor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read() {
        let text = "# The `stage`'s *end*\n\nSee [there](a.md#b) and\n[here](#c).\n\n## Twice\n\n## Twice\n\n\
                    <!-- Not run: it takes an account. -->\n\n```console\n$ true\n```\n\n```sh\n[x](y)\n```\n";
        let document = Document::parse(PathBuf::from("x.md"), text);
        assert_eq!(document.anchors, ["the-stages-end", "twice", "twice-1"]);
        let links = [(3, "a.md#b".to_owned()), (4, "#c".to_owned())];
        assert_eq!(document.links, links);
        let [run, other] = &document.blocks[..] else {
            panic!("two blocks")
        };
        assert_eq!(run.language, "console");
        assert_eq!((run.line, run.text.as_str()), (12, "$ true\n"));
        assert_eq!(run.not_run.as_deref(), Some("it takes an account."));
        assert_eq!((other.language.as_str(), &other.not_run), ("sh", &None));
    }
}
