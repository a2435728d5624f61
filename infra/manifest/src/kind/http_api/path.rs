//! Paths of routes, with parameters.

use crate::name;

/// Whether API Gateway takes the path.
pub(super) fn is_valid(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else {
        return false;
    };
    if rest.is_empty() {
        return true;
    }
    let segments: Vec<&str> = rest.split('/').collect();
    let last = segments.len() - 1;
    segments.iter().enumerate().all(|(index, segment)| {
        let word = match parameter(segment) {
            Some(parameter) if index == last => parameter.strip_suffix('+').unwrap_or(parameter),
            Some(parameter) => parameter,
            None => segment,
        };
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte))
    })
}

/// The part of a route's logical ID that stands for its path.
pub(super) fn logical_id(path: &str) -> String {
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    let id: String = segments
        .map(|segment| match parameter(segment) {
            Some(name) => match name.strip_suffix('+') {
                Some(name) => format!("By{}Path", name::pascal_case(name)),
                None => format!("By{}", name::pascal_case(name)),
            },
            None => name::pascal_case(segment),
        })
        .collect();
    if id.is_empty() { "Root".to_owned() } else { id }
}

/// The path as IAM matches it, with `*` for each parameter.
pub(super) fn pattern(path: &str) -> String {
    let segments: Vec<&str> = path
        .split('/')
        .map(|segment| parameter(segment).map_or(segment, |_| "*"))
        .collect();
    segments.join("/")
}

/// The names of a path's parameters.
pub(super) fn parameters(path: &str) -> impl Iterator<Item = &str> {
    let parameters = path.split('/').filter_map(parameter);
    parameters.map(|name| name.strip_suffix('+').unwrap_or(name))
}

/// `name` of the segment `{name}`.
fn parameter(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// What all paths have in common that API Gateway cannot tell from this one: they differ in their
/// parameters' names.
pub(super) fn shape(path: &str) -> String {
    pattern(path) + if path.ends_with("+}") { "*" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_logical_ids_and_patterns() {
        for (path, id, expected) in [
            ("/", "Root", "/"),
            ("/orders", "Orders", "/orders"),
            ("/orders/{id}", "OrdersById", "/orders/*"),
            ("/{name+}", "ByNamePath", "/*"),
            ("/v1.0/~a", "V10A", "/v1.0/~a"),
        ] {
            assert_eq!(logical_id(path), id);
            assert_eq!(pattern(path), expected);
        }
    }
}
