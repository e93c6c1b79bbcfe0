//! Somebody who asks for everything at once (S17), while somebody else works.

use futures_util::future::join_all;

use crate::{
    owners::{closed, code, create, post_as, synchronize, token},
    support::server::json,
};

#[tokio::test]
async fn s17_an_abuser_gets_no_more_than_their_part_and_others_go_on() {
    let mut server = closed().await;
    server.configure(|config| {
        config.max_user_replicas = 5;
        config.max_user_waiting_jobs = 4;
        config.max_user_upload_bytes = 100_000;
        config.max_caller_requests = 3;
    });
    let upload = format!(
        "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.json\"\r\n\r\n{}\r\n--x--\r\n",
        "x".repeat(30_000)
    );
    let abuse = async |n: usize| {
        let name = n.to_string();
        let replica = [("layers", "0"), ("replicaName", name.as_str()), ("transportType", "esriTransportTypeEmbedded")];
        match n % 4 {
            0 => post_as(&server, &token("ann"), "createReplica", &replica).await,
            1 => {
                post_as(&server, &token("ann"), "createReplica", &[&replica[..2], &[("async", "true")]].concat()).await
            }
            2 => {
                let path = format!("uploads/upload?f=json&token={}", token("ann"));
                json(server.post_body(&path, "multipart/form-data; boundary=x", upload.clone()).await).await
            }
            _ => post_as(&server, &token("ann"), "0/query", &[("where", "species like '%a%b%c%'")]).await,
        }
    };
    let work = async {
        let mut held = create(&server, "bob", &[]).await;
        for _ in 0..15 {
            held = synchronize(&server, "bob", &held, None).await;
            assert_eq!(code(&held), 200, "{held}");
        }
    };
    let (answers, ()) = tokio::join!(join_all((0..120).map(&abuse)), work);
    for answer in &answers {
        assert!([200, 429].contains(&code(answer)), "{answer}");
    }
    let refused = answers.iter().filter(|answer| code(answer) == 429).count();
    assert!((60..90).contains(&refused), "{refused}");
    for (asked, most) in [
        ("select count(*) from syncline.replica where owner = 'ann' and unregistered_at is null", 5),
        ("select count(*) from syncline.job where owner = 'ann'", 4),
        ("select count(*) from syncline.upload_item where owner = 'ann'", 3),
    ] {
        let n: i64 = server.database.value(asked).await;
        assert_eq!(n, most, "{asked}");
    }
}
