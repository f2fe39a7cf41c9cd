//! What a page says about itself: `OpenGraph`, or what stands in for it.
//!
//! Only tokens are looked at, no tree is built: a tree of a page that is nothing but depth takes time
//! with the square of its length.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
    states::RawKind,
};
use url::Url;

/// Most properties taken from a page.
const PROPERTIES_MAX: usize = 40;

/// Longest value of a property, in characters.
const VALUE_CHARS_MAX: usize = 1_000;

/// Longest name of a property, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// Longest description made from the text of a page, in characters.
const SUMMARY_CHARS_MAX: usize = 300;

/// What a page says about itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    /// `og:…`, without the image.
    pub(crate) properties: BTreeMap<String, String>,
    /// Where its image is.
    pub(crate) image: Option<Url>,
}

/// Text that is enough for a description, and for any value: four bytes for each character.
const SUMMARY_BYTES_ENOUGH: usize = 4 * SUMMARY_CHARS_MAX;
const TEXT_BYTES_ENOUGH: usize = 4 * VALUE_CHARS_MAX;

/// What is given to the tokenizer at a time, in bytes.
const CHUNK_BYTES: usize = 4_096;

/// Longest token, in chunks; reading stops at a longer one. The tokenizer compares each attribute of
/// a tag with all before it.
const TOKEN_CHUNKS_MAX: usize = 4;

/// Reads a page that came from `url`.
pub(crate) fn read(html: &str, url: &Url) -> Page {
    let found = scan(html);
    let mut properties: BTreeMap<String, String> = found
        .named
        .iter()
        .filter(|(name, _)| {
            name.starts_with("og:") && !name.starts_with("og:image") && name.len() <= NAME_BYTES_MAX
        })
        .take(PROPERTIES_MAX)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let first_of = |names: &[&str]| names.iter().find_map(|name| found.named.get(*name).cloned());
    if !properties.contains_key("og:title") {
        let title = first_of(&["twitter:title"]).or(found.title).or(found.heading);
        properties.extend(title.map(|title| ("og:title".to_owned(), title)));
    }
    if !properties.contains_key("og:description") {
        let summary = Some(tidy(&found.summary, SUMMARY_CHARS_MAX)).filter(|text| !text.is_empty());
        let description = first_of(&["twitter:description", "description"]).or(summary);
        properties.extend(description.map(|text| ("og:description".to_owned(), text)));
    }
    let image = first_of(&[
        "og:image:secure_url",
        "og:image:url",
        "og:image",
        "twitter:image",
        "twitter:image:src",
    ])
    .or(found.image_link);
    let base = found.base.and_then(|base| url.join(&base).ok());
    let image = image
        .and_then(|image| base.as_ref().unwrap_or(url).join(&image).ok())
        .filter(|image| matches!(image.scheme(), "http" | "https"));
    Page { properties, image }
}

/// The encoding that the beginning of a page names: a label, or a content type with one.
pub(crate) fn charset(start: &str) -> Option<String> {
    scan(start).charset
}

fn scan(html: &str) -> Found {
    let tokenizer = Tokenizer::new(Reader::default(), TokenizerOpts::default());
    let queue = BufferQueue::default();
    let mut rest = html;
    let mut chunks_without_token = 0;
    while !rest.is_empty() && chunks_without_token < TOKEN_CHUNKS_MAX {
        let (chunk, after) = rest.split_at(rest.floor_char_boundary(CHUNK_BYTES));
        rest = after;
        queue.push_back(chunk.into());
        tokenizer.sink.has_read_token.set(false);
        let _ = tokenizer.feed(&queue);
        chunks_without_token =
            if tokenizer.sink.has_read_token.get() { 0 } else { chunks_without_token + 1 };
    }
    tokenizer.end();
    let mut found = tokenizer.sink.found.into_inner();
    found.finish();
    found
}

/// What was found on the way through a page.
#[derive(Default)]
struct Found {
    /// What is said in `meta` elements, the first value of each name.
    named: BTreeMap<String, String>,
    charset: Option<String>,
    title: Option<String>,
    heading: Option<String>,
    /// The first paragraphs.
    summary: String,
    base: Option<String>,
    image_link: Option<String>,
    /// The text being read, and what it is of.
    reading: Option<(Kind, String)>,
    /// Inside so many elements that are not about the page.
    aside: usize,
    /// Inside an element whose text is none to be read.
    code: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Title,
    Heading,
    Paragraph,
}

#[derive(Default)]
struct Reader {
    found: RefCell<Found>,
    has_read_token: Cell<bool>,
}

impl TokenSink for Reader {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        self.has_read_token.set(true);
        let mut found = self.found.borrow_mut();
        match token {
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => {
                found.start(&tag);
                // As the tree builder would tell the tokenizer.
                match &*tag.name {
                    "title" | "textarea" => TokenSinkResult::RawData(RawKind::Rcdata),
                    "script" => TokenSinkResult::RawData(RawKind::ScriptData),
                    "style" | "xmp" | "iframe" | "noembed" | "noframes" => {
                        TokenSinkResult::RawData(RawKind::Rawtext)
                    }
                    "plaintext" => TokenSinkResult::Plaintext,
                    _ => TokenSinkResult::Continue,
                }
            }
            Token::TagToken(tag) => {
                found.end(&tag.name);
                TokenSinkResult::Continue
            }
            Token::CharacterTokens(text) => {
                found.text(&text);
                TokenSinkResult::Continue
            }
            _ => TokenSinkResult::Continue,
        }
    }
}

impl Found {
    fn start(&mut self, tag: &Tag) {
        match &*tag.name {
            "meta" => self.meta(tag),
            "base" => first(&mut self.base, attribute(tag, "href")),
            "link" if attribute(tag, "rel") == Some("image_src") => {
                first(&mut self.image_link, attribute(tag, "href"));
            }
            "title" => self.begin(Kind::Title),
            "h1" => self.begin(Kind::Heading),
            "p" => self.begin(Kind::Paragraph),
            "script" | "style" | "textarea" | "xmp" | "iframe" | "noembed" | "noframes" => {
                self.code = true;
            }
            "nav" | "header" | "footer" | "aside" | "svg" | "template" if !tag.self_closing => {
                self.aside += 1;
            }
            _ => {}
        }
    }

    fn meta(&mut self, tag: &Tag) {
        let content = attribute(tag, "content");
        if attribute(tag, "http-equiv").is_some_and(|of| of.eq_ignore_ascii_case("content-type")) {
            first(&mut self.charset, content);
        }
        first(&mut self.charset, attribute(tag, "charset"));
        let name = attribute(tag, "property").or_else(|| attribute(tag, "name"));
        if let (Some(name), Some(content)) = (name, content) {
            let value = tidy(content, VALUE_CHARS_MAX);
            if !value.is_empty() {
                self.named.entry(name.trim().to_ascii_lowercase()).or_insert(value);
            }
        }
    }

    fn end(&mut self, name: &str) {
        match name {
            "title" | "h1" | "p" => self.finish(),
            "script" | "style" | "textarea" | "xmp" | "iframe" | "noembed" | "noframes" => {
                self.code = false;
            }
            "nav" | "header" | "footer" | "aside" | "svg" | "template" => {
                self.aside = self.aside.saturating_sub(1);
            }
            _ => {}
        }
    }

    fn begin(&mut self, kind: Kind) {
        self.finish();
        // A headline may stand in a header; a title in a drawing is that of the drawing.
        let is_wanted = match kind {
            Kind::Title => self.title.is_none() && self.aside == 0,
            Kind::Heading => self.heading.is_none(),
            Kind::Paragraph => self.aside == 0 && self.summary.len() < SUMMARY_BYTES_ENOUGH,
        };
        self.reading = is_wanted.then(|| (kind, String::new()));
    }

    fn text(&mut self, text: &str) {
        if let Some((_, reading)) = &mut self.reading
            && !self.code
            && reading.len() < TEXT_BYTES_ENOUGH
        {
            reading.push_str(text);
        }
    }

    fn finish(&mut self) {
        let Some((kind, text)) = self.reading.take() else { return };
        let text = tidy(&text, VALUE_CHARS_MAX);
        if text.is_empty() {
            return;
        }
        match kind {
            Kind::Title => self.title = Some(text),
            Kind::Heading => self.heading = Some(text),
            Kind::Paragraph => {
                self.summary.push_str(&text);
                self.summary.push(' ');
            }
        }
    }
}

fn attribute<'a>(tag: &'a Tag, name: &str) -> Option<&'a str> {
    tag.attrs.iter().find(|attribute| *attribute.name.local == *name).map(|found| &*found.value)
}

fn first(place: &mut Option<String>, value: Option<&str>) {
    if place.is_none() {
        *place = value.map(str::to_owned);
    }
}

/// One line, cut with `…` where it is too long.
fn tidy(text: &str, chars_max: usize) -> String {
    let mut line = String::new();
    let mut chars = 0;
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
            chars += 1;
        }
        line.push_str(word);
        chars += word.chars().count();
        if chars > chars_max {
            let cut: String = line.chars().take(chars_max.saturating_sub(1)).collect();
            return format!("{}…", cut.trim_end());
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_at(html: &str) -> Page {
        read(html, &"https://example.org/news/1".parse().unwrap())
    }

    fn properties(page: &Page) -> Vec<(&str, &str)> {
        page.properties.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    /// The text so many times, each with its number.
    fn numbered(text: &str, count: usize) -> String {
        let all: Vec<String> = (0..count).map(|i| text.replace('#', &i.to_string())).collect();
        all.concat()
    }

    #[test]
    fn opengraph_comes_first() {
        let page = read_at(
            r#"<!doctype html><head><title>plain</title>
               <meta property="og:title" content=" The
                 Haechi &amp; friends ">
               <meta property="og:title" content="second">
               <meta property="OG:Site_Name" content="Seoul">
               <meta name="og:description" content="Guards against fire">
               <meta property="og:image" content="/haechi.png">
               <meta property="og:image:width" content="99999">
               <meta name="twitter:title" content="no"></head><body>"#,
        );
        assert_eq!(
            properties(&page),
            [
                ("og:description", "Guards against fire"),
                ("og:site_name", "Seoul"),
                ("og:title", "The Haechi & friends"),
            ]
        );
        assert_eq!(page.image.unwrap().as_str(), "https://example.org/haechi.png");
    }

    #[test]
    fn without_it_the_page_itself_is_read() {
        let page = read_at(
            "<head><title> A  title </title><base href='https://cdn.example.org/x/'>
             <link rel=image_src href=i.png></head>
             <body><script>var p = '<p>no</p>'</script><nav><p>menu</p></nav>
             <main><p>First <b>words</b>.</p><p></p><p>More.</p></main>",
        );
        assert_eq!(
            properties(&page),
            [("og:description", "First words. More."), ("og:title", "A title")]
        );
        assert_eq!(page.image.unwrap().as_str(), "https://cdn.example.org/x/i.png");
        assert_eq!(properties(&read_at("<h1>Heading</h1>")), [("og:title", "Heading")]);
        assert_eq!(read_at(""), Page::default());
    }

    #[test]
    fn images_are_fetched_over_http_only() {
        for image in
            ["data:image/png;base64,AAAA", "file:///etc/passwd", "http://[", "javascript:1"]
        {
            let page = read_at(&format!("<meta property=og:image content='{image}'>"));
            assert_eq!(page.image, None, "{image}");
        }
    }

    #[test]
    fn nothing_is_longer_than_its_limit() {
        let page = read_at(&format!(
            "<title>{}</title><p>{}</p>{}",
            "t".repeat(5_000),
            "해치 ".repeat(1_000),
            numbered("<meta property=og:x# content=y>", 100)
        ));
        assert!(page.properties.len() <= PROPERTIES_MAX + 2);
        assert_eq!(page.properties["og:title"].chars().count(), VALUE_CHARS_MAX);
        let description = &page.properties["og:description"];
        assert!(description.chars().count() <= SUMMARY_CHARS_MAX && description.ends_with('…'));
    }

    #[test]
    fn a_page_of_nothing_but_depth_is_read() {
        let page = read_at(&format!("{}<title>x</title>", "<div><b>".repeat(100_000)));
        assert_eq!(properties(&page), [("og:title", "x")]);
    }

    #[test]
    fn reading_stops_at_a_tag_of_nothing_but_attributes() {
        let attributes = numbered("a# ", 100_000);
        let page = read_at(&format!("<title>x</title><p>y</p><div {attributes}><h1>z</h1>"));
        assert_eq!(properties(&page), [("og:description", "y"), ("og:title", "x")]);
    }

    #[test]
    fn scripts_drawings_and_asides_are_not_read() {
        let page = read_at(
            "<svg><title>drawing</title></svg><script>'<title>no</title>'</script>
             <title>real</title><title>second</title>
             <p>one<script>two</script><style>three</style> four<nav><p>five</nav><p>six",
        );
        assert_eq!(properties(&page), [("og:description", "one four six"), ("og:title", "real")]);
    }

    proptest! {
        #[test]
        fn text_is_cut_to_its_limit(text in "\\PC{0,80}", chars_max in 2_usize..40) {
            let cut = tidy(&text, chars_max);
            prop_assert!(cut.chars().count() <= chars_max, "{cut}");
            prop_assert_eq!(cut.trim(), &cut);
        }
    }
}
