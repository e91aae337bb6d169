//! The simulator keeps the contract that every driver keeps, whatever the seed.

use executor::{Executor, IdlePolicy, Options};
use memory::Pool;
use sim_driver::{World, WorldOptions};
use std::path::{Path, PathBuf};

#[test]
fn the_contract_of_the_seam() {
    for seed in 0..2 {
        driver_tests::check_all(|| {
            let world = World::new(seed, WorldOptions::default());
            let node = world.add_node();
            let directory = PathBuf::from("/some/where");
            world.make_directory(node, Path::new("some/where"));
            let pool = Pool::new(8 << 20).expect("maps");
            let options = Options { idle: IdlePolicy::Park, seed: Some(seed) };
            (Executor::new(world.driver(node, pool.clone()), options), directory, pool)
        });
    }
}
