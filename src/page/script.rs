//! The caller's own scripts.

use chromiumoxide::cdp::{
    browser_protocol::dom::{DescribeNodeParams, ResolveNodeParams},
    js_protocol::runtime::{
        CallArgument, CallFunctionOnParams, EvaluateParams, ExceptionDetails, ReleaseObjectParams,
    },
};
use serde_json::Value;

use super::{Error, Locator, Tab};
use crate::{browser::page, deadline::Deadline};

impl Tab {
    /// The value of an expression as JSON, at most `limit` bytes of it; of a function, what it returns
    /// when it is called with the element.
    ///
    /// # Errors
    /// [`Error::Script`] for what it throws; [`page::Error::TooLarge`]; [`Error::NoElement`],
    /// [`Error::Ambiguous`]; [`Error::NoPage`], [`Error::Page`].
    ///
    /// # Cancel safety
    /// It may have been evaluated.
    pub async fn run_script(
        &self,
        expression: &str,
        element: Option<&Locator>,
        limit: u64,
        deadline: Deadline,
    ) -> Result<String, Error> {
        let before = self.before();
        let value = match element {
            None => self.evaluate_expression(expression, deadline).await?,
            Some(element) => self.call_with(expression, element, deadline).await?,
        };
        let json = value.to_string();
        if json.len() as u64 > limit {
            return Err(page::Error::TooLarge { limit }.into());
        }
        self.settle(before, deadline).await?;
        Ok(json)
    }

    async fn evaluate_expression(
        &self,
        expression: &str,
        deadline: Deadline,
    ) -> Result<Value, Error> {
        let mut evaluate = EvaluateParams::new(expression);
        evaluate.await_promise = Some(true);
        evaluate.user_gesture = Some(true);
        // `{…}` is an object and `await` may stand at the top, as in a console.
        evaluate.repl_mode = Some(true);
        let evaluated = self.call(evaluate, deadline).await?;
        if let Some(details) = evaluated.exception_details {
            return Err(thrown(details));
        }
        let Some(object) = evaluated.result.object_id else {
            return Ok(evaluated.result.value.unwrap_or_default());
        };
        let mut call = CallFunctionOnParams::new(
            "async function () { return typeof this === 'function' ? await this() : this; }",
        );
        call.object_id = Some(object.clone());
        call.return_by_value = Some(true);
        call.await_promise = Some(true);
        call.user_gesture = Some(true);
        let called = self.call(call, deadline).await;
        let release = ReleaseObjectParams::new(object);
        // With its document it is released anyway.
        let _ = self.shared.cdp.tell(self.main_session(), &release);
        let called = called?;
        match called.exception_details {
            Some(details) => Err(thrown(details)),
            None => Ok(called.result.value.unwrap_or_default()),
        }
    }

    async fn call_with(
        &self,
        function: &str,
        element: &Locator,
        deadline: Deadline,
    ) -> Result<Value, Error> {
        let at = self.locate(element, deadline).await?;
        let handle = self.handle(at, deadline).await?;
        let describe = DescribeNodeParams {
            object_id: Some(handle.id.clone()),
            ..DescribeNodeParams::default()
        };
        let node = self
            .call_in(&handle.session, describe, deadline)
            .await?
            .node;
        // The same element in the world of the page's own scripts.
        let resolve = ResolveNodeParams {
            backend_node_id: Some(node.backend_node_id),
            ..ResolveNodeParams::default()
        };
        let object = self
            .call_in(&handle.session, resolve, deadline)
            .await?
            .object;
        let object = object.object_id.ok_or_else(|| at.is_gone())?;
        let mut call = CallFunctionOnParams::new(format!(
            "async function (element) {{ const value = ({function}\n); \
             return typeof value === 'function' ? await value(element) : value; }}"
        ));
        call.object_id = Some(object.clone());
        let argument = CallArgument {
            object_id: Some(object.clone()),
            ..CallArgument::default()
        };
        call.arguments = Some(vec![argument]);
        call.return_by_value = Some(true);
        call.await_promise = Some(true);
        call.user_gesture = Some(true);
        let called = self.call_in(&handle.session, call, deadline).await;
        let release = ReleaseObjectParams::new(object);
        let _ = self.shared.cdp.tell(&handle.session, &release);
        let called = called?;
        match called.exception_details {
            Some(details) => Err(thrown(details)),
            None => Ok(called.result.value.unwrap_or_default()),
        }
    }
}

/// What a script threw.
pub(super) fn thrown(details: ExceptionDetails) -> Error {
    let text = |value: Option<String>| value.unwrap_or_default();
    let (described, value) = details
        .exception
        .map_or((None, None), |thrown| (thrown.description, thrown.value));
    let described = text(described);
    let mut lines = described.lines();
    let message = match (lines.next(), value) {
        (Some(first), _) if !first.is_empty() => first.to_owned(),
        (_, Some(Value::String(text))) => text,
        (_, Some(value)) => value.to_string(),
        _ => details.text,
    };
    let stack: Vec<_> = lines.map(str::trim).collect();
    let stack = if stack.is_empty() {
        format!("at line {}", details.line_number + 1)
    } else {
        stack.join("\n")
    };
    Error::Script {
        message: super::events::cut(&message),
        stack: super::events::cut(&stack),
    }
}
