//! Pages of the documentation, and the snippets in them.

use std::{fmt, fs, path::Path};

use crate::support::root;

pub struct Page {
    /// Its path in the project.
    pub name: String,
    pub text: String,
    pub snippets: Vec<Snippet>,
}

pub struct Snippet {
    pub line: usize,
    /// `text` where none is named.
    pub language: String,
    pub text: String,
    /// What the comment in front of it says.
    pub remark: Option<String>,
}

/// What was done with a snippet.
pub enum How {
    Ran,
    Parsed,
    /// Output of a program, or a formula.
    Shown,
    NotRun(String),
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ran => f.write_str("run"),
            Self::Parsed => f.write_str("parsed"),
            Self::Shown => f.write_str("shown"),
            Self::NotRun(why) => write!(f, "not run: {why}"),
        }
    }
}

impl Page {
    /// All of them.
    pub fn all() -> Vec<Self> {
        let mut files = Vec::new();
        let mut folders = vec![root().join("docs"), root().join("deploy")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                let path = entry.path();
                // A link leads out of the documentation.
                let link = entry.file_type().unwrap().is_symlink();
                if path.is_dir() && !link && !path.ends_with("node_modules") {
                    folders.push(path);
                } else if path.extension().is_some_and(|kind| kind == "md") {
                    files.push(path);
                }
            }
        }
        files
            .extend(["README.md", "CHANGELOG.md", "CONTRIBUTING.md"].map(|name| root().join(name)));
        files.sort();
        assert!(files.len() > 40, "the pages are found");
        files.iter().map(|path| Self::read(path)).collect()
    }

    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap();
        Self {
            name: name.to_owned(),
            snippets: snippets(&text),
            text,
        }
    }

    /// The text without what is in fences.
    pub fn prose(&self) -> String {
        let mut fenced = false;
        let mut prose = String::new();
        for line in self.text.lines() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            } else if !fenced {
                prose += line;
                prose.push('\n');
            }
        }
        prose
    }
}

fn snippets(text: &str) -> Vec<Snippet> {
    let mut found: Vec<Snippet> = Vec::new();
    let mut open: Option<Snippet> = None;
    let mut before = "";
    for (nr, line) in (1..).zip(text.lines()) {
        match &mut open {
            Some(snippet) if line == "```" => {
                assert!(!snippet.text.is_empty(), "an empty snippet at {nr}");
                found.extend(open.take());
            }
            Some(snippet) => {
                snippet.text += line;
                snippet.text.push('\n');
            }
            None => {
                if let Some(language) = line.strip_prefix("```") {
                    let remark = before.strip_prefix("<!-- snippet: ");
                    let remark = remark.and_then(|rest| rest.strip_suffix(" -->"));
                    open = Some(Snippet {
                        line: nr,
                        language: match language {
                            "" => "text".into(),
                            language => language.to_owned(),
                        },
                        text: String::new(),
                        remark: remark.map(str::to_owned),
                    });
                }
                before = line;
            }
        }
    }
    assert!(open.is_none(), "a fence is not closed");
    found
}
