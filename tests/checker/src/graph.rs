//! Strongly connected parts of a directed graph (Tarjan), and a short cycle in one of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Edges by the node that they leave.
pub(crate) type Edges = BTreeMap<usize, BTreeSet<usize>>;

struct Search<'g> {
    edges: &'g Edges,
    next: usize,
    /// Of each node: when it was found, and the earliest node on the stack that can be reached from it.
    seen: BTreeMap<usize, (usize, usize)>,
    stack: Vec<usize>,
    on_stack: BTreeSet<usize>,
    parts: Vec<BTreeSet<usize>>,
}

/// The parts with more than one node; an edge from a node to itself is not looked at.
pub(crate) fn components(edges: &Edges) -> Vec<BTreeSet<usize>> {
    let mut search = Search {
        edges,
        next: 0,
        seen: BTreeMap::new(),
        stack: Vec::new(),
        on_stack: BTreeSet::new(),
        parts: Vec::new(),
    };
    for node in edges.keys() {
        if !search.seen.contains_key(node) {
            search.explore(*node);
        }
    }
    search.parts
}

impl Search<'_> {
    fn enter(&mut self, node: usize) -> (usize, Vec<usize>) {
        self.seen.insert(node, (self.next, self.next));
        self.next += 1;
        self.stack.push(node);
        self.on_stack.insert(node);
        let targets = self.edges.get(&node).into_iter().flatten().copied().collect();
        (node, targets)
    }

    /// Goes through all that can be reached, with a stack of its own: chains are as long as histories.
    fn explore(&mut self, root: usize) {
        let mut path = vec![self.enter(root)];
        while let Some((node, targets)) = path.last_mut() {
            let node = *node;
            match targets.pop() {
                Some(target) if !self.seen.contains_key(&target) => {
                    let entered = self.enter(target);
                    path.push(entered);
                }
                Some(target) if self.on_stack.contains(&target) => {
                    let (found, _) = self.seen[&target];
                    self.reaches(node, found);
                }
                Some(_) => {}
                None => {
                    path.pop();
                    let (found, low) = self.seen[&node];
                    if let Some((parent, _)) = path.last() {
                        self.reaches(*parent, low);
                    }
                    if found == low {
                        self.close(node);
                    }
                }
            }
        }
    }

    fn reaches(&mut self, node: usize, low: usize) {
        if let Some((_, own)) = self.seen.get_mut(&node) {
            *own = low.min(*own);
        }
    }

    /// A part is complete: it is what lies on the stack from its first node on.
    fn close(&mut self, first: usize) {
        let mut part = BTreeSet::new();
        while let Some(node) = self.stack.pop() {
            self.on_stack.remove(&node);
            part.insert(node);
            if node == first {
                break;
            }
        }
        if part.len() > 1 {
            self.parts.push(part);
        }
    }
}

/// A shortest way from one node to another within a part, both ends included.
pub(crate) fn way(edges: &Edges, part: &BTreeSet<usize>, from: usize, to: usize) -> Option<Vec<usize>> {
    let mut came_from: BTreeMap<usize, usize> = BTreeMap::new();
    let mut queue = VecDeque::from([from]);
    while let Some(node) = queue.pop_front() {
        if node == to {
            let mut way = vec![to];
            while let Some(before) = way.last().and_then(|node| came_from.get(node)) {
                way.push(*before);
            }
            way.reverse();
            return Some(way);
        }
        for target in edges.get(&node).into_iter().flatten() {
            if *target != from && part.contains(target) && !came_from.contains_key(target) {
                came_from.insert(*target, node);
                queue.push_back(*target);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(pairs: &[(usize, usize)]) -> Edges {
        let mut edges = Edges::new();
        for (from, to) in pairs {
            edges.entry(*from).or_default().insert(*to);
        }
        edges
    }

    #[test]
    fn parts_are_found_and_chains_are_none() {
        let graph = edges(&[(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (4, 3), (4, 5), (7, 7)]);
        let parts = components(&graph);
        assert_eq!(parts, [BTreeSet::from([3, 4]), BTreeSet::from([0, 1, 2])]);
        let chain: Vec<(usize, usize)> = (0..100_000).map(|node| (node, node + 1)).collect();
        assert!(components(&edges(&chain)).is_empty());
    }

    #[test]
    fn the_shortest_way_is_taken() {
        let graph = edges(&[(0, 1), (1, 2), (2, 3), (0, 3), (3, 0)]);
        let all = BTreeSet::from([0, 1, 2, 3]);
        assert_eq!(way(&graph, &all, 1, 0), Some(vec![1, 2, 3, 0]));
        assert_eq!(way(&graph, &all, 0, 3), Some(vec![0, 3]));
        assert_eq!(way(&graph, &BTreeSet::from([1, 2]), 1, 0), None);
    }
}
