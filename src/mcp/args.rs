//! The arguments of tools that act, with descriptions that are written for a model.

use schemars::JsonSchema;
use serde::Deserialize;

pub(super) use super::look_args::{
    Content, Evaluate, Fetch, Format, Messages, Picture, Screenshot, Snapshot, Strategy,
};

/// How much of a page's snapshot is told with an action, in bytes, unless asked for otherwise.
const SNAPSHOT: u32 = 8000;

const fn snapshot() -> u32 {
    SNAPSHOT
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Navigate {
    /// The URL to go to, with http:// or https://
    pub(super) url: String,
    /// How many bytes of the page's snapshot to return, 0 for none
    #[serde(default = "snapshot")]
    pub(super) snapshot_max_length: u32,
}

/// For tools that need nothing else.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Plain {
    /// How many bytes of the page's snapshot to return, 0 for none
    #[serde(default = "snapshot")]
    pub(super) snapshot_max_length: u32,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Nothing {}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Button {
    #[default]
    Left,
    Right,
    Middle,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub(super) enum Modifier {
    Alt,
    Control,
    ControlOrMeta,
    Meta,
    Shift,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Click {
    /// What the element is, in words, for people who read along
    pub(super) element: Option<String>,
    /// The element: a ref from a snapshot such as e12 or f1e3, or css=… or text=…
    #[serde(rename = "ref")]
    pub(super) target: String,
    /// Click twice
    #[serde(default, rename = "doubleClick")]
    pub(super) double: bool,
    /// Which mouse button
    #[serde(default)]
    pub(super) button: Button,
    /// Keys to hold while clicking
    #[serde(default)]
    pub(super) modifiers: Vec<Modifier>,
    /// How many bytes of the page's snapshot to return, 0 for none
    #[serde(default = "snapshot")]
    pub(super) snapshot_max_length: u32,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Type {
    /// What the element is, in words, for people who read along
    pub(super) element: Option<String>,
    /// The input: a ref from a snapshot such as e12 or f1e3, or css=… or text=…
    #[serde(rename = "ref")]
    pub(super) target: String,
    /// The text to put into it, in place of what is there
    pub(super) text: String,
    /// Press Enter afterwards
    #[serde(default)]
    pub(super) submit: bool,
    /// Type key by key behind what is there, for pages that listen to keys
    #[serde(default)]
    pub(super) slowly: bool,
    /// How many bytes of the page's snapshot to return, 0 for none
    #[serde(default = "snapshot")]
    pub(super) snapshot_max_length: u32,
}

/// What kind of field it is.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum FieldKind {
    #[default]
    Textbox,
    Checkbox,
    Radio,
    Combobox,
    Slider,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Field {
    /// What the field is called, for people who read along
    pub(super) name: Option<String>,
    /// What kind of field it is
    #[serde(default, rename = "type")]
    pub(super) kind: FieldKind,
    /// The field: a ref from a snapshot such as e12 or f1e3, or css=… or text=…
    #[serde(rename = "ref")]
    pub(super) target: String,
    /// Its value: text; true or false for checkboxes and radios; the option's label for comboboxes
    pub(super) value: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct FillForm {
    /// The fields to fill in, in this order, at most 50
    pub(super) fields: Vec<Field>,
    /// How many bytes of the page's snapshot to return, 0 for none
    #[serde(default = "snapshot")]
    pub(super) snapshot_max_length: u32,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct PressKey {
    /// A key or combination, such as Enter, ArrowDown, a or Control+A
    pub(super) key: String,
    /// How many bytes of the page's snapshot to return, 0 for none
    #[serde(default = "snapshot")]
    pub(super) snapshot_max_length: u32,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct SelectOption {
    /// What the element is, in words, for people who read along
    pub(super) element: Option<String>,
    /// The list: a ref from a snapshot such as e12 or f1e3, or css=… or text=…
    #[serde(rename = "ref")]
    pub(super) target: String,
    /// Labels or values of the options to select; all others become unselected
    pub(super) values: Vec<String>,
    /// How many bytes of the page's snapshot to return, 0 for none
    #[serde(default = "snapshot")]
    pub(super) snapshot_max_length: u32,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Hover {
    /// What the element is, in words, for people who read along
    pub(super) element: Option<String>,
    /// The element: a ref from a snapshot such as e12 or f1e3, or css=… or text=…
    #[serde(rename = "ref")]
    pub(super) target: String,
    /// How many bytes of the page's snapshot to return, 0 for none
    #[serde(default = "snapshot")]
    pub(super) snapshot_max_length: u32,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Drag {
    /// What is dragged, in words
    #[serde(rename = "startElement")]
    pub(super) start_element: Option<String>,
    /// What is dragged: a ref from a snapshot, or css=… or text=…
    #[serde(rename = "startRef")]
    pub(super) start: String,
    /// Where it is dropped, in words
    #[serde(rename = "endElement")]
    pub(super) end_element: Option<String>,
    /// Where it is dropped: a ref from a snapshot, or css=… or text=…
    #[serde(rename = "endRef")]
    pub(super) end: String,
    /// How many bytes of the page's snapshot to return, 0 for none
    #[serde(default = "snapshot")]
    pub(super) snapshot_max_length: u32,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct WaitFor {
    /// Seconds to wait, at most 30; prefer text or textGone
    pub(super) time: Option<f64>,
    /// Wait until this text is visible
    pub(super) text: Option<String>,
    /// Wait until this text is not visible any more
    #[serde(rename = "textGone")]
    pub(super) text_gone: Option<String>,
    /// How many bytes of the page's snapshot to return, 0 for none
    #[serde(default = "snapshot")]
    pub(super) snapshot_max_length: u32,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum TabAction {
    /// See all tabs.
    List,
    /// Open one.
    New,
    /// Close one.
    Close,
    /// Make one the current one.
    Select,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Tabs {
    /// What to do
    pub(super) action: TabAction,
    /// Which tab, for close and select; close without it closes the current one
    pub(super) index: Option<usize>,
    /// Where a new tab goes
    pub(super) url: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct File {
    /// Its name
    pub(super) name: String,
    /// What is in it, as text
    pub(super) text: Option<String>,
    /// What is in it, as base64
    pub(super) base64: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Upload {
    /// The file input, its label or its button: a ref from a snapshot, or css=… or text=…
    #[serde(rename = "ref")]
    pub(super) target: String,
    /// The files
    pub(super) files: Vec<File>,
    /// How many bytes of the page's snapshot to return, 0 for none
    #[serde(default = "snapshot")]
    pub(super) snapshot_max_length: u32,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct HandleDialog {
    /// OK rather than Cancel
    pub(super) accept: bool,
    /// What to enter into a prompt
    #[serde(default, rename = "promptText")]
    pub(super) prompt_text: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Scroll {
    /// Bring this into view, and scroll within it: a ref from a snapshot, or css=… or text=…
    #[serde(rename = "ref")]
    pub(super) target: Option<String>,
    /// Pixels down; negative for up
    #[serde(default)]
    pub(super) down: i32,
    /// Pixels to the right; negative for left
    #[serde(default)]
    pub(super) right: i32,
    /// How many bytes of the page's snapshot to return, 0 for none
    #[serde(default = "snapshot")]
    pub(super) snapshot_max_length: u32,
}
