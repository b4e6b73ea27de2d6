//! Links within the project.

use std::collections::HashMap;

use crate::{page::Page, support::root};

/// The names that the headings of a page have in links.
fn anchors(page: &Page) -> Vec<String> {
    let prose = page.prose();
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|heading| {
            let kept = heading.trim_start_matches('#').trim().chars();
            let kept = kept.filter(|one| one.is_alphanumeric() || " -_".contains(*one));
            kept.collect::<String>().to_lowercase().replace(' ', "-")
        })
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    let pages = Page::all();
    let known: HashMap<_, _> = pages
        .iter()
        .map(|page| (page.name.clone(), anchors(page)))
        .collect();
    let (mut count, mut wrong) = (0, Vec::new());
    for page in &pages {
        let folder = root().join(&page.name).parent().unwrap().to_owned();
        let prose = page.prose();
        for link in prose.split("](").skip(1) {
            let link = link.split(')').next().unwrap();
            if link.starts_with("https://") || link.starts_with("http://") {
                continue;
            }
            count += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => root().join(&page.name),
                path => folder.join(path),
            };
            let Ok(target) = target.canonicalize() else {
                wrong.push(format!("{}: {link}", page.name));
                continue;
            };
            let name = target.strip_prefix(root()).unwrap().to_str().unwrap();
            let anchors = known.get(name);
            let found = anchors.is_some_and(|all| all.iter().any(|one| one == anchor));
            if !anchor.is_empty() && !found {
                wrong.push(format!("{}: {link} (no such heading)", page.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 100, "the links are found");
}

#[test]
fn every_page_can_be_reached_from_the_index() {
    let pages = Page::all();
    let linked = |name: &str| {
        let file = name.rsplit('/').next().unwrap();
        let folder = name.rsplit('/').nth(1).unwrap_or_default();
        let whole = format!("{folder}/{file}");
        // Others link to a page by its own name, or by its folder's.
        pages.iter().any(|page| {
            page.name != name
                && (page.text.contains(&format!("({file})"))
                    || page.text.contains(&format!("({file}#"))
                    || page.text.contains(&format!("{whole})"))
                    || page.text.contains(&format!("{whole}#")))
        })
    };
    let lost: Vec<_> = pages
        .iter()
        .map(|page| page.name.as_str())
        .filter(|name| *name != "README.md" && !name.starts_with("docs/decisions/"))
        .filter(|name| !name.starts_with("docs/examples/") && !linked(name))
        .collect();
    assert!(lost.is_empty(), "{lost:?}");
}
