-- Failed attempts to sign in are counted for all processes together, and what the audit log says of expiry and of the first epoch is so.

create unlogged table syncline.failed_attempt (
  subject bytea primary key check (octet_length(subject) = 32),
  mistakes integer not null,
  last_at timestamptz not null
);
comment on table syncline.failed_attempt is
  'Who has guessed passwords wrongly within the last hour. Nothing is lost with it: after a crash, counting begins anew';
comment on column syncline.failed_attempt.subject is
  'SHA-256 of what is counted: the name of an account, whether there is one or not, or the address of a network';
create index failed_attempt_last on syncline.failed_attempt (last_at);

-- The first epoch is where a database begins, and nothing was restored or moved.
create or replace function syncline.audit_epoch() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if not exists (select from syncline.epoch e where e.epoch_id < new.epoch_id) then
    perform syncline.record('database.first_served', '', new.epoch_id::text, jsonb_build_object('generation', new.lost_upto));
    return null;
  end if;
  perform syncline.record('epoch.begun', '', new.epoch_id::text,
    jsonb_build_object('reason', new.reason, 'lostAfter', new.lost_after, 'lostUpTo', new.lost_upto));
  return null;
end $$;

-- As before, but for the reason of the first epoch.
create or replace function syncline.settle() returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if syncline.is_home() then
    return false;
  end if;
  -- No service has the key 0: this keeps two from beginning the first epoch.
  perform pg_advisory_xact_lock(1398361667, 0);
  perform pg_advisory_xact_lock(1398361667, s.service_id) from (select service_id from syncline.service order by service_id) s;
  -- Somebody else may have seen it first.
  if syncline.is_home() then
    return false;
  end if;
  perform syncline.begin_epoch(case when exists (select from syncline.epoch)
    then 'the database is in another place or on another timeline than before: it was restored, promoted, moved or copied'
    else 'the database is served for the first time' end);
  return true;
end $$;

-- After how many days without a synchronization replicas expire, where somebody says something else than the settings.
create function syncline.audit_expiry() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  rule jsonb := jsonb_build_object('days', new.expire_days, 'before', old.expire_days);
begin
  if tg_table_name = 'service' then
    perform syncline.record('service.expiry_changed', new.name, new.name, rule);
  else
    perform syncline.record('replica.expiry_changed', syncline.service_called(new.service_id), new.replica_id::text,
      rule || jsonb_build_object('name', new.name));
  end if;
  return null;
end $$;
create trigger audit_expiry after update of expire_days on syncline.service for each row
when (new.expire_days is distinct from old.expire_days) execute function syncline.audit_expiry();
create trigger audit_expiry after update of expire_days on syncline.replica for each row
when (new.expire_days is distinct from old.expire_days) execute function syncline.audit_expiry();
