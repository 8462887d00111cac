//! The pages of `docs/` and the code say the same.

use dagctl_dagfile::Code;

#[test]
fn every_code_has_its_paragraph_and_no_other_has() {
    let page = include_str!("../../../docs/diagnostics.md");
    let documented: Vec<&str> = page
        .lines()
        .filter_map(|it| it.strip_prefix("## "))
        .collect();
    let codes: Vec<&str> = Code::ALL.iter().map(|it| it.as_str()).collect();
    assert_eq!(documented, codes);
}
