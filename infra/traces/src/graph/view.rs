//! Traces of a graph, each as a line or with all that it consists of.

use std::collections::BTreeSet;

use super::item::Item;
use super::{Graph, Node};
use crate::trace::{Details, Filter, Outcome, Span, Summary, Trace};

/// A node's place in a trace.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    /// The node.
    pub(super) node: usize,
    /// Which part it is below, by its place among the parts.
    pub(super) above: Option<usize>,
}

impl Graph<'_> {
    pub(crate) fn summaries(&self, filter: &Filter) -> Vec<Summary> {
        let text = filter.text.as_deref().map(str::to_lowercase);
        let mut summaries: Vec<Summary> = self
            .roots()
            .filter_map(|root| {
                let parts = self.parts(root);
                let summary = self.summary(&parts);
                let passes = filter.passes(&summary)
                    && text.as_ref().is_none_or(|text| self.hold(&parts, text));
                passes.then_some(summary)
            })
            .collect();
        summaries.sort_by(|one, other| other.started_ms.total_cmp(&one.started_ms));
        summaries
    }

    pub(crate) fn trace(&self, id: &str) -> Option<Trace> {
        let is_wanted = |node: &Node<'_>| {
            let request = match node.item {
                Item::Invocation(start, _) => Some(&*start.request_id),
                Item::Call(call) => call.request_id.as_deref(),
                _ => None,
            };
            node.id == id || request == Some(id)
        };
        let wanted = self.nodes.iter().position(is_wanted)?;
        let root = self.root_of(wanted);
        let parts = self.parts(root);
        Some(Trace {
            summary: self.summary(&parts),
            spans: self.spans(&parts),
        })
    }

    /// Everything that came in.
    fn roots(&self) -> impl Iterator<Item = usize> {
        let is_root = |node: &Node<'_>| {
            // What a function's process does by itself is nothing that came in, but what an invocation did that has made way.
            let by_itself =
                !node.is_cut && matches!(node.item, Item::Call(call) if call.function.is_some());
            let is_remark = matches!(
                node.item,
                Item::Delivery(_)
                    | Item::Retry(_)
                    | Item::Moved(_)
                    | Item::Fault(_)
                    | Item::Message { .. }
            );
            node.parents.is_empty() && !by_itself && !is_remark
        };
        let nodes = self.nodes.iter().enumerate();
        nodes
            .filter(move |(_, node)| is_root(node))
            .map(|(index, _)| index)
    }

    fn root_of(&self, mut index: usize) -> usize {
        let mut seen = BTreeSet::new();
        while let Some(parent) = self.nodes[index].parents.first()
            && seen.insert(index)
        {
            index = *parent;
        }
        index
    }

    /// A root, and after it all that it has caused: each with its place above, before what it has caused. What has several causes in
    /// the trace is below the latest: what was redriven is below the message, not below the record that it is about.
    pub(super) fn parts(&self, root: usize) -> Vec<Part> {
        let mut reached = BTreeSet::new();
        let mut next = vec![root];
        while let Some(index) = next.pop() {
            if reached.insert(index) {
                next.extend(&self.nodes[index].children);
            }
        }
        let latest_cause = |index: usize| {
            let causes = self.nodes[index].parents.iter().copied();
            causes
                .filter(|cause| reached.contains(cause))
                .max_by(|one, other| {
                    let began = |index: usize| self.nodes[index].started_ms;
                    began(*one).total_cmp(&began(*other))
                })
        };
        let mut parts = Vec::new();
        let mut next = vec![(root, None)];
        while let Some((node, above)) = next.pop() {
            let place = parts.len();
            parts.push(Part { node, above });
            let children = self.nodes[node].children.iter().rev();
            let own =
                children.filter(|child| **child != root && latest_cause(**child) == Some(node));
            next.extend(own.map(|child| (*child, Some(place))));
        }
        parts
    }

    /// What came in.
    pub(super) fn root(&self, parts: &[Part]) -> &Node<'_> {
        &self.nodes[parts[0].node]
    }

    fn summary(&self, parts: &[Part]) -> Summary {
        let nodes = || parts.iter().map(|part| &self.nodes[part.node]);
        let root = self.root(parts);
        let started_ms = root.started_ms;
        let ended_ms = nodes().map(|node| node.ended_ms.unwrap_or(node.started_ms));
        let mut invocations: Vec<&Node<'_>> = nodes()
            .filter(|node| matches!(node.item, Item::Invocation(..)))
            .collect();
        invocations.sort_by(|one, other| one.started_ms.total_cmp(&other.started_ms));
        let mut functions: Vec<String> = Vec::new();
        for node in invocations {
            if let Item::Invocation(start, _) = node.item
                && !functions.contains(&start.function)
            {
                functions.push(start.function.clone());
            }
        }
        let calls = nodes().filter(|node| matches!(node.item, Item::Call(_)));
        let denied = nodes()
            .filter(|node| matches!(node.item, Item::Call(call) if call.denied.is_some()))
            .count();
        Summary {
            id: root.id.clone(),
            kind: root.item.kind(),
            title: root.item.title(),
            outcome: self.outcome(parts),
            denied,
            started_ms,
            duration_ms: ended_ms.fold(started_ms, f64::max) - started_ms,
            functions,
            calls: calls.count(),
            is_cut: nodes().any(|node| node.is_cut),
        }
    }

    /// Whether a text, in lower case, is in one of these nodes.
    fn hold(&self, parts: &[Part], text: &str) -> bool {
        let holds = |it: &str| it.to_lowercase().contains(text);
        parts.iter().any(|part| {
            let node = &self.nodes[part.node];
            let payloads = match node.item {
                Item::Call(call) => [call.request.as_ref(), call.response.as_ref()],
                Item::Invocation(start, end) => [Some(&start.event), end.map(|end| &end.answer)],
                _ => [None, None],
            };
            let log = match node.item {
                Item::Invocation(_, Some(end)) => &*end.log,
                _ => &[],
            };
            holds(&node.item.title())
                || payloads
                    .iter()
                    .flatten()
                    .any(|payload| holds(&payload.text))
                || log.iter().any(|line| holds(&line.text))
        })
    }

    fn spans(&self, parts: &[Part]) -> Vec<Span> {
        let in_trace: BTreeSet<usize> = parts.iter().map(|part| part.node).collect();
        let mut spans: Vec<Span> = Vec::new();
        // Where each part is among the spans: lines of logs come between.
        let mut places = Vec::new();
        for part in parts {
            let node = &self.nodes[part.node];
            let parent = part.above.map(|part| places[part]);
            let depth = parent.map_or(0, |parent: usize| spans[parent].depth + 1);
            places.push(spans.len());
            let place = spans.len();
            spans.push(Span {
                id: node.id.clone(),
                parent,
                depth,
                title: node.item.title(),
                started_ms: node.started_ms,
                duration_ms: node
                    .ended_ms
                    .map(|ended| ended - node.started_ms)
                    .filter(|_| node.item.takes_time()),
                outcome: self.outcome_of(part.node),
                inferred: node.inferred.map(str::to_owned),
                other_causes: node
                    .parents
                    .iter()
                    .filter(|it| !in_trace.contains(it))
                    .count(),
                details: node.item.details(),
            });
            if let Item::Invocation(start, Some(end)) = node.item {
                let lines = end.log.iter().enumerate();
                spans.extend(lines.map(|(number, line)| Span {
                    id: format!("{}-line-{number}", start.id),
                    parent: Some(place),
                    depth: depth + 1,
                    title: line.text.clone(),
                    started_ms: line.at_ms,
                    duration_ms: None,
                    outcome: Outcome::Ok,
                    inferred: None,
                    other_causes: 0,
                    details: Details::Log(line.clone()),
                }));
            }
        }
        in_order_of_time(spans)
    }
}

/// Has the children of each span in the order of time, and each child before its own children.
fn in_order_of_time(spans: Vec<Span>) -> Vec<Span> {
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); spans.len()];
    for (index, span) in spans.iter().enumerate() {
        if let Some(parent) = span.parent {
            children[parent].push(index);
        }
    }
    for siblings in &mut children {
        siblings.sort_by(|one, other| spans[*one].started_ms.total_cmp(&spans[*other].started_ms));
    }
    let mut spans: Vec<Option<Span>> = spans.into_iter().map(Some).collect();
    let mut ordered: Vec<Span> = Vec::with_capacity(spans.len());
    let mut next = vec![(0, None)];
    while let Some((index, parent)) = next.pop() {
        let Some(span) = spans.get_mut(index).and_then(Option::take) else {
            continue;
        };
        let place = ordered.len();
        ordered.push(Span { parent, ..span });
        next.extend(
            children[index]
                .iter()
                .rev()
                .map(|child| (*child, Some(place))),
        );
    }
    ordered
}
