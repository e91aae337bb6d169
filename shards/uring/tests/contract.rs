//! The ring keeps the contract that every driver keeps, whatever optional features it has.

use executor::{Executor, IdlePolicy, Options};
use memory::Pool;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use uring::{Features, UringDriver, UringOptions};

/// An empty directory, removed with all that is in it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("flumen-uring-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("makes a directory");
        Scratch(path)
    }

    fn inner(&self, number: u32) -> PathBuf {
        let path = self.0.join(number.to_string());
        std::fs::create_dir(&path).expect("makes a directory");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn bed(features: &Features, directory: &Path) -> (Executor, PathBuf, Pool) {
    let pool = Pool::new(8 << 20).expect("maps");
    let options = UringOptions { features: features.clone(), data: Some(directory.to_path_buf()) };
    let driver = UringDriver::new(&options, pool.clone()).expect("a ring");
    let executor = Executor::new(Box::new(driver), Options { idle: IdlePolicy::Park, seed: None });
    (executor, directory.to_path_buf(), pool)
}

/// One check at a time: what a closed descriptor answers can be seen only while no other thread opens any.
static ALONE: Mutex<()> = Mutex::new(());

fn check(features: &Features) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let scratch = Scratch::new();
    let count = AtomicU32::new(0);
    driver_tests::check_all(|| bed(features, &scratch.inner(count.fetch_add(1, Ordering::Relaxed))));
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// Every feature, also those that are off by default, but these.
fn without(names: &[&str]) -> Features {
    Features::new(&owned(Features::OFF_BY_DEFAULT), &owned(names)).expect("known names")
}

#[test]
fn by_default() {
    check(&Features::default());
}

#[test]
fn with_all_features() {
    check(&without(&[]));
}

#[test]
fn without_any_feature() {
    check(&without(Features::NAMES));
}

#[test]
fn without_each_feature() {
    for name in Features::NAMES {
        println!("without {name}");
        check(&without(&[name]));
    }
}

#[test]
fn each_feature_alone() {
    for only in Features::NAMES {
        println!("{only} alone");
        let others: Vec<&str> = Features::NAMES.iter().copied().filter(|name| name != only).collect();
        check(&without(&others));
    }
}
