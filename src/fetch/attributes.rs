//! The attributes of an element that tell something about its document.

use dom_query::Attr;

/// What is looked at of an element, found in one pass over its attributes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Attributes<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) class: Option<&'a str>,
    pub(super) role: Option<&'a str>,
    /// `type`.
    pub(super) kind: Option<&'a str>,
    pub(super) name: Option<&'a str>,
    pub(super) src: Option<&'a str>,
    pub(super) content: Option<&'a str>,
    pub(super) http_equiv: Option<&'a str>,
    pub(super) autocomplete: Option<&'a str>,
    /// A template that is the shadow root of its parent.
    pub(super) shadow: bool,
    /// Something is still loaded into it.
    pub(super) busy: bool,
    /// The framework that left its mark.
    pub(super) framework: Option<&'static str>,
    is_hidden: bool,
}

impl<'a> Attributes<'a> {
    /// Those of an element.
    pub(super) fn of(all: &'a [Attr]) -> Self {
        let mut found = Self::default();
        for attribute in all {
            let value = &*attribute.value;
            match &*attribute.name.local {
                "id" => found.id = Some(value),
                "class" => found.class = Some(value),
                "role" => found.role = Some(value),
                "type" => found.kind = Some(value),
                "name" => found.name = Some(value),
                "src" => found.src = Some(value),
                "content" => found.content = Some(value),
                "http-equiv" => found.http_equiv = Some(value),
                "autocomplete" => found.autocomplete = Some(value),
                "shadowrootmode" => found.shadow = true,
                "aria-busy" => found.busy = value == "true",
                "hidden" => found.is_hidden = true,
                "style" => found.is_hidden |= hides(value),
                "ng-version" | "ng-server-context" | "ng-app" => found.framework = Some("Angular"),
                "data-reactroot" => found.framework = Some("React"),
                "data-server-rendered" | "data-v-app" => found.framework = Some("Vue"),
                "q:container" => found.framework = Some("Qwik"),
                "data-sveltekit-preload-data" => found.framework = Some("SvelteKit"),
                "x-data" => found.framework = Some("Alpine"),
                "hx-get" | "hx-post" | "hx-boost" => found.framework = Some("htmx"),
                _ => {}
            }
        }
        found
    }

    /// Whether the element says of itself that it is not shown.
    pub(super) const fn hidden(&self) -> bool {
        self.is_hidden
    }

    /// Whether its class has a word that `is` holds for.
    pub(super) fn has_class(&self, is: impl Fn(&str) -> bool) -> bool {
        self.class
            .is_some_and(|class| class.split_ascii_whitespace().any(is))
    }
}

fn hides(style: &str) -> bool {
    if !style.contains("none") && !style.contains("NONE") {
        return false;
    }
    let style: String = style.split_whitespace().collect();
    style.to_ascii_lowercase().contains("display:none")
}
