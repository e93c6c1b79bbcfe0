-- Who did what, when and from where: written by the database itself in the transaction that does it, so that nothing is done
-- without being written down, whichever program does it. Rows are never changed; sealed, they form a chain.

create table syncline.audit (
  audit_id bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  actor text not null,
  origin text not null,
  request_id text not null,
  action text not null,
  service text not null,
  subject text not null,
  detail jsonb not null,
  position bigint unique,
  digest bytea check (octet_length(digest) = 32),
  check (num_nonnulls(position, digest) in (0, 2))
);
comment on table syncline.audit is
  'What was done. Whoever is not its owner cannot write it but by doing something; see docs/operations.md';
comment on column syncline.audit.actor is
  'A user, key:NAME, anonymous, server, command:UID, or database:ROLE for who came by SQL';
comment on column syncline.audit.origin is 'The address of the network, if it came from one';
comment on column syncline.audit.request_id is 'The request or job, as the log has it';
comment on column syncline.audit.service is 'The name that the service had; empty if it is about none';
comment on column syncline.audit.subject is 'What it was done to';
comment on column syncline.audit.position is 'Its place in the chain; null until it is sealed. Rows are sealed in an order in which they can be seen, not in that of their ids';
comment on column syncline.audit.digest is
  'SHA-256 of the digest at the position before (32 zero bytes at first) and of what the row says, each value preceded by its length in bytes and a colon';
create index audit_unsealed on syncline.audit (audit_id) where position is null;
create index audit_at on syncline.audit (at);

-- Rows are never changed, but for their seal, and go only from the old end, when `syncline.forget_audit` says so.
create function syncline.keep_audit() returns trigger
language plpgsql as $$
begin
  if tg_op = 'DELETE' and current_setting('syncline.forgetting_audit', true) = 'on' then
    return old;
  end if;
  if tg_op = 'UPDATE' and old.position is null and new.position is not null
    and (old.audit_id, old.at, old.actor, old.origin, old.request_id, old.action, old.service, old.subject, old.detail)
      = (new.audit_id, new.at, new.actor, new.origin, new.request_id, new.action, new.service, new.subject, new.detail) then
    return new;
  end if;
  raise exception 'the audit log is only ever added to';
end $$;
create trigger keep before update or delete on syncline.audit for each row execute function syncline.keep_audit();
create trigger keep_all before truncate on syncline.audit for each statement execute function syncline.keep_audit();

-- What became of an edit stays what it was until its books are forgotten.
create function syncline.keep_receipts() returns trigger
language plpgsql as $$
begin
  raise exception 'receipts are never changed';
end $$;
create trigger keep before update on syncline.receipt for each statement execute function syncline.keep_receipts();

-- Writes down what happened. Who did it says the setting `syncline.actor`, which lasts for the transaction: hexadecimal UTF-8 of a JSON
-- object with `actor`, `origin` and `request`. Where it says nothing, or nothing that can be read, it was somebody with SQL.
create function syncline.record(action text, service text, subject text, detail jsonb default '{}') returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  said text := nullif(current_setting('syncline.actor', true), '');
  who jsonb := '{}';
begin
  if said is not null then
    begin
      who := convert_from(decode(said, 'hex'), 'UTF8')::jsonb;
    exception when others then
      who := '{}';
    end;
  end if;
  insert into syncline.audit (actor, origin, request_id, action, service, subject, detail)
  values (coalesce(who->>'actor', 'database:' || session_user), coalesce(who->>'origin', ''), coalesce(who->>'request', ''),
    action, coalesce(service, ''), coalesce(subject, ''), coalesce(detail, '{}'));
end $$;

create function syncline.audit_content(a syncline.audit, place bigint) returns bytea
language sql stable set search_path = pg_catalog, pg_temp as $$
  select string_agg(convert_to(octet_length(v) || ':' || v, 'UTF8'), ''::bytea order by n)
  from unnest(array[place::text, a.audit_id::text, (extract(epoch from a.at) * 1000000)::bigint::text, a.actor, a.origin, a.request_id, a.action,
    a.service, a.subject, a.detail::text]) with ordinality u(v, n)
$$;

-- Seals what can be seen and is not sealed, at most so many rows. Returns how many it sealed.
create function syncline.seal_audit(at_most integer default 10000) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  head record;
  item syncline.audit;
  place bigint;
  last bytea;
  n integer := 0;
begin
  if not exists (select from syncline.audit where position is null) then
    return 0;
  end if;
  -- One chain, one link after the other.
  perform pg_advisory_xact_lock(1398361668, 0);
  select a.position, a.digest into head from syncline.audit a where a.position is not null order by a.position desc limit 1;
  place := coalesce(head.position, 0);
  last := coalesce(head.digest, decode(repeat('00', 32), 'hex'));
  for item in select a.* from syncline.audit a where a.position is null order by a.audit_id limit at_most loop
    place := place + 1;
    last := sha256(last || syncline.audit_content(item, place));
    update syncline.audit set position = place, digest = last where audit_id = item.audit_id;
    n := n + 1;
  end loop;
  return n;
end $$;

-- Forgets the sealed rows that are older than so many days, from the beginning of the chain on. The newest row stays, so that there is
-- something to go on from, and what was forgotten is written down: where the rest begins and on which digest. Returns how many.
create function syncline.forget_audit(days integer) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  last record;
  n bigint;
begin
  perform pg_advisory_xact_lock(1398361668, 0);
  select a.position, a.digest into last from syncline.audit a
  where a.position < least(
    (select min(b.position) from syncline.audit b where b.at >= now() - make_interval(days => days) and b.position is not null),
    (select max(b.position) from syncline.audit b))
  order by a.position desc limit 1;
  if not found then
    return 0;
  end if;
  perform set_config('syncline.forgetting_audit', 'on', true);
  delete from syncline.audit a where a.position <= last.position;
  get diagnostics n = row_count;
  perform set_config('syncline.forgetting_audit', 'off', true);
  perform syncline.record('audit.forgotten', '', last.position::text,
    jsonb_build_object('position', last.position, 'digest', encode(last.digest, 'hex'), 'rows', n));
  return n;
end $$;

revoke all on function syncline.record(text, text, text, jsonb) from public;
revoke all on function syncline.seal_audit(integer) from public;
revoke all on function syncline.forget_audit(integer) from public;

create function syncline.service_called(id integer) returns text
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select s.name from syncline.service s where s.service_id = id
$$;

create function syncline.account_called(id integer) returns text
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select coalesce((select a.name from syncline.account a where a.account_id = id), 'account ' || id)
$$;

-- The members of two documents that differ.
create function syncline.members_changed(before jsonb, after jsonb) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select coalesce(jsonb_agg(k order by k), '[]')
  from (select jsonb_object_keys(coalesce(before, '{}')) as k union select jsonb_object_keys(coalesce(after, '{}'))) keys
  where before->k is distinct from after->k
$$;

-- Accounts.

create function syncline.audit_account() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op = 'INSERT' then
    perform syncline.record('user.added', '', new.name);
  elsif tg_op = 'DELETE' then
    perform syncline.record('user.removed', '', old.name);
  else
    if new.name <> old.name then
      perform syncline.record('user.renamed', '', old.name, jsonb_build_object('to', new.name));
    end if;
    if new.enabled <> old.enabled then
      perform syncline.record(case when new.enabled then 'user.enabled' else 'user.disabled' end, '', new.name);
    end if;
    if new.password_hash is distinct from old.password_hash then
      perform syncline.record('user.password_changed', '', new.name);
    end if;
  end if;
  return null;
end $$;
create trigger audit after insert or update or delete on syncline.account for each row execute function syncline.audit_account();

create function syncline.audit_account_role() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op <> 'INSERT' then
    perform syncline.record('user.role_taken', '', syncline.account_called(old.account_id), jsonb_build_object('role', old.role));
  end if;
  if tg_op <> 'DELETE' then
    perform syncline.record('user.role_given', '', syncline.account_called(new.account_id), jsonb_build_object('role', new.role));
  end if;
  return null;
end $$;
create trigger audit after insert or update or delete on syncline.account_role for each row execute function syncline.audit_account_role();

create function syncline.audit_role() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op = 'DELETE' then
    perform syncline.record('role.removed', '', old.name, jsonb_build_object('level', old.level));
  else
    perform syncline.record(case tg_op when 'INSERT' then 'role.added' else 'role.changed' end, '', new.name, jsonb_build_object('level', new.level));
  end if;
  return null;
end $$;
create trigger audit after insert or update or delete on syncline.role for each row execute function syncline.audit_role();

create function syncline.audit_token() returns trigger
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
create trigger audit after insert or delete on syncline.token for each row execute function syncline.audit_token();

create function syncline.audit_key() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op = 'DELETE' then
    perform syncline.record('key.revoked', '', old.name);
  elsif tg_op = 'INSERT' or (new.name, new.digest, new.role, new.services, new.expires_at)
      is distinct from (old.name, old.digest, old.role, old.services, old.expires_at) then
    perform syncline.record(case tg_op when 'INSERT' then 'key.added' else 'key.changed' end, '', new.name,
      jsonb_build_object('role', new.role, 'expires', new.expires_at,
        'services', (select jsonb_agg(syncline.service_called(s)) from unnest(new.services) s)));
  end if;
  return null;
end $$;
create trigger audit after insert or update or delete on syncline.api_key for each row execute function syncline.audit_key();

create function syncline.audit_grant() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  it syncline.service_grant;
begin
  if tg_op = 'DELETE' then
    it := old;
  else
    it := new;
  end if;
  perform syncline.record(case tg_op when 'DELETE' then 'grant.removed' else 'grant.set' end, syncline.service_called(it.service_id),
    case when it.account_id is not null then syncline.account_called(it.account_id) when it.role is not null then 'role ' || it.role else 'everybody' end,
    jsonb_build_object('access', it.access));
  return null;
end $$;
create trigger audit after insert or update or delete on syncline.service_grant for each row execute function syncline.audit_grant();

-- Services and layers.

create function syncline.audit_service() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op = 'INSERT' then
    perform syncline.record('service.added', new.name, new.name);
  elsif tg_op = 'DELETE' then
    perform syncline.record('service.removed', old.name, old.name);
  else
    if new.name <> old.name then
      perform syncline.record('service.renamed', new.name, old.name);
    end if;
    if new.definition is distinct from old.definition then
      perform syncline.record('service.defined', new.name, new.name,
        jsonb_build_object('members', syncline.members_changed(old.definition, new.definition)));
    end if;
    if new.history_from > old.history_from then
      perform syncline.record('history.forgotten', new.name, new.name, jsonb_build_object('from', new.history_from));
    end if;
  end if;
  return null;
end $$;
create trigger audit after insert or update or delete on syncline.service for each row execute function syncline.audit_service();

create function syncline.audit_layer() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op = 'INSERT' then
    perform syncline.record('layer.published', syncline.service_called(new.service_id), new.name,
      jsonb_build_object('layer', new.layer_id, 'table', new.table_schema || '.' || new.table_name));
  elsif tg_op = 'DELETE' then
    perform syncline.record('layer.unpublished', syncline.service_called(old.service_id), old.name,
      jsonb_build_object('layer', old.layer_id, 'table', old.table_schema || '.' || old.table_name));
  else
    if new.definition is distinct from old.definition then
      perform syncline.record('layer.defined', syncline.service_called(new.service_id), new.name,
        jsonb_build_object('layer', new.layer_id, 'members', syncline.members_changed(old.definition, new.definition)));
    end if;
    if new.history_from > old.history_from then
      perform syncline.record('layer.history_begun', syncline.service_called(new.service_id), new.name,
        jsonb_build_object('layer', new.layer_id, 'from', new.history_from));
    end if;
  end if;
  return null;
end $$;
create trigger audit after insert or update or delete on syncline.layer for each row execute function syncline.audit_layer();

create function syncline.audit_relationship() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  it syncline.relationship;
begin
  if tg_op = 'DELETE' then
    it := old;
  else
    it := new;
  end if;
  perform syncline.record(case tg_op when 'DELETE' then 'relationship.removed' else 'relationship.added' end, syncline.service_called(it.service_id),
    it.name, jsonb_build_object('relationship', it.relationship_id));
  return null;
end $$;
create trigger audit after insert or delete on syncline.relationship for each row execute function syncline.audit_relationship();

create function syncline.audit_gap() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op = 'INSERT' or (old.mended_at is null and new.mended_at is not null) then
    perform syncline.record(case tg_op when 'INSERT' then 'gap.noticed' else 'gap.mended' end,
      (select syncline.service_called(l.service_id) from syncline.layer l where l.layer_key = new.layer_key),
      (select l.name from syncline.layer l where l.layer_key = new.layer_key), jsonb_build_object('reason', new.reason));
  end if;
  return null;
end $$;
create trigger audit after insert or update on syncline.gap for each row execute function syncline.audit_gap();

create function syncline.audit_epoch() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform syncline.record('epoch.begun', '', new.epoch_id::text,
    jsonb_build_object('reason', new.reason, 'lostAfter', new.lost_after, 'lostUpTo', new.lost_upto));
  return null;
end $$;
create trigger audit after insert on syncline.epoch for each row execute function syncline.audit_epoch();

create function syncline.audit_instance() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if new.instance_id <> old.instance_id then
    perform syncline.record('instance.changed', '', new.instance_id::text, jsonb_build_object('before', old.instance_id));
  end if;
  return null;
end $$;
create trigger audit after update on syncline.instance for each row execute function syncline.audit_instance();

-- Replicas.

create function syncline.audit_replica() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  called text := syncline.service_called(new.service_id);
  basic jsonb := jsonb_build_object('name', new.name);
begin
  if tg_op = 'INSERT' then
    perform syncline.record('replica.created', called, new.replica_id::text, basic || jsonb_build_object('owner', new.owner));
    return null;
  end if;
  if old.unregistered_at is null and new.unregistered_at is not null then
    perform syncline.record('replica.unregistered', called, new.replica_id::text, basic);
  end if;
  if (old.expired_at is null) <> (new.expired_at is null) then
    perform syncline.record(case when new.expired_at is null then 'replica.revived' else 'replica.expired' end, called, new.replica_id::text, basic);
  end if;
  if new.instance_id <> old.instance_id then
    perform syncline.record('replica.adopted', called, new.replica_id::text, basic || jsonb_build_object('from', old.instance_id));
  end if;
  if new.owner <> old.owner then
    perform syncline.record('replica.given', called, new.replica_id::text, basic || jsonb_build_object('from', old.owner, 'to', new.owner));
  end if;
  return null;
end $$;
create trigger audit after insert or update of unregistered_at, expired_at, instance_id, owner on syncline.replica
for each row execute function syncline.audit_replica();

create function syncline.audit_replicas_forgotten() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform syncline.record('replica.forgotten', syncline.service_called(g.service_id), g.n || ' replicas', jsonb_build_object('replicas', g.ids))
  from (select service_id, count(*) as n, (array_agg(replica_id))[1:100] as ids from gone group by service_id) g;
  return null;
end $$;
create trigger audit_forgotten after delete on syncline.replica referencing old table as gone
for each statement execute function syncline.audit_replicas_forgotten();

-- The books.

create function syncline.audit_rejected_edits() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform syncline.record('rejected_edit.' || c.state, syncline.service_called(c.service_id), c.n || ' refused edits',
    jsonb_build_object('rejectedEdits', c.ids, 'closedBy', c.closed_by))
  from (select a.service_id, a.state, a.closed_by, count(*) as n, (array_agg(a.rejected_edit_id order by a.rejected_edit_id))[1:100] as ids
    from before b join after a using (rejected_edit_id) where b.state <> a.state group by 1, 2, 3) c;
  return null;
end $$;
create trigger audit after update on syncline.rejected_edit referencing old table as before new table as after
for each statement execute function syncline.audit_rejected_edits();

create function syncline.audit_conflict() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform syncline.record('conflict.restored', syncline.service_called(new.service_id), new.conflict_id::text,
    jsonb_build_object('feature', new.global_id));
  return null;
end $$;
create trigger audit after update of restored_at on syncline.conflict for each row
when (new.restored_at is distinct from old.restored_at) execute function syncline.audit_conflict();

create function syncline.audit_batch() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform syncline.record('batch.undone', coalesce(syncline.service_called((select t.service_id from syncline.txn t where t.txn_id = new.txn_id)), ''),
    new.batch_id::text, jsonb_build_object('replica', new.replica_id));
  return null;
end $$;
create trigger audit after update of undone_at on syncline.batch for each row
when (new.undone_at is distinct from old.undone_at) execute function syncline.audit_batch();

-- What retention takes away from the books.
create function syncline.audit_forgotten() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  n bigint := (select count(*) from gone);
begin
  if n > 0 then
    perform syncline.record(tg_table_name || '.forgotten', '', n || ' rows', jsonb_build_object('rows', n));
  end if;
  return null;
end $$;
create trigger audit_forgotten after delete on syncline.batch referencing old table as gone
for each statement execute function syncline.audit_forgotten();
create trigger audit_forgotten after delete on syncline.receipt referencing old table as gone
for each statement execute function syncline.audit_forgotten();
create trigger audit_forgotten after delete on syncline.rejected_edit referencing old table as gone
for each statement execute function syncline.audit_forgotten();
create trigger audit_forgotten after delete on syncline.conflict referencing old table as gone
for each statement execute function syncline.audit_forgotten();
