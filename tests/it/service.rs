//! Documents about the service, its layers, and queries on them.

use crate::support::TestServer;

#[tokio::test]
async fn a_service_shows_its_layers_and_tables() {
    let server = TestServer::with_trees().await;
    let service = server.get("", &[]).await;
    assert_eq!(service["layers"][0]["name"], "oak");
    assert_eq!(service["tables"][0]["name"], "visit");
    assert_eq!(service["syncEnabled"], true);
    assert_eq!(service["fullExtent"]["spatialReference"]["wkid"], 102_100);
}
