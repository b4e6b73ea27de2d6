//! Dialogs of a page: who answers them, and how.

use chromiumoxide::cdp::browser_protocol::page::HandleJavaScriptDialogParams;

/// How dialogs are answered that open during a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// OK rather than Cancel.
    pub accept: bool,
    /// What a prompt is told.
    pub text: String,
}

/// A dialog that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) kind: String,
    pub(super) message: String,
}

impl Answer {
    /// The answer to `dialog`, and whether it is OK. A page that asks whether it may be left is left:
    /// whoever acts has decided already.
    pub(super) fn to(&self, dialog: &Open) -> (HandleJavaScriptDialogParams, bool) {
        let accept = self.accept || dialog.kind == "beforeunload";
        let mut answer = HandleJavaScriptDialogParams::new(accept);
        if accept && dialog.kind == "prompt" {
            answer.prompt_text = Some(self.text.clone());
        }
        (answer, accept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_left_whatever_it_asks() {
        let open = |kind: &str| Open {
            kind: kind.into(),
            message: String::new(),
        };
        let no = Answer::default();
        assert!(no.to(&open("beforeunload")).1);
        assert!(!no.to(&open("confirm")).1);
        let yes = Answer {
            accept: true,
            text: "x".into(),
        };
        let (answer, _) = yes.to(&open("prompt"));
        assert_eq!(answer.prompt_text.as_deref(), Some("x"));
        assert_eq!(yes.to(&open("alert")).0.prompt_text, None);
    }
}
