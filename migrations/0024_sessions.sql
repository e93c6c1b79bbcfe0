-- What belongs to a session ends with it, and people keep their names in the audit log when they are removed.

alter table syncline.token
  add column session_id integer references syncline.token on delete cascade,
  add column id_token text,
  add constraint token_of_session check (session_id is null or not is_session),
  add constraint token_id_token check (id_token is null or is_session);
comment on column syncline.token.session_id is
  'The session for whose pages it was made; it ends with that, and is neither listed nor written down by itself';
comment on column syncline.token.id_token is
  'What the identity provider said when the session began, for signing out of it; null: it did not, or it was too long';
create index token_session on syncline.token (session_id) where session_id is not null;

create or replace function syncline.audit_token() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op = 'INSERT' then
    perform syncline.record(case when new.is_session then 'session.begun' else 'token.issued' end, '', syncline.account_called(new.account_id),
      jsonb_build_object('token', new.token_id, 'expires', new.expires_at, 'issuedTo', new.issued_to, 'boundAs', new.bound_as));
  -- That one is over nobody has done.
  elsif old.expires_at > now() then
    perform syncline.record(case when old.is_session then 'session.ended' else 'token.revoked' end, '', syncline.account_called(old.account_id),
      jsonb_build_object('token', old.token_id));
  end if;
  return null;
end $$;

-- What a page's scripts present says no more than that the session is used.
drop trigger audit on syncline.token;
create trigger audit after insert on syncline.token for each row when (new.session_id is null) execute function syncline.audit_token();
create trigger audit_end after delete on syncline.token for each row when (old.session_id is null) execute function syncline.audit_token();

-- What somebody had is taken while it is known who they are: what goes with the row of the account itself is written down after it.
create function syncline.take_from_account() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  delete from syncline.token where account_id = old.account_id and session_id is null;
  delete from syncline.service_grant where account_id = old.account_id;
  delete from syncline.identity where account_id = old.account_id;
  delete from syncline.account_role where account_id = old.account_id;
  return old;
end $$;
create trigger take before delete on syncline.account for each row execute function syncline.take_from_account();
