//! What a page is opened with, and what is read of it.

use std::fmt;

use super::Document;
use crate::{browser::Viewport, egress::Detour};

/// What a page is opened with. The default is the browser's own.
#[derive(Clone, Debug, Default)]
pub struct PageOptions {
    /// The `User-Agent` of every request and of `navigator.userAgent`.
    pub user_agent: Option<String>,
    /// Sent with every request of the page, whoever it goes to.
    pub headers: Vec<(String, String)>,
    /// The size of the page.
    pub viewport: Option<Viewport>,
    /// So many bytes of the main response are kept for [`Page::body`](super::Page::body); zero keeps none.
    pub keep_body: u64,
    /// Set before the first request; gone with the page.
    pub cookies: Vec<Cookie>,
    /// The language, as a BCP 47 tag.
    pub locale: Option<String>,
    /// The time zone, by its IANA name.
    pub time_zone: Option<String>,
    /// The medium it is shown in.
    pub media: Media,
    /// What it does not load.
    pub blocking: Blocking,
    /// The proxy of its every request.
    pub proxy: Option<Detour>,
    /// So many bytes of a download are taken; `None` refuses downloads.
    pub capture: Option<u64>,
}

/// A cookie that a page is opened with.
#[derive(Clone, PartialEq, Eq)]
pub struct Cookie {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// A URL of the host and path that it is for.
    pub url: String,
    /// The domain whose hosts it is for, too; `None` for the URL's host alone.
    pub domain: Option<String>,
    /// The path.
    pub path: String,
    /// Over `https:` only.
    pub secure: bool,
    /// Not for scripts.
    pub http_only: bool,
}

impl fmt::Debug for Cookie {
    /// Without its value, which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cookie({:?} for {:?})", self.name, self.url)
    }
}

/// The colours that a page is told its user likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColorScheme {
    /// Light.
    Light,
    /// Dark.
    Dark,
}

/// What a page is told of the medium it is shown in. The default is the browser's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Media {
    /// As if it were printed.
    pub print: bool,
    /// `prefers-color-scheme`.
    pub color_scheme: Option<ColorScheme>,
    /// `prefers-reduced-motion: reduce`.
    pub reduced_motion: bool,
}

/// A kind of resource that may be blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Images.
    Image,
    /// Audio and video.
    Media,
    /// Fonts.
    Font,
    /// Style sheets.
    Stylesheet,
    /// Scripts.
    Script,
}

/// What a page does not load. Its own document is never blocked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blocking {
    /// Resources of these kinds.
    pub kinds: Vec<Resource>,
    /// Resources whose URL matches one of these, `*` standing for any characters.
    pub patterns: Vec<String>,
}

impl Blocking {
    /// Whether nothing is blocked.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        self.kinds.is_empty() && self.patterns.is_empty()
    }
}

/// What [`Page::contents`](super::Page::contents) reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// The document as it is now, serialised, with its doctype.
    pub html: bool,
    /// The text that is visible.
    pub text: bool,
    /// The title.
    pub title: bool,
}

/// What was read of a page; what was not asked for is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The document, serialised.
    pub html: Option<String>,
    /// The visible text.
    pub text: Option<String>,
    /// The title.
    pub title: Option<String>,
    /// Where it was read, when the page has gone elsewhere since [`Page::goto`](super::Page::goto) returned.
    pub document: Option<Document>,
}

/// The format of a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Picture {
    /// Lossless.
    #[default]
    Png,
    /// Lossy.
    Jpeg,
    /// Lossy.
    Webp,
}

/// Which part of a page is pictured.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Area {
    /// What is in view.
    #[default]
    View,
    /// All of it.
    FullPage,
    /// The first element that matches a CSS selector.
    Element(String),
    /// A rectangle, in CSS pixels from the page's upper left corner.
    Clip(Rect),
}

/// A rectangle of a page, in CSS pixels from its upper left corner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rect {
    /// From the left.
    pub x: f64,
    /// From the top.
    pub y: f64,
    /// To the right of `x`.
    pub width: f64,
    /// Below `y`.
    pub height: f64,
}

/// How a picture of a page is taken.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Screenshot {
    /// The format.
    pub kind: Picture,
    /// 0 to 100, for lossy formats; `None` for the browser's default.
    pub quality: Option<u8>,
    /// What of the page.
    pub area: Area,
}

/// How a page is put on paper. Lengths are in inches.
#[derive(Clone, Debug, PartialEq)]
pub struct Pdf {
    /// The paper's width and height.
    pub paper: (f64, f64),
    /// Wider than high.
    pub landscape: bool,
    /// With the page's backgrounds.
    pub background: bool,
    /// At the top, right, bottom and left.
    pub margins: [f64; 4],
    /// How much larger than on screen.
    pub scale: f64,
    /// Such as `1-3, 5`; empty for all.
    pub ranges: String,
    /// The page's own `@page` size goes before `paper`.
    pub prefer_css_page_size: bool,
}

impl Default for Pdf {
    /// A4, as high as it is, with margins of 0.4 inches.
    fn default() -> Self {
        Self {
            paper: (8.27, 11.69),
            landscape: false,
            background: false,
            margins: [0.4; 4],
            scale: 1.0,
            ranges: String::new(),
            prefer_css_page_size: false,
        }
    }
}
