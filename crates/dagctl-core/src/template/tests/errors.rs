use super::*;

#[test]
fn of_several_missing_values_the_first_that_was_asked_for_is_named() {
    for source in [
        "{{ params.b }}{{ params.c }}",
        "{{ params.b ~ params.c }}",
        "{{ params.b ~ params.url }}",
        "{% if false %}{{ params.a }}{% endif %}{{ params.b }}{{ params.c }}",
        "{{ (params.a | default('x')) ~ params.b }}",
        "{{ (params.a is defined) ~ params.b }}",
    ] {
        let said = failure(source);
        assert!(
            said.starts_with("`{{ params.b }}`: parameter `b`"),
            "{source}: {said}"
        );
    }
}

#[test]
fn a_name_with_a_zero_byte_is_no_name_in_sql() {
    let said = failure("{{ 'a\0b' | ident }}");
    assert!(said.contains("must not hold a zero byte"), "{said}");
}
