use super::*;
use crate::testing::*;

#[test]
fn both_wordings_of_an_empty_change_set_are_known() {
    assert!(holds_no_change(
        "The submitted information didn't contain changes. Submit different information to create a change set."
    ));
    assert!(holds_no_change("No updates are to be performed."));
    assert!(!holds_no_change(
        "Template error: instance of Fn::GetAtt references undefined resource X"
    ));
}

#[tokio::test]
async fn giving_up_a_new_stack_removes_it_only_if_nobody_else_makes_it() {
    const OURS: (&str, &str, &str, &str) = (
        "xtask-1",
        "CREATE_COMPLETE",
        "AVAILABLE",
        "2026-11-20T08:00:00Z",
    );
    const OTHER: (&str, &str, &str, &str) = (
        "xtask-2",
        "CREATE_COMPLETE",
        "AVAILABLE",
        "2026-11-20T08:00:00Z",
    );
    for (status, listed, effect) in [
        ("REVIEW_IN_PROGRESS", &[OURS][..], "DeleteStack"),
        ("REVIEW_IN_PROGRESS", &[OURS, OTHER], "DeleteChangeSet"),
        // The other one is being executed: ours is gone already, the state not yet.
        ("REVIEW_IN_PROGRESS", &[], "DeleteChangeSet"),
        ("REVIEW_IN_PROGRESS", &[OTHER], "DeleteChangeSet"),
        ("CREATE_IN_PROGRESS", &[], "DeleteChangeSet"),
    ] {
        let aws = willing()
            .on("DescribeStacks", [stack(status)])
            .on("ListChangeSets", [change_sets(listed)]);
        let target = aws.target();
        discard(&target, &new_stack_change_set()).await.unwrap();
        assert_eq!(aws.effects(), [effect], "{status} {listed:?}");
    }
}
