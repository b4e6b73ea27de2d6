//! Which element is meant, and waiting until it can be acted on.

use std::{fmt, time::Duration};

use serde_json::Value;
use tokio::time::sleep;

use super::{Error, Tab, Why};
use crate::{browser::page, deadline::Deadline};

/// How long a page is left alone before it is looked at again.
const PAUSE: Duration = Duration::from_millis(50);

/// An element by its number in its document, as snapshots show it: `e12`, `f1e3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ref {
    pub(super) frame: usize,
    pub(super) number: u32,
}

/// Which element is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Locator {
    /// One of a snapshot.
    Ref(Ref),
    /// What a CSS selector matches.
    Selector(String),
    /// What shows or is called this.
    Text(String),
}

/// What an element has to be before it is acted on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needs {
    pub(super) visible: bool,
    pub(super) enabled: bool,
    pub(super) editable: bool,
    pub(super) hit: bool,
}

/// A point in the viewport, in CSS pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
}

impl Needs {
    pub(super) const CLICK: Self = Self {
        visible: true,
        enabled: true,
        editable: false,
        hit: true,
    };
    pub(super) const HOVER: Self = Self {
        enabled: false,
        ..Self::CLICK
    };
    pub(super) const FILL: Self = Self {
        editable: true,
        hit: false,
        ..Self::CLICK
    };
    pub(super) const FOCUS: Self = Self {
        hit: false,
        ..Self::CLICK
    };
    pub(super) const SEEN: Self = Self {
        enabled: false,
        ..Self::FOCUS
    };
}

impl Ref {
    /// Reads a reference; `None` when it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (frame, number) = match text.strip_prefix('f') {
            Some(rest) => rest.split_once('e')?,
            None => ("0", text.strip_prefix('e')?),
        };
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let sound = digits(frame) && digits(number);
        Some(Self {
            frame: frame.parse().ok().filter(|_| sound)?,
            number: number.parse().ok()?,
        })
    }

    pub(super) fn is_gone(self) -> Error {
        let why = "is not in the page any more: take a new snapshot";
        Error::NoElement(format!("{self} {why}"))
    }
}

impl fmt::Display for Ref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.frame > 0 {
            write!(f, "f{}", self.frame)?;
        }
        write!(f, "e{}", self.number)
    }
}

impl fmt::Display for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ref(one) => write!(f, "{one}"),
            Self::Selector(selector) => write!(f, "the selector {selector:?}"),
            Self::Text(text) => write!(f, "the text {text:?}"),
        }
    }
}

impl Locator {
    /// As arguments of Berth's functions in a page: by what, and which.
    pub(super) fn arguments(&self) -> String {
        let (by, wanted) = match self {
            Self::Ref(_) => ("ref", ""),
            Self::Selector(selector) => ("selector", selector.as_str()),
            Self::Text(text) => ("text", text.as_str()),
        };
        format!("{:?}, {}", by, Value::from(wanted))
    }
}

/// An answer of a page that the selector is none.
pub(super) fn check_selector(answer: &Value) -> Result<(), Error> {
    match answer.get("bad") {
        Some(_) => Err(Error::Invalid(
            "element.selector",
            "is not a CSS selector".into(),
        )),
        None => Ok(()),
    }
}

impl Tab {
    /// Leaves the page alone for a moment.
    pub(super) async fn pause(&self, deadline: Deadline) -> Result<(), Error> {
        let pause = self.gone().run_until_cancelled(sleep(PAUSE));
        let paused = deadline.bound(pause).await;
        let paused = paused.map_err(|_passed| Error::passed())?;
        paused.ok_or_else(|| Error::NoPage(self.id().to_string()))
    }

    /// The one element that is meant, once there is one.
    pub(super) async fn locate(&self, wanted: &Locator, deadline: Deadline) -> Result<Ref, Error> {
        if let Locator::Ref(one) = wanted {
            return self.still(*one, deadline).await.map(|_what| *one);
        }
        let found = async {
            loop {
                if let Some(found) = self.look_for(wanted, deadline).await? {
                    return Ok(found);
                }
                self.pause(deadline).await?;
            }
        };
        found.await.map_err(|error| match error {
            Error::Page(page::Error::Passed) => {
                Error::NoElement(format!("nothing matches {wanted}"))
            }
            error => error,
        })
    }

    /// What an element of a snapshot is called, when it is there.
    async fn still(&self, one: Ref, deadline: Deadline) -> Result<String, Error> {
        let call = format!("describe({})", one.number);
        let what = self.ask(one.frame, &call, deadline).await?;
        let what = what.as_str().filter(|what| !what.is_empty());
        what.map(str::to_owned).ok_or_else(|| one.is_gone())
    }

    async fn look_for(&self, wanted: &Locator, deadline: Deadline) -> Result<Option<Ref>, Error> {
        let call = format!("locate({})", wanted.arguments());
        let mut frames = vec![0];
        let mut next = 0;
        while let Some(&frame) = frames.get(next) {
            next += 1;
            let found = match self.ask(frame, &call, deadline).await {
                Err(Error::NoElement(_)) if frame > 0 => continue,
                found => found?,
            };
            check_selector(&found)?;
            let some = found.get("some").and_then(Value::as_array);
            let some: Vec<_> = some
                .into_iter()
                .flatten()
                .filter_map(|one| {
                    let number = u32::try_from(one.get("number")?.as_u64()?).ok()?;
                    Some((Ref { frame, number }, one.get("what")?.as_str()?))
                })
                .collect();
            match (found.get("count").and_then(Value::as_u64), some.first()) {
                (Some(1), Some((one, _))) => return Ok(Some(*one)),
                (Some(count), Some(_)) => {
                    let some = some.iter().map(|(one, what)| format!("{what} [ref={one}]"));
                    return Err(Error::Ambiguous {
                        wanted: wanted.to_string(),
                        count,
                        some: some.collect::<Vec<_>>().join(", "),
                    });
                }
                _ => {}
            }
            // Most pages need no look into their frames.
            if frame == 0 {
                frames = self.all_frames(deadline).await?;
            }
        }
        Ok(None)
    }

    /// Waits until an element is as it has to be; where it is then, in the page's viewport.
    pub(super) async fn ready(
        &self,
        at: Ref,
        needs: Needs,
        deadline: Deadline,
    ) -> Result<Point, Error> {
        let Needs {
            visible,
            enabled,
            editable,
            hit,
        } = needs;
        let call = format!(
            "ready({}, {{ visible: {visible}, enabled: {enabled}, editable: {editable}, hit: {hit} }})",
            at.number
        );
        let mut stands = None;
        loop {
            let seen = self.ready_once(at, &call, needs, deadline).await;
            match seen {
                Ok(Ok(point)) => return Ok(point),
                Ok(Err((Why::Detached, _))) => return Err(at.is_gone()),
                Ok(Err(why)) if why.0.may_pass() => stands = Some(why),
                Ok(Err((why, what))) => return Err(Error::NotActionable { why, what }),
                Err(Error::Page(page::Error::Passed)) => return Err(self.stood(at, stands)),
                Err(error) => return Err(error),
            }
            if self
                .pause(deadline)
                .await
                .is_err_and(|error| matches!(error, Error::Page(page::Error::Passed)))
            {
                return Err(self.stood(at, stands));
            }
        }
    }

    fn stood(&self, at: Ref, stands: Option<(Why, String)>) -> Error {
        match stands {
            Some((why, what)) => Error::NotActionable {
                why,
                what: format!("{at} {what}"),
            },
            None => Error::passed(),
        }
    }

    async fn ready_once(
        &self,
        at: Ref,
        call: &str,
        needs: Needs,
        deadline: Deadline,
    ) -> Result<Result<Point, (Why, String)>, Error> {
        let seen = self.ask(at.frame, call, deadline).await?;
        let mut point = match point(&seen) {
            Ok(point) => point,
            Err(why) => return Ok(Err(why)),
        };
        let mut frame = at.frame;
        while let Some((around, owner)) = needs
            .visible
            .then(|| self.frames.lock().around(frame))
            .flatten()
        {
            let call = format!("through({owner}, {}, {})", point.x, point.y);
            let seen = self.ask(around, &call, deadline).await?;
            point = match self::point(&seen) {
                Ok(point) => point,
                Err(why) => return Ok(Err(why)),
            };
            frame = around;
        }
        Ok(Ok(point))
    }
}

/// Where the page says that something is, or why it is nowhere.
fn point(seen: &Value) -> Result<Point, (Why, String)> {
    if let Some(stands) = stands(seen) {
        return Err(stands);
    }
    let number = |name| seen.get(name).and_then(Value::as_f64).unwrap_or_default();
    Ok(Point {
        x: number("x"),
        y: number("y"),
    })
}

/// What stands in the way, when the page says that something does.
pub(super) fn stands(seen: &Value) -> Option<(Why, String)> {
    let why = Why::parse(seen.get("why")?.as_str()?)?;
    let text = |name| seen.get(name).and_then(Value::as_str);
    let what = match why {
        Why::Detached => "is not in the page any more".into(),
        Why::Hidden => "is not visible".into(),
        Why::Moving => "does not stop moving".into(),
        Why::Disabled => "is disabled".into(),
        Why::ReadOnly => "is read-only".into(),
        Why::Covered => format!("is covered by {}", text("by").unwrap_or("something")),
        Why::OutOfView => "cannot be brought into view".into(),
        Why::WrongKind => text("what").unwrap_or("is of the wrong kind").into(),
    };
    Some((why, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_they_are_shown() {
        for text in ["e1", "e12", "f1e3", "f10e4294967295"] {
            assert_eq!(Ref::parse(text).unwrap().to_string(), text);
        }
        for wrong in [
            "",
            "e",
            "1",
            "f1",
            "fe1",
            "e-1",
            "e+1",
            "e1x",
            "f1e",
            "E1",
            "e4294967296",
        ] {
            assert_eq!(Ref::parse(wrong), None, "{wrong}");
        }
    }
}
