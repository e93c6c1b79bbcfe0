//! Guesses at passwords (S15).

use crate::auth::{
    guessing::{is_looked_at, sign_in},
    signing_in::{PASSWORD, with_users},
};

#[tokio::test]
async fn s15_of_ten_thousand_guesses_fewer_than_a_hundred_are_looked_at_whichever_process_is_asked() {
    let server = with_users().await;
    let others = [server.beside().await, server.beside().await];
    let processes = [&server, &others[0], &others[1]];
    let mut n_looked_at = 0;
    for n in 0..10_000_usize {
        let process = processes[n % 3];
        // One user from many addresses, many users from one address, one from one.
        let (user, address) = match n % 4 {
            0 => ("ann".to_owned(), format!("203.0.{}.{}", n / 256 % 256, n % 256)),
            1 => (format!("user{n}"), "198.51.100.1".to_owned()),
            _ => ("bob".to_owned(), "198.51.100.2".to_owned()),
        };
        n_looked_at += u32::from(is_looked_at(&sign_in(process, &user, &format!("guess {n}"), &address, &[]).await));
    }
    assert!((20..100).contains(&n_looked_at), "{n_looked_at}");
    // The right one is not looked at either, by anybody.
    for process in processes {
        assert!(!is_looked_at(&sign_in(process, "ann", PASSWORD, "192.0.2.1", &[]).await));
    }
    assert!(sign_in(&server, "root", PASSWORD, "192.0.2.1", &[]).await["token"].is_string());
    // Names are nowhere in the table, since one may be a password in the wrong field.
    let n_kept: i64 = server.database.value("select count(*) from syncline.failed_attempt").await;
    assert!((20..100).contains(&n_kept), "{n_kept}");
}

#[tokio::test]
async fn s15_a_right_password_forgives_the_mistakes_at_every_process() {
    let server = with_users().await;
    let other = server.beside().await;
    for n in 0..4 {
        assert!(is_looked_at(&sign_in(&server, "ann", "wrong", &format!("203.0.113.{n}"), &[]).await));
    }
    assert!(sign_in(&other, "ann", PASSWORD, "203.0.113.9", &[]).await["token"].is_string());
    for n in 0..4 {
        assert!(is_looked_at(&sign_in(&server, "ann", "wrong", &format!("203.0.113.{n}"), &[]).await), "{n}");
    }
    server.database.sql("update syncline.failed_attempt set last_at = last_at - interval '61 minutes'").await;
    server.app.store.forget_attempts().await.unwrap();
    assert_eq!(server.database.value::<i64>("select count(*) from syncline.failed_attempt").await, 0);
}
