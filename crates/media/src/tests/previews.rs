//! Previews of pages on a real web server on this machine.

use haechi_fetch::{FetchConfig, Names, Ports};
use serde_json::{Value, json};

use super::{
    server::{Answer, Server},
    *,
};

/// Previews of `page.test`, which is that server; `inside.test` is too, by a closed address.
fn bench(db: TestDb, server: &Server) -> Bench {
    let names = [("page.test", "127.0.0.1"), ("inside.test", "127.0.0.2")];
    let names = names.map(|(name, address)| (name.to_owned(), vec![address.parse().unwrap()]));
    let fetch = FetchConfig {
        opened: vec!["127.0.0.1/32".parse().unwrap()],
        ports: Ports::Only(vec![server.port]),
        names: Names::Fixed(names.into()),
        ..FetchConfig::public("test")
    };
    let preview = PreviewConfig {
        may_preview: Arc::new(|host| host != "denied.test"),
        image_bytes_max: 100_000,
        ..PreviewConfig::new(fetch)
    };
    Bench::with(db, |config| config.preview = Some(preview))
}

async fn preview(bench: &Bench, server: &Server, url: &str) -> Result<Value> {
    let url = url.replace("PORT", &server.port.to_string());
    let preview = bench.media.preview(&url).await?;
    Ok(serde_json::from_str(preview.json()).unwrap())
}

fn site(path: &str) -> Option<Answer> {
    let html = |text: &str| Some(("text/html; charset=utf-8", text.as_bytes().to_vec()));
    match path {
        "/page" => html(
            "<meta property=og:title content=Haechi><meta property=og:image content=/picture>
             <meta name=description content='guards against fire'>",
        ),
        "/plain" => html("<title>only a title</title>"),
        "/korean" => {
            Some(("text/html", b"<meta charset=euc-kr><title>\xc7\xd8\xc4\xa1</title>".to_vec()))
        }
        "/picture" => Some(("image/png", png(120, 80, 9))),
        "/no-picture" => html("<title>t</title><meta property=og:image content=/text-as-image>"),
        "/text-as-image" => Some(("image/png", b"no picture".to_vec())),
        "/large-picture" => html("<title>t</title><meta property=og:image content=/large>"),
        "/large" => Some(("image/png", vec![0; 100_001])),
        "/picture-inside" => {
            html("<title>t</title><meta property=og:image content=http://169.254.169.254/latest>")
        }
        "/long" => html(&format!("<title>long</title>{}", "x".repeat(3 << 20))),
        "/video" => Some(("video/mp4", vec![0; 10])),
        "/moved" => Some(("", b"/plain".to_vec())),
        "/empty" => html(""),
        _ => None,
    }
}

#[store_test(schemas(SCHEMA))]
async fn a_page_and_its_image(db: TestDb) {
    let server = Server::start(site).await;
    let bench = bench(db, &server);
    let said = preview(&bench, &server, "http://page.test:PORT/page#part").await.unwrap();
    assert_eq!(said["og:title"], "Haechi");
    assert_eq!(said["og:description"], "guards against fire");
    assert_eq!((&said["og:image:width"], &said["og:image:height"]), (&json!(120), &json!(80)));
    assert_eq!(said["og:image:type"], "image/png");
    assert_eq!(said["matrix:image:size"], png(120, 80, 9).len());
    let id = said["og:image"].as_str().unwrap().strip_prefix("mxc://here.test/").unwrap();
    assert_eq!(bench.content(id).await, png(120, 80, 9));
    assert_eq!(bench.found(id).await.unwrap().about.content_type.as_deref(), Some("image/png"));

    let said = preview(&bench, &server, "http://page.test:PORT/picture").await.unwrap();
    assert_eq!(said["og:image:width"], 120);
    let said = preview(&bench, &server, "http://page.test:PORT/korean").await.unwrap();
    assert_eq!(said, json!({ "og:title": "해치" }));
    let said = preview(&bench, &server, "http://page.test:PORT/moved").await.unwrap();
    assert_eq!(said, json!({ "og:title": "only a title" }));
    let said = preview(&bench, &server, "http://page.test:PORT/long").await.unwrap();
    assert_eq!(said, json!({ "og:title": "long" }));
    let said = preview(&bench, &server, "http://page.test:PORT/empty").await.unwrap();
    assert_eq!(said, json!({}));
}

#[store_test(schemas(SCHEMA))]
async fn a_page_without_its_image_is_better_than_none(db: TestDb) {
    let server = Server::start(site).await;
    let bench = bench(db, &server);
    for path in ["no-picture", "large-picture", "picture-inside"] {
        let said =
            preview(&bench, &server, &format!("http://page.test:PORT/{path}")).await.unwrap();
        assert_eq!(said, json!({ "og:title": "t" }), "{path}");
    }
    assert_eq!(bench.blobs(), 0);
}

#[store_test(schemas(SCHEMA))]
async fn a_page_is_asked_once_until_its_preview_expires(db: TestDb) {
    let server = Server::start(site).await;
    let bench = bench(db, &server);
    let url = "http://page.test:PORT/page";
    let all = (0..10).map(|_| preview(&bench, &server, url));
    let all = futures_util::future::join_all(all).await;
    let first = all[0].as_ref().unwrap();
    assert!(all.iter().all(|said| said.as_ref().unwrap() == first));
    assert_eq!(server.asked(), ["/page", "/picture"]);

    let forget = async || {
        let previewer = bench.media.0.previewer.as_ref().unwrap();
        previewer.forget().await;
    };
    forget().await;
    assert_eq!(preview(&bench, &server, url).await.unwrap(), *first);
    assert_eq!(server.asked().len(), 2, "kept in the database");

    forget().await;
    bench.clock.advance(Duration::from_hours(6));
    let second = preview(&bench, &server, url).await.unwrap();
    assert_eq!(server.asked().len(), 4);
    assert_ne!(second["og:image"], first["og:image"]);
    bench.clock.advance(Duration::from_hours(30 * 24));
    let swept = bench.media.sweep().await.unwrap();
    assert_eq!((swept.ids, swept.previews), (2, 1));
    bench.media.sweep().await.unwrap();
    assert_eq!(bench.blobs(), 0);
}

#[store_test(schemas(SCHEMA))]
async fn what_may_not_be_asked_is_not(db: TestDb) {
    let server = Server::start(site).await;
    let bench = bench(db, &server);
    let long = format!("http://page.test:PORT/{}", "x".repeat(2_048));
    for url in [
        "http://inside.test:PORT/page",
        "http://127.0.0.2:PORT/page",
        "http://[::1]:PORT/page",
        "http://denied.test:PORT/page",
        "http://page.test:1/page",
        "ftp://page.test:PORT/page",
        "file:///etc/passwd",
        "mailto:a@page.test",
        "no url",
        &long,
    ] {
        let refused = preview(&bench, &server, url).await;
        assert!(matches!(refused, Err(MediaError::PreviewRefused)), "{url}: {refused:?}");
    }
    for path in ["missing", "video"] {
        let refused = preview(&bench, &server, &format!("http://page.test:PORT/{path}")).await;
        assert!(matches!(refused, Err(MediaError::NoPreview)), "{path}: {refused:?}");
    }
    assert_eq!(server.asked(), ["/missing", "/video"]);
}

#[store_test(schemas(SCHEMA))]
async fn previews_can_be_switched_off(db: TestDb) {
    let off = Bench::new(db);
    let refused = off.media.preview("http://page.test/").await;
    assert!(matches!(refused, Err(MediaError::PreviewRefused)));
}
