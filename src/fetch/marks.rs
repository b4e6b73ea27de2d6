//! The marks that frameworks and their authors leave in documents.

use super::attributes::Attributes;

/// The elements that frameworks render into, by id or name, and whose they are.
const MOUNTS: [(&str, Option<&str>); 30] = [
    ("root", None),
    ("app", None),
    ("__next", Some("Next.js")),
    ("__nuxt", Some("Nuxt")),
    ("___gatsby", Some("Gatsby")),
    ("svelte", Some("Svelte")),
    ("q-app", Some("Quasar")),
    ("app-root", Some("Angular")),
    ("ember-app", Some("Ember")),
    ("storybook-root", None),
    ("main-app", None),
    ("react-root", Some("React")),
    ("reactRoot", Some("React")),
    ("react-app", Some("React")),
    ("vue-app", Some("Vue")),
    ("my-app", None),
    ("app-mount", None),
    ("mount", None),
    ("application", None),
    ("app-container", None),
    ("root-app", None),
    ("spa", None),
    ("main", None),
    ("content", None),
    ("page-content", None),
    ("main-content", None),
    ("results", None),
    ("outlet", None),
    ("view", None),
    ("feed", None),
];

/// The known name of an element that scripts would fill.
pub(super) fn mount(name: &str, attributes: &Attributes<'_>) -> Option<&'static str> {
    let role = (attributes.role == Some("main")).then_some("main");
    let find = |wanted: &str| {
        let mut known = MOUNTS.iter();
        known
            .find(|(mount, _)| *mount == wanted)
            .map(|(mount, _)| *mount)
    };
    let id = attributes.id.and_then(find);
    // A body of that name is the whole page, and told by other rules when it is empty.
    (name != "body").then(|| id.or_else(|| find(name)).or(role))?
}

/// Whether an element of this known name is the whole of an application, and not a part of a page.
pub(super) fn is_root(name: &str) -> bool {
    const ROOTS: usize = 22;
    let mut roots = MOUNTS.iter().take(ROOTS);
    roots.any(|(root, _)| *root == name)
}

/// The name of an element that scripts may fill though nobody knows it: one of the author's own.
pub(super) fn may_fill(name: &str, attributes: &Attributes<'_>) -> Option<String> {
    /// Elements that are empty on pages that have everything.
    const TRIFLES: [&str; 7] = [
        "icon", "button", "toggle", "badge", "switcher", "cookie", "banner",
    ];
    let own = name.contains('-') && !TRIFLES.iter().any(|trifle| name.contains(trifle));
    let list = matches!(name, "tbody" | "ul" | "ol");
    let block = matches!(name, "div" | "section") && attributes.id.is_some_and(is_of_content);
    (own || list || block).then(|| attributes.id.unwrap_or(name).chars().take(40).collect())
}

/// Whether an id speaks of what a page is about.
fn is_of_content(id: &str) -> bool {
    const WORDS: [&str; 15] = [
        "app",
        "content",
        "container",
        "page",
        "list",
        "items",
        "posts",
        "products",
        "grid",
        "table",
        "article",
        "chart",
        "root",
        "viewer",
        "dashboard",
    ];
    let id = id.to_ascii_lowercase();
    WORDS.iter().any(|word| id.contains(word))
}

/// Whose the element is that is filled.
pub(super) fn framework_of_mount(name: &str) -> Option<&'static str> {
    let mut known = MOUNTS.iter();
    let found = known.find(|(mount, _)| *mount == name);
    found.and_then(|(_, framework)| *framework).or(match name {
        "astro-island" => Some("Astro"),
        _ => None,
    })
}

/// Whose a script is, by its address, its id or its beginning.
pub(super) fn framework_of_script(text: &str) -> Option<&'static str> {
    const MARKS: [(&str, &str); 24] = [
        ("/_next/", "Next.js"),
        ("__NEXT_DATA__", "Next.js"),
        ("self.__next_f", "Next.js"),
        ("/_nuxt/", "Nuxt"),
        ("__NUXT", "Nuxt"),
        ("/_astro/", "Astro"),
        ("astro-island", "Astro"),
        ("/_app/immutable/", "SvelteKit"),
        ("__sveltekit", "SvelteKit"),
        ("__remixContext", "Remix"),
        ("__reactRouterContext", "React Router"),
        ("_framework/blazor", "Blazor"),
        ("flutter_bootstrap", "Flutter"),
        ("flutter.js", "Flutter"),
        ("main.dart.js", "Flutter"),
        ("gatsby", "Gatsby"),
        ("qwik", "Qwik"),
        ("ember", "Ember"),
        ("alpine", "Alpine"),
        ("htmx", "htmx"),
        ("___LOADABLE", "React"),
        ("/static/js/main.", "React"),
        ("angular", "Angular"),
        ("vue", "Vue"),
    ];
    let found = MARKS.iter().find(|(mark, _)| text.contains(mark));
    found.map(|(_, framework)| *framework)
}

/// Whose a document is, by its `generator`.
pub(super) fn framework_of_generator(content: &str) -> Option<&'static str> {
    const KNOWN: [&str; 6] = ["Astro", "Gatsby", "Next.js", "Nuxt", "Docusaurus", "Hugo"];
    KNOWN.into_iter().find(|known| content.starts_with(known))
}

/// Whether a word of a class says that an element holds the place of what is being loaded.
pub(super) fn is_skeleton(word: &str) -> bool {
    const WORDS: [&str; 7] = [
        "skeleton",
        "shimmer",
        "spinner",
        "loader",
        "placeholder-glow",
        "animate-pulse",
        "ghost-line",
    ];
    let word = word.to_ascii_lowercase();
    WORDS.iter().any(|known| word.contains(known)) || word == "loading"
}

/// Whether one of the first lines says that something is being loaded, and nothing else.
pub(super) fn has_placeholder(text: &str) -> bool {
    const WORDS: [&str; 16] = [
        "loading",
        "please wait",
        "one moment",
        "just a second",
        "initializing",
        "starting up",
        "hang tight",
        "wird geladen",
        "lädt",
        "bitte warten",
        "chargement",
        "cargando",
        "carregando",
        "caricamento",
        "загрузка",
        "読み込み中",
    ];
    const LINES: usize = 64;
    const LONGEST: usize = 60;
    text.lines().take(LINES).any(|line| {
        let line = line.trim_start_matches(|char: char| !char.is_alphanumeric());
        line.chars().count() <= LONGEST && {
            let line = line.to_lowercase();
            WORDS.iter().any(|word| {
                line.strip_prefix(word)
                    .is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
                    || (line.contains(word) && line.ends_with(['…', '.']))
            })
        }
    })
}

/// Whether a text asks its reader to turn JavaScript on.
pub(super) fn asks_for_script(text: &str) -> bool {
    const ASKS: [&str; 17] = [
        "enable",
        "require",
        "need",
        "activate",
        "turn on",
        "without",
        "disabled",
        "works best",
        "switch on",
        "not work",
        "must have",
        "aktivier",
        "benötig",
        "activer",
        "active",
        "habilit",
        "有効",
    ];
    let text = text.to_lowercase();
    let mut rest = text.as_str();
    // Near to each other, for an article may speak of both.
    while let Some(at) = rest.find("javascript") {
        const NEAR: usize = 80;
        let from = rest.ceil_char_boundary(at.saturating_sub(NEAR));
        let to = rest.floor_char_boundary(at + NEAR);
        let near = rest.get(from..to).unwrap_or_default();
        if ASKS.iter().any(|word| near.contains(word)) {
            return true;
        }
        rest = rest.get(at + 10..).unwrap_or_default();
    }
    false
}

/// Whether a program puts text into its document by itself.
pub(super) fn writes(script: &str) -> bool {
    const WAYS: [&str; 9] = [
        "document.write",
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
        "textContent",
        "innerText",
        ".append(",
        ".appendChild(",
        ".replaceChildren(",
    ];
    // The year in the footer is no content.
    let trifle = script.len() < 300 && script.contains("getFullYear");
    !trifle && WAYS.iter().any(|way| script.contains(way))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_lines_of_their_own() {
        for text in [
            "Loading…",
            "Menu\nLoading comments",
            "• Please wait...",
            "Inhalt wird geladen…",
        ] {
            assert!(has_placeholder(text), "{text}");
        }
        for text in ["Loading docks of the port", "Downloading", ""] {
            assert_eq!(
                has_placeholder(text),
                text.starts_with("Loading "),
                "{text}"
            );
        }
    }

    #[test]
    fn to_speak_of_scripts_is_not_to_ask_for_them() {
        assert!(asks_for_script(
            "You need to enable JavaScript to run this app."
        ));
        assert!(asks_for_script("Bitte aktivieren Sie JavaScript."));
        assert!(!asks_for_script(
            "A short history of JavaScript and its kin."
        ));
    }
}
