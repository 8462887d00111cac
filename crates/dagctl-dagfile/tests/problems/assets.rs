//! Tables that schedules wait for and tasks name.

use crate::of;

#[test]
fn a_schedule_on_assets_says_what_is_wrong_where() {
    insta::assert_snapshot!(of("
schedule:
  assets: {any: [orders, {some: [a.b]}, [a.c], {all: []}, 'a.{{ ds }}', {all: [a.b], any: [a.c]}]}
tasks:
  a: {operator: empty, writes: a.b.c, outlets: [a.b]}
"));
    insta::assert_snapshot!(of(
        "schedule: {assets: [a.b], every: 1h, crons: []}\ntasks: {a: {operator: empty}}\n"
    ));
}
