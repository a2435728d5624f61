//! Requests of several entries, of which AWS takes so many and so many bytes at a time.

/// What one request takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) entries: usize,
    pub(crate) bytes: usize,
}

impl Limits {
    /// The entries in their order, for each request. One that is too large by itself has a request
    /// of its own, for the service to refuse.
    pub(crate) fn packed<T>(
        self,
        entries: impl IntoIterator<Item = T>,
        bytes_of: impl Fn(&T) -> usize,
    ) -> Vec<Vec<T>> {
        let mut requests: Vec<Vec<T>> = Vec::new();
        let mut bytes = 0;
        for entry in entries {
            let size = bytes_of(&entry);
            match requests.last_mut() {
                Some(request) if request.len() < self.entries && bytes + size <= self.bytes => {
                    bytes += size;
                    request.push(entry);
                }
                _ => {
                    bytes = size;
                    requests.push(vec![entry]);
                }
            }
        }
        requests
    }
}
