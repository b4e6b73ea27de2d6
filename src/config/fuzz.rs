//! What fuzzing asks of this room; see `crate::fuzzing`.

use super::{Config, file, problem::Source, settings::Chosen, show, table};

/// A file: everything wrong with it is told, and what is taken is the same when it was printed and
/// read again.
pub(crate) fn file(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (said, problems) = file::of_text(&text);
    for problem in problems {
        assert!(!problem.why.is_empty());
    }
    for setting in table::settings() {
        let Some((text, _)) = said.get(&setting.key()) else {
            continue;
        };
        if setting.kind.apply(&mut Config::unset(), text).is_err() {
            continue;
        }
        let chosen = Chosen {
            setting,
            text: text.clone(),
            source: Source::Default,
        };
        let (again, problems) = file::of_text(&show::entry(&chosen));
        assert!(problems.is_empty(), "{problems:?}");
        let read = again.get(&setting.key()).map(|(text, _)| text.as_str());
        let kept = match setting.kind.is_number() {
            true => text.trim_start_matches('+'),
            false => text,
        };
        assert_eq!(read, Some(kept));
    }
}
