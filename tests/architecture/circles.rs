//! Files inside a folder form no circle.

use std::collections::BTreeSet;

use super::source::Sources;

#[test]
fn files_inside_a_folder_form_no_circle() {
    let sources = Sources::read();
    let circles = circles(&sources);
    assert!(
        circles.is_empty(),
        "these files use each other in a circle:\n{}",
        circles.join("\n")
    );
}

/// Files that reach themselves through others of their folder, a text for each circle.
fn circles(sources: &Sources) -> Vec<String> {
    let graph: Vec<Vec<usize>> = (0..sources.files.len())
        .map(|index| {
            let top = sources.files[index].top();
            let mut uses = sources.uses(index);
            uses.retain(|used| sources.files[*used].top() == top);
            uses
        })
        .collect();
    let circle_of = |start: usize| -> Vec<usize> {
        let mut reached = reachable(&graph, start);
        reached.retain(|other| reachable(&graph, *other).contains(&start));
        reached
    };
    let circles: BTreeSet<Vec<usize>> = (0..graph.len())
        .map(circle_of)
        .filter(|circle| circle.len() > 1)
        .collect();
    let path = |index: usize| sources.files[index].path.display();
    let edges = |circle: &Vec<usize>| {
        let edges = circle.iter().flat_map(|from| {
            let inside = graph[*from].iter().filter(|to| circle.contains(to));
            inside.map(move |to| format!("{} -> {}", path(*from), path(*to)))
        });
        edges.collect::<Vec<_>>().join("\n  ")
    };
    circles.iter().map(edges).collect()
}

fn reachable(graph: &[Vec<usize>], start: usize) -> Vec<usize> {
    let mut found = Vec::new();
    let mut open = graph[start].clone();
    while let Some(next) = open.pop() {
        if !found.contains(&next) {
            found.push(next);
            open.extend(&graph[next]);
        }
    }
    found.sort_unstable();
    found
}
