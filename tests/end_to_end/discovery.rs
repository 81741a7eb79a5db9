//! Discovery and OpenAPI.

use super::*;

#[tokio::test]
async fn discovery_and_openapi_come_from_memory_with_etags() {
    let bed = Bed::start().await;
    let client = bed.proxy().await;
    let v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    for (path, accept) in [("/apis", v2), ("/openapi/v2", JSON), ("/openapi/v3", JSON)] {
        let request = |etag: Option<&str>| {
            let request = Request::get(path)
                .header("accept", accept)
                .header("x-remote-user", "a");
            let request = request.header("if-none-match", etag.unwrap_or("\"\""));
            request.body(Full::default()).unwrap()
        };
        // OpenAPI is read after discovery, which readiness waits for.
        eventually(|| async { client.send(request(None)).await.status() == 200 }).await;
        let first = client.send(request(None)).await;
        assert_eq!(
            (first.status().as_u16(), &first.headers()["content-type"]),
            (200, &accept.parse().unwrap())
        );
        let etag = first.headers()["etag"].to_str().unwrap().to_owned();
        let (_, body) = json(first).await;
        let text = body.to_string();
        assert!(
            text.contains("k8s.starter.org") && !text.contains("networkpolicies"),
            "{text}"
        );
        assert_eq!(
            client.send(request(Some(&etag))).await.status(),
            304,
            "{path}"
        );
    }
}
