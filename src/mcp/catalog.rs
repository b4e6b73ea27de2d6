//! The tools, as hosts and models see them.

use std::{borrow::Cow, sync::Arc};

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Value, json};

use super::args;

/// Which tools are offered. Few tools well made are used better than many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tools {
    /// `fetch` and what browsing takes.
    #[default]
    Core,
    /// All.
    All,
}

/// What a tool does to the world.
#[derive(Clone, Copy)]
enum Kind {
    /// It looks.
    Reads,
    /// It acts, and cannot tell how far that reaches.
    Acts,
    /// It acts on the browser alone.
    Own,
}

struct Entry {
    name: &'static str,
    title: &'static str,
    description: &'static str,
    core: bool,
    kind: Kind,
    input: fn() -> JsonObject,
    output: Output,
}

/// What of an answer is structured.
#[derive(Clone, Copy)]
enum Output {
    Fetch,
    Page,
    Part,
    Tabs,
    Closed,
}

const fn tool(
    name: &'static str,
    title: &'static str,
    core: bool,
    kind: Kind,
    input: fn() -> JsonObject,
    output: Output,
    description: &'static str,
) -> Entry {
    Entry {
        name,
        title,
        description,
        core,
        kind,
        input,
        output,
    }
}

use Kind::{Acts, Own, Reads};

const TABLE: &[Entry] = &[
    tool(
        "fetch",
        "Fetch a web page",
        true,
        Reads,
        input::<args::Fetch>,
        Output::Fetch,
        "Fetches URLs and returns their content, as Markdown of the main content by default. Pages that need \
         JavaScript are rendered. A truncated answer names the start_index to go on with. Use it to read; use the \
         browser tools to log in, click or fill in.",
    ),
    tool(
        "browser_navigate",
        "Navigate to a URL",
        true,
        Acts,
        input::<args::Navigate>,
        Output::Page,
        "Goes to a URL in the browser and returns a snapshot of the page. The first browser tool opens the browser.",
    ),
    tool(
        "browser_navigate_back",
        "Go back",
        true,
        Acts,
        input::<args::Plain>,
        Output::Page,
        "Goes back to the page before.",
    ),
    tool(
        "browser_snapshot",
        "Page snapshot",
        true,
        Reads,
        input::<args::Snapshot>,
        Output::Page,
        "Returns the page as an accessibility tree, with a ref for each element that can be acted on. Better than a \
         screenshot for acting.",
    ),
    tool(
        "browser_click",
        "Click",
        true,
        Acts,
        input::<args::Click>,
        Output::Page,
        "Clicks an element, once it is visible, enabled and not covered.",
    ),
    tool(
        "browser_type",
        "Type text",
        true,
        Acts,
        input::<args::Type>,
        Output::Page,
        "Puts text into an input, in place of what is there; submit presses Enter afterwards.",
    ),
    tool(
        "browser_fill_form",
        "Fill in a form",
        true,
        Acts,
        input::<args::FillForm>,
        Output::Page,
        "Fills in several fields at once.",
    ),
    tool(
        "browser_press_key",
        "Press a key",
        true,
        Acts,
        input::<args::PressKey>,
        Output::Page,
        "Presses a key or a combination where the focus is.",
    ),
    tool(
        "browser_select_option",
        "Select an option",
        true,
        Acts,
        input::<args::SelectOption>,
        Output::Page,
        "Selects options of a drop-down list.",
    ),
    tool(
        "browser_hover",
        "Hover",
        true,
        Acts,
        input::<args::Hover>,
        Output::Page,
        "Moves the mouse over an element, for menus that open like that.",
    ),
    tool(
        "browser_wait_for",
        "Wait",
        true,
        Reads,
        input::<args::WaitFor>,
        Output::Page,
        "Waits until a text appears or is gone, or for some seconds.",
    ),
    tool(
        "browser_tabs",
        "Tabs",
        true,
        Own,
        input::<args::Tabs>,
        Output::Tabs,
        "Lists, opens, closes or selects tabs. Popups are tabs that have to be selected.",
    ),
    tool(
        "browser_take_screenshot",
        "Take a screenshot",
        true,
        Reads,
        input::<args::Screenshot>,
        Output::Page,
        "Takes a picture of what is in view, of the whole page or of an element. To act, take a browser_snapshot.",
    ),
    tool(
        "browser_close",
        "Close the browser",
        true,
        Own,
        input::<args::Nothing>,
        Output::Closed,
        "Gives the browser back, with everything in it. The next browser tool opens a new one.",
    ),
    tool(
        "browser_evaluate",
        "Evaluate JavaScript",
        false,
        Acts,
        input::<args::Evaluate>,
        Output::Part,
        "Evaluates JavaScript in the page and returns the value as JSON.",
    ),
    tool(
        "browser_content",
        "Read the page",
        false,
        Reads,
        input::<args::Content>,
        Output::Part,
        "Returns the content of the page in the browser, as `fetch` would of a URL.",
    ),
    tool(
        "browser_pdf_save",
        "Save as PDF",
        false,
        Reads,
        input::<args::Nothing>,
        Output::Page,
        "Prints the page and returns a link to the PDF.",
    ),
    tool(
        "browser_drag",
        "Drag and drop",
        false,
        Acts,
        input::<args::Drag>,
        Output::Page,
        "Drags an element onto another.",
    ),
    tool(
        "browser_file_upload",
        "Upload files",
        false,
        Acts,
        input::<args::Upload>,
        Output::Page,
        "Gives files to a file input.",
    ),
    tool(
        "browser_handle_dialog",
        "Answer a dialog",
        false,
        Own,
        input::<args::HandleDialog>,
        Output::Closed,
        "Says how dialogs (alert, confirm, prompt) of the next action are answered; without it by Cancel.",
    ),
    tool(
        "browser_scroll",
        "Scroll",
        false,
        Own,
        input::<args::Scroll>,
        Output::Page,
        "Scrolls the page or an element, for lists that load more at their end. To act on an element this is not \
         needed.",
    ),
    tool(
        "browser_console_messages",
        "Console messages",
        false,
        Reads,
        input::<args::Messages>,
        Output::Part,
        "Returns what the pages wrote to their consoles, and exceptions nobody caught.",
    ),
    tool(
        "browser_network_requests",
        "Failed requests",
        false,
        Reads,
        input::<args::Messages>,
        Output::Part,
        "Returns the requests of the pages that failed.",
    ),
];

/// The tools that are offered.
pub(super) fn list(tools: Tools) -> Vec<Tool> {
    let offered = TABLE.iter();
    let offered = offered.filter(|entry| entry.core || tools == Tools::All);
    offered.map(describe).collect()
}

/// Whether a tool is offered.
pub(super) fn has(tools: Tools, name: &str) -> bool {
    let mut table = TABLE.iter();
    table.any(|entry| entry.name == name && (entry.core || tools == Tools::All))
}

fn describe(entry: &Entry) -> Tool {
    let annotations = ToolAnnotations::with_title(entry.title);
    let annotations = match entry.kind {
        Kind::Reads => annotations
            .read_only(true)
            .destructive(false)
            .idempotent(true),
        Kind::Acts => annotations
            .read_only(false)
            .destructive(true)
            .idempotent(false),
        Kind::Own => annotations
            .read_only(false)
            .destructive(false)
            .idempotent(false),
    };
    let open = !matches!(entry.kind, Kind::Own);
    let input = Arc::new((entry.input)());
    let mut tool = Tool::new_with_raw(entry.name, Some(Cow::Borrowed(entry.description)), input);
    tool.title = Some(entry.title.to_owned());
    tool.annotations = Some(annotations.open_world(open));
    tool.output_schema = Some(Arc::new(output(entry.output)));
    tool
}

fn input<T: JsonSchema>() -> JsonObject {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let schema = SchemaGenerator::new(settings).into_root_schema_for::<T>();
    let Value::Object(mut schema) = schema.to_value() else {
        return JsonObject::new();
    };
    // The type's name says nothing to a model.
    schema.remove("title");
    schema.remove("description");
    schema.entry("properties").or_insert_with(|| json!({}));
    schema.insert("additionalProperties".into(), Value::Bool(false));
    schema
}

fn output(output: Output) -> JsonObject {
    let text = |what: &str| json!({ "type": "string", "description": what });
    let number = |what: &str| json!({ "type": "integer", "description": what });
    let page = json!({
        "url": text("Where the page is"),
        "title": text("Its title"),
        "events": { "type": "array", "items": { "type": "string" }, "description": "What happened meanwhile" },
        "next_cursor": text("Where the snapshot goes on: give it to browser_snapshot"),
        "status": number("The HTTP status of the document"),
    });
    let part = json!({
        "total_length": number("How many characters there are"),
        "next_start_index": number("Where to go on; missing at the end"),
    });
    let (properties, required) = match output {
        Output::Page => (page, vec!["url", "title"]),
        Output::Part => (part, vec!["total_length"]),
        Output::Fetch => {
            let one = json!({
                "url": text("What was asked for"),
                "final_url": text("What answered"),
                "status": number("The HTTP status"),
                "content_type": text("The media type"),
                "title": text("The title"),
                "via": text("http or browser"),
                "error": text("Why there is no content"),
                "total_length": number("How many characters there are"),
                "next_start_index": number("Where to go on; missing at the end"),
            });
            let results = json!({
                "results": {
                    "type": "array",
                    "items": { "type": "object", "properties": one, "required": ["url"] },
                }
            });
            (results, vec!["results"])
        }
        Output::Tabs => {
            let tab = json!({
                "index": number("Which tab"),
                "url": text("Where it is"),
                "title": text("Its title"),
                "current": { "type": "boolean" },
            });
            let tabs = json!({
                "tabs": { "type": "array", "items": { "type": "object", "properties": tab } }
            });
            (tabs, vec!["tabs"])
        }
        Output::Closed => (json!({ "done": { "type": "boolean" } }), vec!["done"]),
    };
    let schema = json!({ "type": "object", "properties": properties, "required": required });
    match schema {
        Value::Object(schema) => schema,
        _ => JsonObject::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_and_argument_is_described() {
        let all = list(Tools::All);
        assert_eq!(list(Tools::Core).len(), 14);
        assert!(all.len() > 20);
        for tool in &all {
            assert!(
                tool.description
                    .as_ref()
                    .is_some_and(|text| text.len() > 20),
                "{}",
                tool.name
            );
            assert!(
                tool.annotations
                    .as_ref()
                    .is_some_and(|one| one.title.is_some())
            );
            assert_eq!(tool.input_schema["type"], "object", "{}", tool.name);
            let properties = tool.input_schema["properties"].as_object().unwrap();
            for (name, schema) in properties {
                let told = schema.get("description").and_then(Value::as_str);
                assert!(
                    told.is_some_and(|text| text.len() > 5),
                    "{} {name}",
                    tool.name
                );
            }
            assert_eq!(tool.output_schema.as_ref().unwrap()["type"], "object");
        }
        assert!(has(Tools::Core, "fetch") && !has(Tools::Core, "browser_drag"));
    }
}
