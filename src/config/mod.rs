//! Configuration: flags over environment over file over defaults, from one table.
//!
//! Each setting is one entry of one table, from which its flag, its key in a file, its environment
//! variable, its help and its documentation follow. [`load`] reports everything that is wrong at
//! once, and [`Settings::print`] tells where each value came from.

mod check;
mod file;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod kind;
mod owners;
mod parts;
mod problem;
mod settings;
mod show;
mod table;
mod values;

#[cfg(test)]
mod tests;

pub use problem::{Problem, Problems, Source};
pub use settings::{Settings, environment, load};
pub use show::{args, print_wanted, reference};
pub use values::Config;
