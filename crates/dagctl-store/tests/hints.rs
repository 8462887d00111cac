//! Hints reach whoever listens, but for the one who told them.

use dagctl_store::Store;
use dagctl_store::database::{Heard, MIGRATIONS, Teller, Topic};
use dagctl_testkit::TestDatabase;

#[tokio::test]
async fn a_hint_is_heard_by_everybody_but_its_teller() {
    let database = TestDatabase::migrated(&MIGRATIONS).await;
    let store = Store::from_pool(database.pool.clone());
    let (one, other) = (Teller::new(), Teller::new());
    assert_ne!(one, other);
    let mut listening = [
        store.listen(one).await.unwrap(),
        store.listen(other).await.unwrap(),
    ];
    store.hint(Topic::Ready, one).await;
    store.hint(Topic::Notice, other).await;
    let mut heard = vec![];
    for it in &mut listening {
        heard.push([it.next().await.unwrap(), it.next().await.unwrap()]);
    }
    assert_eq!(
        heard,
        [
            [Heard::Nothing, Heard::News(Topic::Notice)],
            [Heard::News(Topic::Ready), Heard::Nothing]
        ]
    );
}
