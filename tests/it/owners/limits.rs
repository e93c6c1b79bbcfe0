//! What one user may have.

use super::{EMBEDDED, closed, code, create, post_as, token};
use crate::support::server::error;

#[tokio::test]
async fn a_user_has_so_many_replicas_and_is_told_what_to_do_about_more() {
    let mut server = closed().await;
    server.configure(|config| config.max_user_replicas = 2);
    let first = create(&server, "ann", &[]).await;
    create(&server, "ann", &[]).await;
    let third = post_as(&server, &token("ann"), "createReplica", &[("layers", "0"), EMBEDDED]).await;
    let (number, text) = error(&third);
    assert_eq!(number, 429, "{third}");
    for part in ["ann", "2 replicas", "max_user_replicas", "unRegisterReplica"] {
        assert!(text.contains(part), "{text}");
    }
    let n_replicas: i64 = server.database.value("select count(*) from syncline.replica").await;
    assert_eq!(n_replicas, 2);
    create(&server, "bob", &[]).await;
    post_as(&server, &token("ann"), "unRegisterReplica", &[("replicaID", first["replicaID"].as_str().unwrap())]).await;
    create(&server, "ann", &[]).await;
    create(&server, "ann", &[("syncModel", "none")]).await;
    for _ in 0..3 {
        create(&server, "boss", &[]).await;
    }
}

#[tokio::test]
async fn a_user_has_so_many_jobs_waiting_and_running() {
    let mut server = closed().await;
    server.configure(|config| {
        config.max_user_waiting_jobs = 3;
        config.max_user_running_jobs = 1;
    });
    let submit = async |user: &str, name: &str| {
        post_as(&server, &token(user), "createReplica", &[("layers", "0"), ("async", "true"), ("replicaName", name)])
            .await
    };
    for name in ["a", "b", "c"] {
        assert_eq!(code(&submit("ann", name).await), 200);
    }
    assert_eq!(code(&submit("ann", "d").await), 429);
    assert_eq!(code(&submit("bob", "a").await), 200);
    // While one runs, the others wait, and other users' do not.
    server
        .database
        .sql(
            "update syncline.job set state = 'InProgress', lease_id = gen_random_uuid(), lease_until = now() + interval '1 hour', attempts = 1
             where job_id = (select job_id from syncline.job where owner = 'ann' order by submitted_at limit 1)",
        )
        .await;
    let running = server.run_jobs();
    server
        .database
        .until("select exists (select from syncline.job where owner = 'bob' and ended_at is not null)")
        .await;
    let n_ended: i64 =
        server.database.value("select count(*) from syncline.job where owner = 'ann' and ended_at is not null").await;
    assert_eq!(n_ended, 0);
    server
        .database
        .sql("update syncline.job set state = 'Failed', ended_at = now(), lease_id = null, lease_until = null where owner = 'ann' and lease_id is not null")
        .await;
    server.database.until("select not exists (select from syncline.job where ended_at is null)").await;
    running.stop().await;
}

#[tokio::test]
async fn a_user_has_files_of_so_many_bytes() {
    let mut server = closed().await;
    server.configure(|config| config.max_user_upload_bytes = 1000);
    let upload = async |user: &str, n_bytes: usize| {
        let body = format!(
            "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.json\"\r\n\r\n{}\r\n--x\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\njson\r\n--x--\r\n",
            "x".repeat(n_bytes),
        );
        let operation = format!("uploads/upload?token={}", token(user));
        crate::support::server::json(server.post_body(&operation, "multipart/form-data; boundary=x", body).await).await
    };
    assert_eq!(upload("ann", 700).await["success"], true);
    let (number, text) = error(&upload("ann", 700).await);
    assert_eq!(number, 429, "{text}");
    assert!(text.contains("max_user_upload_bytes"), "{text}");
    assert_eq!(upload("bob", 700).await["success"], true);
}

#[tokio::test]
async fn who_did_not_sign_in_is_limited_only_where_the_settings_say_so() {
    let mut server = closed().await;
    server.configure(|config| {
        config.anonymous = syncline::model::principal::Access::Edit;
        config.max_user_replicas = 10;
    });
    let make =
        async |server: &crate::support::TestServer| server.post("createReplica", &[("layers", "0"), EMBEDDED]).await;
    for _ in 0..3 {
        assert_eq!(code(&make(&server).await), 200);
    }
    server.configure(|config| config.limit_anonymous = true);
    assert_eq!(code(&make(&server).await), 429);
}
