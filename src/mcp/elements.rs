//! Which element a model means.

use super::failure::Failure;
use crate::proto::{ElementRef, element_ref::Element};

/// A reference of a snapshot, or `css=…`, or `text=…`.
pub(super) fn element(target: &str) -> Result<Option<ElementRef>, Failure> {
    let target = target.trim();
    let element = if let Some(selector) = target.strip_prefix("css=") {
        Element::Selector(selector.to_owned())
    } else if let Some(text) = target.strip_prefix("text=") {
        Element::Text(text.to_owned())
    } else if is_ref(target) {
        Element::Ref(target.to_owned())
    } else {
        let next = "Use a ref of the last snapshot such as e12, or css=<selector>, or text=<text>.";
        return Err(Failure::new(format!("{target:?} is no ref"), next));
    };
    Ok(Some(ElementRef {
        element: Some(element),
    }))
}

pub(super) fn optional(target: Option<&str>) -> Result<Option<ElementRef>, Failure> {
    target.map_or(Ok(None), element)
}

/// What an element is called in an answer.
pub(super) fn called<'a>(words: Option<&'a String>, target: &'a str) -> &'a str {
    words.map_or(target, String::as_str)
}

fn is_ref(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.strip_prefix('f') {
        Some(rest) => rest
            .split_once('e')
            .is_some_and(|(frame, number)| digits(frame) && digits(number)),
        None => text.strip_prefix('e').is_some_and(digits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_model_may_say() {
        for good in ["e1", "f2e30", " e5 ", "css=#a", "text=Sign in"] {
            assert!(element(good).is_ok(), "{good}");
        }
        for bad in ["", "12", "Sign in", "#a", "e", "f1"] {
            assert!(element(bad).is_err(), "{bad}");
        }
    }
}
