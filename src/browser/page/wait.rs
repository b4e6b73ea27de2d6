//! Waiting until a page is as its visitor wants it.

use std::time::Duration;

use chromiumoxide::cdp::js_protocol::runtime::EvaluateParams;
use serde_json::Value;
use tokio::time::Instant;

use super::{Error, LINGER, Page, WaitUntil};
use crate::deadline::Deadline;

/// How often a page is asked.
const EVERY: Duration = Duration::from_millis(100);

/// What a page must be, besides being there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conditions<'a> {
    /// An element matches this CSS selector.
    pub selector: Option<&'a str>,
    /// The value of this JavaScript expression is true, or a promise of such.
    pub predicate: Option<&'a str>,
}

/// What the page answered to the question whether it is so.
enum Answer {
    Yes,
    No,
    Threw(String),
}

impl Page {
    /// Whether the browser takes `selector` for a CSS selector. Ask a page that is blank.
    ///
    /// # Errors
    /// [`Error::Passed`], [`Error::Lost`], [`Error::Cdp`].
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn is_selector(&mut self, selector: &str, deadline: Deadline) -> Result<bool, Error> {
        let selector = Value::from(selector);
        let ask = format!("void document.createDocumentFragment().querySelector({selector})");
        self.runs(ask, deadline).await
    }

    /// Whether the browser takes `text` for a JavaScript expression. Ask a page that is blank.
    ///
    /// # Errors
    /// [`Error::Passed`], [`Error::Lost`], [`Error::Cdp`].
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn is_expression(&mut self, text: &str, deadline: Deadline) -> Result<bool, Error> {
        let body = Value::from(format!("return (\n{text}\n)"));
        self.runs(format!("void new Function({body})"), deadline)
            .await
    }

    async fn runs(&mut self, expression: String, deadline: Deadline) -> Result<bool, Error> {
        let ran = self.run(EvaluateParams::new(expression), deadline).await?;
        Ok(ran.exception_details.is_none())
    }

    /// Waits until all of `conditions` hold, asking every 100 ms. A page that goes elsewhere
    /// meanwhile is asked where it went.
    ///
    /// # Errors
    /// At the deadline [`Error::Unmet`], or [`Error::Condition`] when the predicate threw last;
    /// [`Error::Lost`], [`Error::Cdp`].
    ///
    /// # Cancel safety
    /// Yes; the predicate may have been evaluated.
    pub async fn meet(
        &mut self,
        conditions: Conditions<'_>,
        deadline: Deadline,
    ) -> Result<(), Error> {
        if let Some(selector) = conditions.selector {
            let selector = Value::from(selector);
            let ask = format!("document.querySelector({selector})!==null");
            self.hold(&ask, "wait_selector", deadline).await?;
        }
        if let Some(predicate) = conditions.predicate {
            let ask = format!("(async()=>!!(await (\n{predicate}\n)))()");
            self.hold(&ask, "wait_predicate", deadline).await?;
        }
        Ok(())
    }

    async fn hold(
        &mut self,
        question: &str,
        name: &'static str,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let mut threw = None;
        loop {
            let answered = match self.settle(deadline).await {
                Ok(()) => self.ask(question, deadline).await,
                Err(error) => Err(error),
            };
            match answered {
                Ok(Answer::Yes) if self.navigation.is_settled() => return Ok(()),
                Ok(Answer::Threw(what)) => threw = Some(what),
                Ok(Answer::Yes | Answer::No) => threw = None,
                Err(Error::Passed | Error::Unmet(_)) => break,
                Err(error) if error.is_moved() => {}
                Err(error) => return Err(error),
            }
            match self.listen(deadline.within(EVERY), deadline).await {
                Err(Error::Passed) if deadline.has_passed() => break,
                Ok(()) | Err(Error::Passed) => {}
                Err(error) => return Err(error),
            }
        }
        Err(match threw {
            Some(what) => Error::Condition(format!("{name} throws: {what}")),
            None => Error::Unmet(format!("{name} to hold")),
        })
    }

    async fn ask(&mut self, question: &str, deadline: Deadline) -> Result<Answer, Error> {
        let mut evaluate = EvaluateParams::new(question);
        evaluate.return_by_value = Some(true);
        evaluate.await_promise = Some(true);
        let evaluated = self.run(evaluate, deadline).await?;
        if let Some(thrown) = evaluated.exception_details {
            const LONGEST: usize = 200;
            let what = thrown.exception.and_then(|thrown| thrown.description);
            let what = what.unwrap_or(thrown.text);
            let line = what.lines().next().unwrap_or_default();
            return Ok(Answer::Threw(line.chars().take(LONGEST).collect()));
        }
        let yes = evaluated.result.value == Some(Value::Bool(true));
        Ok(if yes { Answer::Yes } else { Answer::No })
    }

    /// Waits until the page is there and stays there.
    pub(super) async fn settle(&mut self, deadline: Deadline) -> Result<(), Error> {
        loop {
            while !self.navigation.is_settled() {
                // Events that never end would keep the bound below from being looked at.
                if deadline.has_passed() {
                    return Err(Error::Passed);
                }
                let patience = if self.navigation.lingers() {
                    deadline.within(LINGER)
                } else {
                    deadline
                };
                match patience.bound(self.room.event()).await {
                    Ok(event) => self.hear(&event?, deadline).await?,
                    Err(_passed) if self.navigation.lingers() => self.navigation.stays(),
                    Err(_passed) => return Err(Error::Passed),
                }
            }
            if self.navigation.wait() != WaitUntil::NetworkIdle {
                return Ok(());
            }
            let there = *self.there.get_or_insert_with(Instant::now);
            let idle = self.traffic.idle_at(there);
            if idle.is_some_and(|at| at <= Instant::now()) {
                return Ok(());
            }
            let under_way = self.traffic.under_way();
            let bound = idle.map_or(deadline, |at| Deadline::at(at.min(deadline.instant())));
            if deadline.has_passed() {
                let what = format!("the network to be idle, {under_way} requests are under way");
                return Err(Error::Unmet(what));
            }
            if let Ok(event) = bound.bound(self.room.event()).await {
                self.hear(&event?, deadline).await?;
                if !self.navigation.is_settled() {
                    self.there = None;
                }
            }
        }
    }

    /// Hears what the page says until `until`.
    pub(super) async fn listen(
        &mut self,
        until: Deadline,
        deadline: Deadline,
    ) -> Result<(), Error> {
        while !until.has_passed() {
            match until.bound(self.room.event()).await {
                Ok(event) => self.hear(&event?, deadline).await?,
                Err(_passed) => break,
            }
        }
        Ok(())
    }
}
