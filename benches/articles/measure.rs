//! The benchmark's measure: which runs of four words two texts share.

use std::collections::HashMap;

/// How well a text was found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Score {
    pub precision: f64,
    pub recall: f64,
}

impl Score {
    pub fn f1(&self) -> f64 {
        2.0 * self.precision * self.recall / (self.precision + self.recall)
    }
}

/// Compares the text that was found with the true one. Not a number stands for what the benchmark
/// leaves out of its mean: precision of nothing found, recall of nothing to find.
pub fn score(truth: &str, found: &str) -> Score {
    let truth = runs(truth);
    let found = runs(found);
    let shared: usize = truth
        .iter()
        .map(|(run, count)| (*count).min(found.get(run).copied().unwrap_or(0)))
        .sum();
    let (all, seen): (usize, usize) = (truth.values().sum(), found.values().sum());
    // Two empty texts agree.
    let share = |of: usize| match (shared, of) {
        (0, 0) if all == seen => 1.0,
        (_, 0) => f64::NAN,
        #[allow(clippy::cast_precision_loss)]
        (shared, of) => shared as f64 / of as f64,
    };
    Score {
        precision: share(seen),
        recall: share(all),
    }
}

/// The mean over pages; a page without a value is left out of the mean.
pub fn mean(scores: &[&Score]) -> Score {
    #[allow(clippy::cast_precision_loss)]
    let mean = |part: fn(&Score) -> f64| {
        let parts: Vec<f64> = scores
            .iter()
            .map(|score| part(score))
            .filter(|part| !part.is_nan())
            .collect();
        parts.iter().sum::<f64>() / parts.len() as f64
    };
    Score {
        precision: mean(|score| score.precision),
        recall: mean(|score| score.recall),
    }
}

/// The runs of four words of a text, or its words when it has fewer, with how often each comes.
fn runs(text: &str) -> HashMap<Vec<&str>, usize> {
    // The benchmark's words are those of Python's `\w+`.
    let words: Vec<&str> = text
        .split(|char: char| !char.is_alphanumeric() && char != '_')
        .filter(|word| !word.is_empty())
        .collect();
    let mut runs = HashMap::new();
    if words.len() < 4 {
        if !words.is_empty() {
            runs.insert(words, 1);
        }
        return runs;
    }
    for run in words.windows(4) {
        *runs.entry(run.to_vec()).or_insert(0) += 1;
    }
    runs
}
