//! A sorted map whose copies share what they have in common.
//!
//! Entries lie in order in runs of at most [`RUN_MAX`]; a copy shares all runs, and a change copies the one run
//! it falls into. With 10,000 entries a copy is about 150 pointers, a look-up two binary searches, a
//! change one run; and the entries come out in order, which hash buckets would not give.

use std::borrow::Borrow;
use std::sync::Arc;

/// The longest run. Longer runs copy more at a change, shorter ones more pointers at a copy.
const RUN_MAX: usize = 128;

/// The map; `clone` is cheap.
#[derive(Clone, Debug)]
pub(crate) struct SortedMap<K, V> {
    /// None of them is empty.
    runs: Vec<Arc<Vec<(K, V)>>>,
    len: usize,
}

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        SortedMap { runs: Vec::new(), len: 0 }
    }
}

impl<K: Ord + Clone, V: Clone> SortedMap<K, V> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The run that has the key, if any has.
    fn run_of<Q: Ord + ?Sized>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        self.runs.partition_point(|run| run[0].0.borrow() <= key).saturating_sub(1)
    }

    pub(crate) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let run = self.runs.get(self.run_of(key))?;
        let place = run.binary_search_by(|(other, _)| other.borrow().cmp(key)).ok()?;
        Some(&run[place].1)
    }

    /// Puts a value in, replacing the key's former one.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        let at = self.run_of(&key);
        let Some(shared) = self.runs.get_mut(at) else {
            self.runs.push(Arc::new(vec![(key, value)]));
            self.len = 1;
            return;
        };
        let run = Arc::make_mut(shared);
        match run.binary_search_by(|(other, _)| other.cmp(&key)) {
            Ok(place) => run[place].1 = value,
            Err(place) => {
                run.insert(place, (key, value));
                self.len += 1;
                if run.len() > RUN_MAX {
                    // Keys often come in order: then the left run stays nearly full.
                    let split = if place + 1 == run.len() { RUN_MAX } else { RUN_MAX / 2 };
                    let right = run.split_off(split);
                    self.runs.insert(at + 1, Arc::new(right));
                }
            }
        }
    }

    /// Takes a key out.
    pub(crate) fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let at = self.run_of(key);
        let place = self.runs.get(at)?.binary_search_by(|(other, _)| other.borrow().cmp(key)).ok()?;
        let run = Arc::make_mut(&mut self.runs[at]);
        let (_, value) = run.remove(place);
        self.len -= 1;
        if run.is_empty() {
            self.runs.remove(at);
        }
        Some(value)
    }

    /// The entries in the order of their keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> + Clone {
        self.runs.iter().flat_map(|run| run.iter().map(|(key, value)| (key, value)))
    }

    /// The entries whose keys are greater than `after`, in order.
    pub(crate) fn iter_after<'a, Q: Ord + ?Sized>(&'a self, after: &Q) -> impl Iterator<Item = (&'a K, &'a V)>
    where
        K: Borrow<Q>,
    {
        let at = self.run_of(after);
        let place = self.runs.get(at).map_or(0, |run| run.partition_point(|(key, _)| key.borrow() <= after));
        let rest = self.runs.get(at..).unwrap_or_default();
        rest.iter().flat_map(|run| run.iter().map(|(key, value)| (key, value))).skip(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Random;
    use std::collections::BTreeMap;

    #[test]
    fn does_what_a_btree_does_and_copies_stay_as_they_were() {
        for seed in 0..20 {
            let mut random = Random::new(seed);
            let (mut map, mut model) = (SortedMap::default(), BTreeMap::new());
            let mut copies = Vec::new();
            for step in 0..4000u32 {
                let key = random.below(600);
                if random.one_in(3) {
                    assert_eq!(map.remove(&key), model.remove(&key));
                } else {
                    map.insert(key, step);
                    model.insert(key, step);
                }
                if step % 500 == 0 {
                    copies.push((map.clone(), model.clone()));
                }
            }
            copies.push((map, model));
            for (map, model) in copies {
                assert!(map.iter().eq(model.iter()));
                assert_eq!(map.len(), model.len());
                for key in 0..600 {
                    assert_eq!(map.get(&key), model.get(&key));
                    assert!(map.iter_after(&key).eq(model.range(key + 1..)), "after {key}");
                }
            }
        }
    }

    #[test]
    fn keys_in_order_fill_their_runs() {
        let mut map = SortedMap::default();
        for key in 0..1280 {
            map.insert(key, ());
        }
        assert_eq!(map.runs.len(), 10);
    }
}
