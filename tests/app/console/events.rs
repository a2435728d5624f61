//! Many events.

use aws_sdk_dynamodb::types::AttributeValue;
use tokio::task::JoinSet;

use super::browser::Browser;
use crate::library::Stage;

/// Writers at the same time.
const WRITERS: usize = 4;

/// The most that a page of the list may weigh, whatever the history holds.
const PAGE_BYTES_MAX: u64 = 200_000;

/// However many events there are, a page has a hundred.
pub(crate) fn are_listed_in_pages(stage: &Stage, browser: &Browser<'_>, events: usize) {
    let window = &browser.window;
    // An open page takes the events as they come: the emulator keeps fewer.
    browser.go("/events");
    write(stage, events);
    let last = events - 1;
    browser.go(&format!("/events?text=job-{last}"));
    window.shows("1 event");
    browser.go("/events");
    let rows = || window.run("return document.querySelectorAll('tbody tr').length");
    assert_eq!(rows(), 100);
    let loaded = window.run(
        "const [page] = performance.getEntriesByType('navigation'); \
         return [page.decodedBodySize, page.responseEnd - page.requestStart, page.domComplete]",
    );
    println!(
        "{events} events: a page of {} KB, answered in {:.0} ms, shown in {:.0} ms",
        loaded[0].as_u64().unwrap() / 1_000,
        loaded[1].as_f64().unwrap(),
        loaded[2].as_f64().unwrap(),
    );
    assert!(loaded[0].as_u64().unwrap() < PAGE_BYTES_MAX, "{loaded}");
    window.click_text("Older");
    assert_eq!(rows(), 100);
    assert!(window.url().ends_with("from=100"));
    browser.go(&format!("/events?from={}", events - 100));
    window.shows("PutItem media-jobs");
}

fn write(stage: &Stage, events: usize) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = stage.dynamodb();
    let table = stage.variable("MEDIA_JOBS_TABLE_NAME").to_owned();
    runtime.block_on(async {
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let (client, table) = (client.clone(), table.clone());
            writers.spawn(async move {
                for number in (writer..events).step_by(WRITERS) {
                    let put = client.put_item().table_name(&table);
                    let value = AttributeValue::S(format!("job-{number}"));
                    put.item("job", value).send().await.unwrap();
                }
            });
        }
        writers.join_all().await;
    });
}
