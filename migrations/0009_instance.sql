-- Which installation serves the database. Its id stands here and in the data directory of every server that has served it. A
-- database that is elsewhere than before, and is served by somebody who does not know the id, is a copy: devices of the
-- original must not leave their edits in it.

create table syncline.instance (
  instance_id uuid not null default gen_random_uuid(),
  system_identifier text,
  timeline text,
  database_id bigint
);
comment on table syncline.instance is 'The installation that serves this database; one row';
comment on column syncline.instance.system_identifier is 'Where the database was when a server last began to serve it; all null if none has';
create unique index instance_one on syncline.instance ((true));
insert into syncline.instance default values;

create function syncline.instance() returns uuid
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select i.instance_id from syncline.instance i
$$;

alter table syncline.replica add column instance_id uuid;
update syncline.replica set instance_id = syncline.instance();
alter table syncline.replica alter column instance_id set not null, alter column instance_id set default syncline.instance();
comment on column syncline.replica.instance_id is
  'The installation that made it. If that is not the one that serves the database, nobody synchronizes it until it is adopted';

-- Called by a server that begins to serve, with the id in its data directory. Returns the id from now on, which is another one
-- if the database was copied.
create function syncline.begin_serving(held uuid) returns uuid
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare known record; here record;
begin
  select * into known from syncline.instance for update;
  select * into here from syncline.place();
  if known.database_id = here.database_id and known.timeline = here.timeline
    and coalesce(known.system_identifier = here.system_identifier, true) then
    return known.instance_id;
  end if;
  if known.database_id is not null and held is distinct from known.instance_id then
    known.instance_id := gen_random_uuid();
  end if;
  update syncline.instance set instance_id = known.instance_id, system_identifier = here.system_identifier,
    timeline = here.timeline, database_id = here.database_id;
  return known.instance_id;
end $$;

-- Monitoring asks for open refused edits and for conflicts that nobody has settled.
create index rejected_edit_open_of_service on syncline.rejected_edit (service_id) where state = 'open';
create index conflict_open on syncline.conflict (service_id) where restored_at is null;
