//! Order and cycles of a graph given as each node's upstream nodes.

/// The nodes of a cycle in order; the last one leads back to the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle(pub Vec<usize>);

/// An order in which upstream nodes come first; among free nodes the smallest comes first.
pub fn topological(upstream: &[Vec<usize>]) -> Result<Vec<usize>, Cycle> {
    let mut waiting: Vec<usize> = upstream.iter().map(Vec::len).collect();
    let mut downstream = vec![vec![]; upstream.len()];
    for (child, parents) in upstream.iter().enumerate() {
        for parent in parents {
            downstream[*parent].push(child);
        }
    }
    let mut free: std::collections::BTreeSet<usize> =
        (0..upstream.len()).filter(|it| waiting[*it] == 0).collect();
    let mut order = Vec::with_capacity(upstream.len());
    while let Some(it) = free.pop_first() {
        order.push(it);
        for child in &downstream[it] {
            waiting[*child] -= 1;
            if waiting[*child] == 0 {
                free.insert(*child);
            }
        }
    }
    if order.len() == upstream.len() {
        Ok(order)
    } else {
        Err(find_cycle(upstream, &waiting))
    }
}

/// Walks upstream among the nodes that never became free until one comes twice.
fn find_cycle(upstream: &[Vec<usize>], waiting: &[usize]) -> Cycle {
    let mut path: Vec<usize> = vec![];
    let mut at = waiting.iter().position(|it| *it > 0).unwrap_or_default();
    loop {
        if let Some(start) = path.iter().position(|it| *it == at) {
            let mut cycle = path.split_off(start);
            cycle.reverse();
            return Cycle(cycle);
        }
        path.push(at);
        match upstream[at].iter().find(|it| waiting[**it] > 0) {
            Some(parent) => at = *parent,
            None => return Cycle(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstream_comes_first_and_file_order_is_kept() {
        assert_eq!(topological(&[vec![2], vec![], vec![]]), Ok(vec![1, 2, 0]));
        assert_eq!(topological(&[vec![], vec![], vec![]]), Ok(vec![0, 1, 2]));
    }

    #[test]
    fn a_cycle_is_named_in_order() {
        assert_eq!(
            topological(&[vec![], vec![3], vec![1], vec![2]]),
            Err(Cycle(vec![2, 3, 1]))
        );
        assert_eq!(topological(&[vec![0]]), Err(Cycle(vec![0])));
        // A node before the cycle is no part of it.
        assert_eq!(
            topological(&[vec![], vec![0, 2], vec![1]]),
            Err(Cycle(vec![2, 1]))
        );
    }
}
