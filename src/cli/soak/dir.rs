//! The directory of a run: what makes it survive its own interruption.
//!
//! `run.json` is the record, replaced as a whole; `samples.csv` and `errors.jsonl` only grow, a line
//! at a time.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{
    record::Record,
    sample::{Sample, read},
};
use crate::cli::exit::Failure;

/// A directory with a run in it.
#[derive(Clone, Debug)]
pub(super) struct Dir(PathBuf);

const RECORD: &str = "run.json";
const SAMPLES: &str = "samples.csv";
const ERRORS: &str = "errors.jsonl";
const LOG: &str = "broker.log";
const REPORT: &str = "report.html";

impl Dir {
    pub(super) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn report(&self) -> PathBuf {
        self.0.join(REPORT)
    }

    pub(super) fn log(&self) -> PathBuf {
        self.0.join(LOG)
    }

    /// The record that lies there; `None` when none does.
    pub(super) fn record(&self) -> Result<Option<Record>, Failure> {
        let path = self.0.join(RECORD);
        let Some(text) = text(&path)? else {
            return Ok(None);
        };
        let record = serde_json::from_str(&text);
        record.map(Some).map_err(|error| at(&path)(error))
    }

    /// The samples that lie there; none when there is no such file.
    pub(super) fn samples(&self) -> Result<Vec<Sample>, Failure> {
        let path = self.0.join(SAMPLES);
        let Some(text) = text(&path)? else {
            return Ok(Vec::new());
        };
        read(&text).map_err(|error| at(&path)(error))
    }

    /// What was not as it must be: every line that was written, the last ones when there are many.
    pub(super) fn errors(&self) -> Result<Vec<Mishap>, Failure> {
        let text = text(&self.0.join(ERRORS))?.unwrap_or_default();
        // A line cut by a kill is left out.
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        Ok(lines.collect())
    }

    /// Makes it, and removes what an earlier run left of ours.
    pub(super) fn begin(&self) -> Result<(), Failure> {
        fs::create_dir_all(&self.0).map_err(|error| at(&self.0)(error))?;
        for name in [RECORD, SAMPLES, ERRORS, LOG, REPORT] {
            let path = self.0.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(at(&path)(error)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Replaces the record: whoever reads it, even after a kill, reads one that is whole.
    pub(super) fn keep(&self, record: &Record) -> Result<(), Failure> {
        let path = self.0.join(RECORD);
        let text = serde_json::to_string_pretty(record).map_err(Failure::other)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.0)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&path)
            .map_err(|error| at(&path)(error.error))?;
        Ok(())
    }

    /// Opens the samples to add to them.
    pub(super) fn append_samples(&self) -> Result<Table, Failure> {
        let path = self.0.join(SAMPLES);
        let mut file = append(&path)?;
        let whole = fs::read(&path)?;
        let end = whole
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        // What a kill has cut would make one line of two.
        file.set_len(end as u64)?;
        if end == 0 {
            file.write_all(Sample::header().as_bytes())?;
        }
        Ok(Table(file))
    }

    /// Opens the list of what was not as it must be to add to it.
    pub(super) fn append_errors(&self) -> Result<File, Failure> {
        append(&self.0.join(ERRORS))
    }
}

/// The file of samples.
#[derive(Debug)]
pub(super) struct Table(File);

impl Table {
    /// Adds a line, out of this process's hands before it returns.
    pub(super) fn add(&mut self, sample: &Sample) -> io::Result<()> {
        self.0.write_all(sample.line().as_bytes())?;
        self.0.sync_data()
    }
}

/// A step that was not as it must be.
#[derive(Clone, Debug, Serialize, serde::Deserialize)]
pub(super) struct Mishap {
    /// In milliseconds since the Unix epoch.
    pub(super) unix_ms: u64,
    /// The name of the work or fault.
    pub(super) step: String,
    /// Why.
    pub(super) why: String,
}

/// The content of a file; `None` when there is none.
fn text(path: &Path) -> Result<Option<String>, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path)(error)),
    }
}

fn append(path: &Path) -> Result<File, Failure> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.map_err(|error| at(path)(error))
}

fn at<E: std::fmt::Display>(path: &Path) -> impl FnOnce(E) -> Failure {
    move |error| Failure::other(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(elapsed: f64) -> Sample {
        Sample {
            part: 1,
            elapsed,
            ..Sample::default()
        }
    }

    #[test]
    fn samples_survive_a_kill_in_the_middle_of_a_line() {
        let ground = tempfile::tempdir().unwrap();
        let dir = Dir::new(ground.path());
        assert_eq!(dir.samples().unwrap(), []);
        dir.append_samples().unwrap().add(&sample(5.0)).unwrap();
        let path = ground.path().join(SAMPLES);
        let half = &sample(10.0).line()[..9];
        append(&path).unwrap().write_all(half.as_bytes()).unwrap();
        dir.append_samples().unwrap().add(&sample(15.0)).unwrap();
        assert_eq!(dir.samples().unwrap(), [sample(5.0), sample(15.0)]);
    }

    #[test]
    fn a_new_run_begins_with_an_empty_directory() {
        let ground = tempfile::tempdir().unwrap();
        let dir = Dir::new(&ground.path().join("new/one"));
        assert!(dir.record().unwrap().is_none());
        dir.begin().unwrap();
        dir.append_samples().unwrap().add(&sample(5.0)).unwrap();
        let other = dir.path().join("notes.txt");
        fs::write(&other, "mine").unwrap();
        dir.begin().unwrap();
        assert_eq!(dir.samples().unwrap(), []);
        assert!(other.exists(), "what is not ours stays");
    }

    #[test]
    fn the_record_is_kept_whole() {
        let ground = tempfile::tempdir().unwrap();
        let dir = Dir::new(ground.path());
        let mut record = Record {
            seed: 7,
            planned_s: 60.0,
            sample_s: 5.0,
            concurrency: 4,
            endpoint: None,
            finished: false,
            parts: Vec::new(),
        };
        dir.keep(&record).unwrap();
        record.finished = true;
        dir.keep(&record).unwrap();
        let kept = dir.record().unwrap().unwrap();
        assert_eq!((kept.seed, kept.finished), (7, true));
        fs::write(ground.path().join(RECORD), "{").unwrap();
        assert!(dir.record().is_err());
    }
}
