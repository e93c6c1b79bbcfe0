-- The life of replicas and of the history: what clients have acknowledged, expiry, gaps, epochs.

-- What a client holds is acknowledged by presenting it. A device that was restored presents an older generation than
-- before, so that history must be kept from the lowest that a client held within a grace time, and not from the last. Two
-- periods of at least that time are enough to know it: `low` is the lowest presented since `low_since`, `low_before` the
-- lowest of the period before. A period begins with a presentation, when the one before has lasted for the grace time.
-- Hence: before low_since + grace, the grace time reaches into no period but these two; later, it lies in the current one.
alter table syncline.replica_layer
  add column low bigint,
  add column low_before bigint,
  add column low_since timestamptz not null default now();
comment on column syncline.replica_layer.low is
  'The lowest generation presented since low_since, as far as a delta could start from it; null: none yet, the client holds what it was given';
comment on column syncline.replica_layer.low_before is 'The lowest of the period that ended at low_since';
comment on column syncline.replica_layer.low_since is 'When the current period began; at first, when the replica was made';
update syncline.replica_layer set low = presented where presented > 0;

-- The generation from which a replica may still need the changes of a layer.
create function syncline.acknowledged(l syncline.replica_layer, grace interval) returns bigint
language sql stable as $$
  select case when now() < l.low_since + grace then least(coalesce(l.low, l.given), l.low_before) else coalesce(l.low, l.given) end
$$;

alter table syncline.replica add column expired_at timestamptz;
comment on column syncline.replica.expired_at is
  'When it expired for want of synchronizations. Synchronizing revives it; some time later it is unregistered';

alter table syncline.layer
  add column history_from bigint not null default 0,
  add column pruned_to bigint not null default 0,
  add column tracking text;
comment on column syncline.layer.history_from is
  'The oldest generation from which a delta of this layer can be made, if that is younger than its service''s: changes were missed, or its columns are others';
comment on column syncline.layer.pruned_to is 'Changes up to this generation have been deleted';
comment on column syncline.layer.tracking is
  'A digest of the trigger functions as they were made; null if they were made by a version that kept none';

create table syncline.gap (
  gap_id bigint generated always as identity primary key,
  layer_key integer not null,
  reason text not null,
  noticed_at timestamptz not null default now(),
  mended_at timestamptz
);
comment on table syncline.gap is
  'Changes of a layer may have been missed. Nobody synchronizes it until it is mended. Without a foreign key, whose check would make writers wait for each other';
create index gap_open on syncline.gap (layer_key) where mended_at is null;

-- Called in the transaction whose changes could not be recorded: who sees its edits also sees the gap.
create function syncline.note_gap(layer integer, reason text) returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
  insert into syncline.gap (layer_key, reason)
  select layer, reason where not exists (select from syncline.gap g where g.layer_key = layer and g.mended_at is null)
$$;

-- The layers whose rows belong to rows of this one or the other way round, however many steps away, and itself.
create function syncline.connected(key integer) returns setof integer
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  with recursive pair as (
    select r.origin_key as one, r.destination_key as two from syncline.relationship r
    union all select r.destination_key, r.origin_key from syncline.relationship r
    union all select l.layer_key, l.attached_to from syncline.layer l where l.attached_to is not null
    union all select l.attached_to, l.layer_key from syncline.layer l where l.attached_to is not null
  ), reached as (select key as layer_key union select p.two from reached r join pair p on p.one = r.layer_key)
  select layer_key from reached
$$;

-- Begins the history of a layer anew, now: no delta of it, or of a layer that is connected with it, crosses this
-- generation. The mark without changes makes this the generation of every later snapshot at least.
create function syncline.begin_history(key integer) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  service integer := (select l.service_id from syncline.layer l where l.layer_key = key);
  number bigint;
begin
  perform pg_advisory_xact_lock(1398361667, service);
  number := nextval('syncline.generation');
  insert into syncline.txn (service_id, generation) values (service, number);
  update syncline.layer set history_from = number where layer_key in (select syncline.connected(key));
  update syncline.gap set mended_at = now() where layer_key = key and mended_at is null;
  return number;
end $$;

create table syncline.epoch (
  epoch_id integer generated always as identity primary key,
  system_identifier text,
  timeline text,
  database_id bigint not null,
  lost_after bigint not null,
  lost_upto bigint not null,
  reason text not null,
  began_at timestamptz not null default now()
);
comment on table syncline.epoch is
  'A stretch of the database''s life without a step back in time. After a restore or a promotion, numbers may have been given that nobody here knows of: they are skipped';
comment on column syncline.epoch.system_identifier is 'Of the cluster; null if the server''s role may not read it';
comment on column syncline.epoch.lost_after is 'Generations after this one …';
comment on column syncline.epoch.lost_upto is '… up to this one belong to a past that is lost; both are equal if nothing can be';

-- Where the database lives, as far as the server may know.
create function syncline.place(out system_identifier text, out timeline text, out database_id bigint)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if has_function_privilege('pg_control_system()', 'execute') then
    select s.system_identifier::text into system_identifier from pg_control_system() s;
  end if;
  timeline := left(pg_walfile_name(pg_current_wal_lsn()), 8);
  database_id := (select d.oid::bigint from pg_database d where d.datname = current_database());
end $$;

create function syncline.is_home() returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare here record; home record;
begin
  select * into here from syncline.place();
  select * into home from syncline.epoch order by epoch_id desc limit 1;
  return found and here.database_id = home.database_id and here.timeline = home.timeline
    and coalesce(here.system_identifier = home.system_identifier, true);
end $$;

-- Begins an epoch: no number that may have been given in a lost past is given again. The locks are those of stamp(), in the
-- same order, so that no number is drawn between the look at the highest and the jump. Without services, there is nobody
-- who could hold a number.
create function syncline.begin_epoch(why text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare highest bigint; jump bigint; last bigint;
begin
  perform pg_advisory_xact_lock(1398361667, s.service_id) from (select service_id from syncline.service order by service_id) s;
  highest := greatest((select max(generation) from syncline.txn), (select max(history_from) from syncline.service), 0);
  last := (select case when is_called then last_value else 0 end from syncline.generation);
  jump := highest;
  if exists (select from syncline.epoch) and exists (select from syncline.service) then
    jump := greatest(highest + 4294967296, last);
  end if;
  if jump >= 9007199254740992 - 4294967296 then
    raise exception 'the generations are used up: clients cannot read numbers above 2^53';
  end if;
  if jump > last then
    perform setval('syncline.generation', jump);
  end if;
  insert into syncline.epoch (system_identifier, timeline, database_id, lost_after, lost_upto, reason)
  select p.system_identifier, p.timeline, p.database_id, highest, jump, why from syncline.place() p;
end $$;

-- Begins an epoch if the database is not where it was. True if it did.
create function syncline.settle() returns boolean
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
  perform syncline.begin_epoch('the database is in another place or on another timeline than before: it was restored, promoted, moved or copied');
  return true;
end $$;

-- As before, and looks first where it is: after a restore or a promotion, an edit by any program may be the first thing
-- that happens, and must not get a number of the lost past. Once in the life of a backend is enough, since no backend
-- that can write lives through either; a setting that somebody else made does not have this backend's number.
create or replace function syncline.stamp() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare open record;
begin
  if current_setting('syncline.home', true) is distinct from pg_backend_pid()::text then
    perform syncline.settle();
    perform set_config('syncline.home', pg_backend_pid()::text, false);
  end if;
  for open in
    select t.txn_id, t.service_id from syncline.txn t
    where t.xid = pg_current_xact_id() and t.generation is null order by t.service_id
  loop
    perform pg_advisory_xact_lock(1398361667, open.service_id);
    update syncline.txn set generation = nextval('syncline.generation'), committed_at = clock_timestamp()
    where txn_id = open.txn_id;
  end loop;
  return null;
end $$;
