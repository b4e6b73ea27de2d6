//! Waiting for something to be so.

use chromiumoxide::cdp::js_protocol::runtime::EvaluateParams;
use serde_json::Value;

use super::{Error, Locator, Tab, element::check_selector};
use crate::{
    browser::page::{self, WaitUntil},
    deadline::Deadline,
};

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Something visible, or that nothing visible is left, matches.
    Element {
        /// What matches: a selector or text.
        locator: Locator,
        /// Whether it is to be gone.
        gone: bool,
    },
    /// The page is at a URL, in which `*` stands for anything.
    Url(String),
    /// The document is there.
    Load(WaitUntil),
    /// An expression is true.
    Predicate(String),
}

impl Condition {
    fn describe(&self) -> String {
        match self {
            Self::Element {
                locator,
                gone: false,
            } => locator.to_string(),
            Self::Element { locator, .. } => format!("{locator} to be gone"),
            Self::Url(url) => format!("the URL {url:?}"),
            Self::Load(WaitUntil::DomContentLoaded) => "the document to be parsed".into(),
            Self::Load(WaitUntil::Load) => "the document to be loaded".into(),
            Self::Load(WaitUntil::NetworkIdle) => "the network to be idle".into(),
            Self::Predicate(_) => "the predicate".into(),
        }
    }
}

impl Tab {
    /// Waits until `condition` holds.
    ///
    /// # Errors
    /// [`page::Error::Unmet`] at the deadline; [`Error::Invalid`] for a selector or expression that is
    /// none; [`Error::NoPage`], [`Error::Page`].
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn wait_for(&self, condition: &Condition, deadline: Deadline) -> Result<(), Error> {
        let met = self.met(condition, deadline).await;
        met.map_err(|error| match error {
            Error::Page(page::Error::Passed) => page::Error::Unmet(condition.describe()).into(),
            error => error,
        })
    }

    async fn met(&self, condition: &Condition, deadline: Deadline) -> Result<(), Error> {
        if let Condition::Load(wait) = condition {
            let there = self.until(deadline, |state| !state.leaving && state.has_reached(*wait));
            return there.await;
        }
        loop {
            let is = match condition {
                Condition::Element { locator, gone } => {
                    self.sees(locator, deadline).await? != *gone
                }
                Condition::Url(pattern) => {
                    let url = self.expression("location.href", deadline).await?;
                    page::matches(pattern, url.as_str().unwrap_or_default())
                }
                Condition::Predicate(predicate) => self.holds(predicate, deadline).await?,
                Condition::Load(_) => true,
            };
            if is {
                return Ok(());
            }
            self.pause(deadline).await?;
        }
    }

    /// Whether something visible matches, in any frame.
    async fn sees(&self, locator: &Locator, deadline: Deadline) -> Result<bool, Error> {
        let call = format!("sees({})", locator.arguments());
        for frame in self.all_frames(deadline).await? {
            let seen = match self.ask(frame, &call, deadline).await {
                Err(Error::NoElement(_)) if frame > 0 => continue,
                seen => seen?,
            };
            check_selector(&seen)?;
            if seen.get("seen") == Some(&Value::Bool(true)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn holds(&self, predicate: &str, deadline: Deadline) -> Result<bool, Error> {
        match self.expression(&format!("({predicate}\n)"), deadline).await {
            Ok(value) => Ok(match value {
                Value::Null => false,
                Value::Bool(is) => is,
                Value::Number(number) => number.as_f64() != Some(0.0),
                Value::String(text) => !text.is_empty(),
                Value::Array(_) | Value::Object(_) => true,
            }),
            Err(Error::Script { message, .. }) if message.starts_with("SyntaxError") => {
                Err(Error::Invalid("predicate", message))
            }
            Err(Error::Script { .. }) => Ok(false),
            // The document goes away: the next one is asked.
            Err(error) if error.is_moved() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The value of an expression in the main frame's own world.
    async fn expression(&self, expression: &str, deadline: Deadline) -> Result<Value, Error> {
        let mut evaluate = EvaluateParams::new(expression);
        evaluate.return_by_value = Some(true);
        evaluate.await_promise = Some(true);
        let evaluated = self.call(evaluate, deadline).await;
        let evaluated = match evaluated {
            Err(error) if error.is_moved() => return Ok(Value::Null),
            evaluated => evaluated?,
        };
        match evaluated.exception_details {
            None => Ok(evaluated.result.value.unwrap_or_default()),
            Some(thrown) => Err(super::script::thrown(thrown)),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::browser::page::matches;

    #[test]
    fn patterns_of_urls() {
        let url = "http://a.example/list?page=2";
        for pattern in [
            "*",
            url,
            "*page=2",
            "http://*",
            "*/list*",
            "http://a.example/*=*",
        ] {
            assert!(matches(pattern, url), "{pattern}");
        }
        for pattern in ["", "http://a.example/", "*page=3", "*/lost*", "list"] {
            assert!(!matches(pattern, url), "{pattern}");
        }
        assert!(!matches("ab*ba", "aba"), "no part counts twice");
    }
}
