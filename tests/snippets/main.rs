//! Every command and program in README.md and docs is run as it stands, against a broker and a page that are
//! there; every configuration and diagram is parsed; every link leads somewhere.
//!
//! A page is run from top to bottom in a directory of its own, where the project's folders are. A program whose first line
//! is a comment with a file's name is written to that file, for the commands that follow. What is not run says so in
//! a comment in front of it: `<!-- snippet: REASON -->`; what is only parsed: `<!-- snippet: syntax; REASON -->`.

mod commands;
mod links;
mod page;
mod run;
#[path = "../support/mod.rs"]
mod support;

use page::{How, Page};
use run::Session;
use tokio::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn every_snippet_runs() {
    let (mut ran, mut wrong) = (Vec::new(), Vec::new());
    for page in Page::all() {
        if page.snippets.is_empty() {
            continue;
        }
        let mut session = Session::start(&page).await;
        for snippet in &page.snippets {
            let begun = Instant::now();
            let outcome = session.run(snippet).await;
            let said = match &outcome {
                Ok(how) => how.to_string(),
                Err(_) => "FAILED".into(),
            };
            let (name, at, language) = (&page.name, snippet.line, &snippet.language);
            let took = begun.elapsed().as_secs_f32();
            let line = format!("{name}:{at} {language}: {said} ({took:.1} s)");
            println!("{line}");
            match outcome {
                Ok(how) => ran.push(how),
                Err(why) => wrong.push(format!("{line}\n{}\n{why}", snippet.text)),
            }
        }
        if let Err(why) = session.end().await {
            wrong.push(format!("{}: {why}", page.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    let count = |wanted: fn(&How) -> bool| ran.iter().filter(|how| wanted(how)).count();
    let (run, parsed) = (
        count(|how| matches!(how, How::Ran)),
        count(|how| matches!(how, How::Parsed)),
    );
    println!("{run} run, {parsed} parsed, of {}", ran.len());
    assert!(run >= 20 && parsed >= 15, "the snippets are found");
}
