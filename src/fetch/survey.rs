//! What an HTML document shows of how it is made, without running it.

use dom_query::NodeRef;

use super::{
    attributes::Attributes,
    guard::{self, Guard},
    marks,
};

/// What is known of an HTML document without running it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Visible characters that are not whitespace.
    pub(super) visible: usize,
    /// Those of them that are content: outside links, buttons, labels, navigation, header, footer
    /// and dialogs.
    pub(super) prose: usize,
    /// Scripts that are programs.
    pub(super) scripts: usize,
    /// The inline ones that put text into the document.
    pub(super) writers: usize,
    /// The bytes of data in the document, such as what a framework starts from.
    pub(super) data_bytes: usize,
    /// The framework that it was made with.
    pub(super) framework: Option<&'static str>,
    /// The empty element that scripts would fill.
    pub(super) empty: Option<String>,
    /// A visible line says that something is being loaded.
    pub(super) placeholder: bool,
    /// Visible elements that hold the place of what is being loaded.
    pub(super) skeletons: usize,
    /// It asks for JavaScript.
    pub(super) asks_for_script: bool,
    /// Where it sends its reader, and after how many seconds.
    pub(super) refresh: Option<(u32, String)>,
    /// What its frames show.
    pub(super) frames: Vec<String>,
    /// What guards the content, if anything does.
    pub(super) guard: Option<Guard>,
    /// Fields for a known password, outside of header and navigation.
    pub(super) passwords: usize,
    /// Fields for a new password.
    pub(super) new_passwords: usize,
    /// Fields that other words go into: a name, an address, a message.
    pub(super) fields: usize,
    /// Title and headings, in lower case, a line each.
    pub(super) heads: String,
    /// The start of the visible text, in lower case.
    pub(super) opening: String,
}

/// Where something is in a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// Not shown.
    Hidden,
    /// In header, footer, navigation or a dialog.
    Around,
    /// In a link, button or label.
    Control,
    /// Where the content is.
    Content,
}

/// So many frames are remembered.
const MOST_FRAMES: usize = 8;

/// So much of a script is looked into, in bytes.
const LOOKED_INTO: usize = 64 << 10;

/// So much of the headings and of the text is kept, in characters.
const KEPT: usize = 2000;

/// An element that scripts may fill, while the survey is in it.
struct Mount {
    depth: usize,
    visible: usize,
    what: String,
    /// Whether it is one that a framework fills, whatever its name.
    named: bool,
}

#[derive(Default)]
pub(super) struct Survey {
    seen: Seen,
    depth: usize,
    mounts: Vec<Mount>,
    /// How deep the heading is that the survey is in.
    heading: Option<usize>,
    /// An empty element of no known name.
    nameless: Option<String>,
    guard: guard::Evidence,
}

impl Survey {
    /// An element begins.
    pub(super) fn enter(
        &mut self,
        node: &NodeRef<'_>,
        name: &str,
        attributes: &Attributes<'_>,
        place: Place,
    ) {
        let shown = place != Place::Hidden;
        self.depth += 1;
        let seen = &mut self.seen;
        seen.framework = seen.framework.or(attributes.framework);
        match name {
            "script" => self.script(attributes, &node.text()),
            "noscript" => seen.asks_for_script |= marks::asks_for_script(&node.text()),
            "meta" => self.meta(attributes),
            "frame" | "iframe" => self.frame(attributes),
            "input" | "textarea" if shown => self.field(attributes, place),
            "h1" | "h2" if shown && self.heading.is_none() => {
                self.heading = Some(self.depth);
                seen.heads.push('\n');
            }
            _ => {}
        }
        self.guard.element(attributes);
        if shown {
            let busy = attributes.busy || attributes.has_class(marks::is_skeleton);
            self.seen.skeletons += usize::from(busy);
            self.mount(name, attributes, place);
        }
    }

    /// The element ends that began last and has not ended yet.
    pub(super) fn leave(&mut self) {
        if self.heading == Some(self.depth) {
            self.heading = None;
        }
        let ends = |mount: &Mount| mount.depth == self.depth;
        if let Some(mount) = self.mounts.pop_if(|mount| ends(mount)) {
            let hollow = mount.visible == self.seen.visible;
            let place = if mount.named {
                &mut self.seen.empty
            } else {
                &mut self.nameless
            };
            if hollow && place.is_none() {
                *place = Some(mount.what);
            }
        }
        self.depth -= 1;
    }

    /// Visible text.
    pub(super) fn text(&mut self, text: &str, place: Place) {
        let count = text.chars().filter(|char| !char.is_whitespace()).count();
        self.seen.visible += count;
        if place == Place::Content {
            self.seen.prose += count;
        }
        if self.heading.is_some() && self.seen.heads.len() < KEPT {
            self.seen.heads.extend(text.chars().take(KEPT));
        }
    }

    /// What was seen of the document with this `title` and visible `text`.
    pub(super) fn finish(mut self, title: Option<&str>, text: &str) -> Seen {
        let seen = &mut self.seen;
        seen.placeholder = marks::has_placeholder(text);
        seen.opening = text.chars().take(KEPT).collect::<String>().to_lowercase();
        let title: String = title.unwrap_or_default().chars().take(KEPT).collect();
        seen.heads = format!("{title}{}", seen.heads).to_lowercase();
        seen.asks_for_script |= marks::asks_for_script(&seen.opening);
        seen.empty = seen.empty.take().or(self.nameless);
        seen.guard = self.guard.weigh(seen);
        self.seen
    }

    fn script(&mut self, attributes: &Attributes<'_>, content: &str) {
        let seen = &mut self.seen;
        let kind = attributes.kind.unwrap_or_default().to_ascii_lowercase();
        let head = start(content, LOOKED_INTO);
        let source = attributes.src.unwrap_or_default();
        let by = |text| marks::framework_of_script(text);
        let id = attributes.id.unwrap_or_default();
        seen.framework = seen.framework.or_else(|| by(source).or_else(|| by(id)));
        if !is_code(&kind) {
            seen.data_bytes += content.len();
            return;
        }
        seen.framework = seen.framework.or_else(|| by(start(head, 4 << 10)));
        seen.scripts += 1;
        seen.writers += usize::from(marks::writes(head));
        self.guard.script(source, head);
    }

    fn meta(&mut self, attributes: &Attributes<'_>) {
        let is = |value: Option<&str>, word| value.is_some_and(|v| v.eq_ignore_ascii_case(word));
        let content = attributes.content.unwrap_or_default();
        if is(attributes.http_equiv, "refresh") && self.seen.refresh.is_none() {
            self.seen.refresh = refresh(content);
        }
        if is(attributes.name, "generator") {
            let framework = marks::framework_of_generator(content);
            self.seen.framework = self.seen.framework.or(framework);
        }
    }

    fn frame(&mut self, attributes: &Attributes<'_>) {
        let source = attributes.src.unwrap_or_default().trim();
        if !source.is_empty() && self.seen.frames.len() < MOST_FRAMES {
            self.seen.frames.push(source.to_owned());
        }
    }

    fn field(&mut self, attributes: &Attributes<'_>, place: Place) {
        let kind = attributes.kind.unwrap_or("text").to_ascii_lowercase();
        let seen = &mut self.seen;
        match (&*kind, attributes.autocomplete) {
            ("password", Some("new-password")) => seen.new_passwords += 1,
            // A login in the header is on every page of many sites.
            ("password", _) if place != Place::Around => seen.passwords += 1,
            ("text" | "email" | "tel" | "url" | "number", _) => seen.fields += 1,
            _ => {}
        }
    }

    fn mount(&mut self, name: &str, attributes: &Attributes<'_>, place: Place) {
        const DEEPEST: usize = 64;
        let known = marks::mount(name, attributes);
        let nameless = || {
            (place == Place::Content && self.depth < 8).then(|| marks::may_fill(name, attributes))
        };
        let what = match known {
            Some(_) => known.map(str::to_owned),
            None => nameless().flatten(),
        };
        if let Some(what) = what.filter(|_| self.mounts.len() < DEEPEST) {
            self.seen.framework = self.seen.framework.or(marks::framework_of_mount(&what));
            self.mounts.push(Mount {
                depth: self.depth,
                visible: self.seen.visible,
                what,
                named: known.is_some(),
            });
        }
    }
}

/// Whether a `<script>` of this type holds a program and not data.
fn is_code(kind: &str) -> bool {
    kind.is_empty() || kind == "module" || kind.contains("javascript")
}

/// At most the first `bytes` bytes.
fn start(text: &str, bytes: usize) -> &str {
    let end = text.floor_char_boundary(bytes);
    text.get(..end).unwrap_or(text)
}

/// The seconds and the URL of a `refresh`, such as "5; url=/next". One without a URL is about the
/// page itself.
fn refresh(content: &str) -> Option<(u32, String)> {
    let end = content.find([';', ',']);
    let (after, rest) = content.split_at_checked(end?)?;
    let after = after.trim().split('.').next().unwrap_or_default();
    let rest = rest.get(1..)?.trim_start();
    let to = match rest.get(..3) {
        Some(word) if word.eq_ignore_ascii_case("url") => {
            rest.get(3..)?.trim_start().strip_prefix('=')?
        }
        _ => rest,
    };
    let to = to.trim().trim_matches(['"', '\'']).trim();
    let after = if after.is_empty() {
        0
    } else {
        after.parse().ok()?
    };
    (!to.is_empty()).then(|| (after, to.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::html::read;

    #[test]
    fn a_shell_is_recognised_by_its_empty_frame() {
        let seen = read("<div id=root> <i></i></div><script src=/app.js></script>").seen;
        assert_eq!(seen.empty.as_deref(), Some("root"));
        assert_eq!((seen.scripts, seen.visible), (1, 0));
        let filled = read("<div id=root>Served.</div><script>1</script>").seen;
        assert_eq!(filled.empty, None);
        let angular = read("<app-root></app-root><script type=application/ld+json>{}</script>");
        assert_eq!(angular.seen.empty.as_deref(), Some("app-root"));
        assert_eq!(angular.seen.framework, Some("Angular"));
        assert_eq!((angular.seen.scripts, angular.seen.data_bytes), (0, 2));
        let asks = read("<body><noscript>You need to enable JavaScript.</noscript>").seen;
        assert!(asks.asks_for_script);
    }

    #[test]
    fn prose_is_what_is_not_around_it() {
        let seen = read(
            "<header>ab</header><nav><a>cd</a></nav><main><h1>ef</h1><p>gh <a>ij</a></p>\
             <form><label>kl<input type=password></label><input></form></main>",
        )
        .seen;
        assert_eq!((seen.visible, seen.prose), (12, 4));
        assert_eq!((seen.passwords, seen.fields), (1, 1));
        assert_eq!(seen.heads, "\nef");
    }

    #[test]
    fn refreshes_are_read_as_browsers_do() {
        let of = |content| refresh(content);
        assert_eq!(of("0;url=/a"), Some((0, "/a".into())));
        assert_eq!(of(" 5 ; URL = '/a b' "), Some((5, "/a b".into())));
        assert_eq!(of("1.5, /a"), Some((1, "/a".into())));
        assert_eq!(of("30"), None);
        assert_eq!(of("x;url=/a"), None);
        assert_eq!(of("0;url="), None);
    }
}
