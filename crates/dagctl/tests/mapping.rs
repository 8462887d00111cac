//! Mapped tasks as a user meets them: a list from one task, an instance of the next for each item.

mod support;

use crate::support::Place;

const DAG: &str = r#"
tasks:
  list_shops:
    operator: shell
    command: printf '{"values":["north","south","west"]}' > "$DAGCTL_OUTPUTS"
  import_shop:
    operator: shell
    depends_on: list_shops
    expand: {shop: "{{ outputs.list_shops.values }}"}
    max_active_tis_per_dagrun: 2
    command: |
      echo importing {{ shop }}
      printf '{"rows": %d}' {{ shop | length }} > "$DAGCTL_OUTPUTS"
  total:
    operator: shell
    depends_on: import_shop
    command: [echo, "{{ outputs.import_shop.rows | sum }} rows of {{ outputs.import_shop.succeeded }} shops"]
"#;

#[tokio::test]
async fn a_user_maps_a_task_over_a_list_and_reads_the_log_of_one_instance() {
    let place = Place::new();
    place.write("dags/shops.yaml", DAG);
    let standalone = place.standalone().await;
    place.ok(&["trigger", "shops", "--wait"]).await;

    let tasks = place.json(&["tasks", "list", "shops", "latest"]).await;
    let tasks = tasks.as_array().unwrap();
    let found: Vec<String> = tasks
        .iter()
        .map(|it| {
            let name = it["task_id"].as_str().unwrap();
            format!(
                "{name}{}={}",
                it["map_index"],
                it["state"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            "list_shops-1=success",
            "import_shop-1=success",
            "import_shop0=success",
            "import_shop1=success",
            "import_shop2=success",
            "total-1=success"
        ]
    );
    let one = ["tasks", "logs", "shops", "import_shop", "--map-index", "1"];
    let one = place.ok(&one).await;
    assert!(one.contains("importing south"), "{one}");
    let whole = place.ok(&["tasks", "logs", "shops", "import_shop"]).await;
    assert!(whole.contains("Expands into 3 instances"), "{whole}");
    let total = place.ok(&["tasks", "logs", "shops", "total"]).await;
    assert!(total.contains("14 rows of 3 shops"), "{total}");
    drop(standalone);
}
