//! The MCP server: lists tools and resources, and has calls done, with progress and cancellation.

use std::{borrow::Cow, future::Future, sync::Arc, time::Duration};

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, Implementation,
        ListResourcesResult, ListToolsResult, PaginatedRequestParams, ProgressNotificationParam,
        ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities,
        ServerConfig, Tool,
    },
    service::RequestContext,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::time::{MissedTickBehavior, interval};

use super::{
    answer::Answer, browse, catalog, failure::Failure, fetch, form, look, resources,
    session::Session, tabs,
};

/// How often a call that takes long says that it is still at it.
const PROGRESS: Duration = Duration::from_secs(2);

const INSTRUCTIONS: &str = "Reads and drives the web. Use `fetch` to read pages. Use the browser tools to \
act: browser_navigate, then act on the refs of its snapshot (such as e12); each action returns the page as it is \
then. Large results are cut, and say how to go on.";

/// One session, served.
#[derive(Clone, Debug)]
pub(super) struct Shim {
    session: Arc<Session>,
}

type Arguments = Map<String, Value>;

impl Shim {
    pub(super) fn new(session: Session) -> Self {
        Self {
            session: Arc::new(session),
        }
    }

    async fn run(&self, name: &str, arguments: Arguments) -> Result<Answer, Failure> {
        let session = &*self.session;
        match name {
            "fetch" => fetch::run(session, read(arguments)?).await,
            "browser_navigate" => browse::navigate(session, read(arguments)?).await,
            "browser_navigate_back" => browse::back(session, read(arguments)?).await,
            "browser_snapshot" => look::snapshot(session, read(arguments)?).await,
            "browser_click" => browse::click(session, read(arguments)?).await,
            "browser_type" => form::type_text(session, read(arguments)?).await,
            "browser_fill_form" => form::fill(session, read(arguments)?).await,
            "browser_press_key" => browse::press(session, read(arguments)?).await,
            "browser_select_option" => form::select(session, read(arguments)?).await,
            "browser_hover" => browse::hover(session, read(arguments)?).await,
            "browser_wait_for" => browse::wait(session, read(arguments)?).await,
            "browser_tabs" => tabs::run(session, read(arguments)?).await,
            "browser_take_screenshot" => look::screenshot(session, read(arguments)?).await,
            "browser_close" => tabs::close(session, read(arguments)?).await,
            "browser_evaluate" => look::evaluate(session, read(arguments)?).await,
            "browser_content" => look::content(session, read(arguments)?).await,
            "browser_pdf_save" => look::pdf(session, read(arguments)?).await,
            "browser_drag" => browse::drag(session, read(arguments)?).await,
            "browser_file_upload" => form::upload(session, read(arguments)?).await,
            "browser_handle_dialog" => tabs::dialog(session, read(arguments)?),
            "browser_scroll" => browse::scroll(session, read(arguments)?).await,
            "browser_console_messages" => look::consoles(session, read(arguments)?),
            "browser_network_requests" => look::requests(session, read(arguments)?),
            _ => Err(Failure::new(format!("there is no tool {name:?}"), "")),
        }
    }
}

/// Reads arguments as a tool takes them.
fn read<T: DeserializeOwned>(arguments: Arguments) -> Result<T, Failure> {
    serde_json::from_value(Value::Object(arguments)).map_err(|error| {
        let next = "Call the tool again with arguments as its input schema has them.";
        Failure::new(format!("the arguments are wrong: {error}"), next)
    })
}

/// Does `work`, tells who asked that it goes on, and leaves off when nobody wants it any more.
async fn attended(
    context: &RequestContext<RoleServer>,
    work: impl Future<Output = Result<Answer, Failure>>,
) -> Result<CallToolResult, ErrorData> {
    let token = context.meta.get_progress_token();
    let mut tick = interval(PROGRESS);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick.reset();
    let mut told = 0.0;
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            // Dropping the work cancels its calls.
            () = context.ct.cancelled() => {
                return Err(ErrorData::internal_error("cancelled", None));
            }
            done = &mut work => return Ok(match done {
                Ok(answer) => answer.result(),
                Err(failure) => failure.result(),
            }),
            _ = tick.tick() => if let Some(token) = &token {
                told += PROGRESS.as_secs_f64();
                let progress = ProgressNotificationParam::new(token.clone(), told)
                    .with_message(format!("still at it after {told} s"));
                // A host that does not listen misses nothing else.
                let _ = context.peer.notify_progress(progress).await;
            },
        }
    }
}

impl ServerHandler for Shim {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .build();
        let this = Implementation::new("berth", env!("CARGO_PKG_VERSION"))
            .with_title("Berth: browsers and web fetching");
        ServerConfig::new(capabilities)
            .with_server_info(this)
            .with_instructions(INSTRUCTIONS)
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        if self.session.options.sessions {
            Cow::Borrowed(ProtocolVersion::KNOWN_VERSIONS)
        } else {
            // Later ones know no sessions over HTTP, and a browser is a session's.
            Cow::Borrowed(ProtocolVersion::known_up_to(
                &ProtocolVersion::LATEST_WITH_INITIALIZE,
            ))
        }
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = catalog::list(self.session.options.tools);
        Ok(ListToolsResult::with_all_items(tools))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        let tools = catalog::list(self.session.options.tools);
        tools.into_iter().find(|tool| tool.name == name)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let name = request.name.as_ref();
        if !catalog::has(self.session.options.tools, name) {
            let what = format!("there is no tool {name:?}");
            return Err(ErrorData::invalid_params(what, None));
        }
        let work = self.run(name, request.arguments.unwrap_or_default());
        attended(&context, work).await.map(Into::into)
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let all = resources::list(&self.session);
        Ok(ListResourcesResult::with_all_items(all))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let read = resources::read(&self.session, &request.uri).await;
        read.map(Into::into)
    }
}
