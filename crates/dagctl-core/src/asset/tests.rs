use super::*;

fn asset(text: &str) -> Asset {
    Asset::parse(text).unwrap()
}

fn leaf(text: &str) -> AssetExpression {
    AssetExpression::Asset(asset(text))
}

#[test]
fn an_asset_is_a_table_with_or_without_its_connection() {
    assert_eq!(asset("analytics.mau").to_string(), "analytics.mau");
    assert_eq!(asset(" dw:analytics.mau ").conn_id.as_deref(), Some("dw"));
    for text in ["mau", "a.b.c", ".b", "a.", "dw:", ":a.b", "a b.c", ""] {
        assert_eq!(Asset::parse(text), Err(AssetError::NotATable), "{text}");
    }
    assert_eq!(Asset::parse("a.{{ ds }}"), Err(AssetError::Template));
}

#[test]
fn news_of_a_table_reach_those_who_name_no_other_connection() {
    let (any, dw, lake) = (asset("a.b"), asset("dw:a.b"), asset("lake:a.b"));
    assert!(any.covers(&dw) && dw.covers(&any) && dw.covers(&dw));
    assert!(!dw.covers(&lake));
    assert!(!any.covers(&asset("a.c")));
}

#[test]
fn all_and_any_nest() {
    let expression = AssetExpression::All(vec![
        leaf("a.x"),
        AssetExpression::Any(vec![leaf("a.y"), leaf("a.z"), leaf("a.x")]),
    ]);
    assert_eq!(expression.describe(), "a.x and (a.y or a.z or a.x)");
    let alone = AssetExpression::All(vec![AssetExpression::Any(vec![leaf("a.y"), leaf("a.z")])]);
    assert_eq!(alone.describe(), "a.y or a.z");
    let names: Vec<String> = expression
        .assets()
        .iter()
        .map(|it| it.to_string())
        .collect();
    assert_eq!(names, ["a.x", "a.y", "a.z"]);
    let met = |news: &[&str]| expression.is_met(&|it| news.contains(&it.name.as_str()));
    assert!(met(&["a.x"]) && met(&["a.x", "a.z"]));
    assert!(!met(&["a.y", "a.z"]) && !met(&[]));
}
