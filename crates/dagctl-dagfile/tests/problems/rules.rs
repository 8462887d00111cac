//! Branches, groups and teardowns that cannot work, and joins that would be skipped.

use crate::{brief, of};

#[test]
fn a_branch_that_cannot_work_is_told_why() {
    assert_eq!(
        brief(
            "
tasks:
  how:
    operator: branch
    branches:
      - follow: a
      - when: \"{{ params.x }}\"
        follow: b
      - when: 1 == 2
        folow: b
      - when: 1 == 2
        follow: [other, nope]
  none: {operator: branch, branches: []}
  a: {operator: empty, depends_on: how}
  b: {operator: empty, depends_on: how}
  other: {operator: empty}
"
        ),
        [
            "D011 6:9: put the option without `when` last; it means \"otherwise\"",
            "D020 7:15: leave out the braces: `when: params.x`",
            "D009 9:9: an option of `branches` needs the field `follow`",
            "D007 10:9: the fields here are `when` and `follow`",
            "D011 12:18: add `how` to the `depends_on` of `other`",
            "D012 12:25: did you mean `none`?",
            "D011 13:3: add an option: `- {when: …, follow: a_task}`",
        ]
    );
}

#[test]
fn a_join_that_would_be_skipped_is_warned_of() {
    insta::assert_snapshot!(of("
tasks:
  how:
    operator: branch
    branches: [{when: 1 == 1, follow: left}, {follow: right}]
  left: {operator: empty, depends_on: how}
  right: {operator: empty, depends_on: how}
  join: {operator: empty, depends_on: [left, right]}
  fine: {operator: empty, depends_on: [left, right], trigger_rule: one_success}
"), @r"
    warning[D034]: `join` is skipped whenever `how` does not follow `right`: its rule is `all_success`
     --> orders.yaml:8:3
      |
    8 |   join: {operator: empty, depends_on: [left, right]}
      |   ^^^^
    hint: write `trigger_rule: none_failed_min_one_success`
    ");
}

#[test]
fn groups_and_teardowns_that_cannot_work_are_told_why() {
    assert_eq!(
        brief(
            "
tasks:
  make: {operator: empty, group: etl}
  work: {operator: empty, depends_on: make}
  more: {operator: empty, group: etl, depends_on: etl}
  clean: {operator: empty, teardown: {setups: [mak], after: work}, trigger_rule: all_done}
  sweep: {operator: empty, teardown: [etl.make]}
  wipe: {operator: empty, teardown: {}}
  mop: {operator: empty, teardown: {setups: []}}
  dup: {operator: empty}
  twin: {operator: empty, group: dup}
  bad: {operator: empty, group: a b}
"
        ),
        [
            "D012 4:39: write `etl.make`: the task belongs to the group `etl`",
            "D013 5:51: name the tasks of the group that it comes after",
            "D012 6:48: task `clean` tears down `mak`, which this DAG does not define",
            "D007 6:54: the field here is `setups`",
            "D011 6:68: leave out `trigger_rule`",
            "D010 7:38: `teardown` must be a map such as `{setups: [create]}`, not a list",
            "D009 8:37: `teardown` needs the field `setups`",
            "D011 9:37: name the tasks it undoes: `setups: [create]`",
            "D014 10:3: `dup` is the name of a task and of a group",
            "D015 12:33: `group`: `a b` has ` ` in it: names are made of letters, digits, `_`, `-` and `.`",
        ]
    );
}

#[test]
fn a_branch_is_not_mapped() {
    let dag = "
tasks:
  how: {operator: branch, expand: {n: [1, 2]}, branches: [{follow: a}]}
  a: {operator: empty, depends_on: how, expand: {n: [1, 2]}}
  newest: {operator: latest_only, expand: {n: [1, 2]}}
";
    let hint = "leave out `expand`; tasks with `expand` and `run_if` choose for each item";
    assert_eq!(
        brief(dag),
        [format!("D011 3:27: {hint}"), format!("D011 5:35: {hint}")]
    );
}
