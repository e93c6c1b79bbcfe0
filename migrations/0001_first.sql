-- Syncline's own tables. Published tables stay where they are, in the users' schemas.
-- PostGIS may already be there, in a schema of the administrator's choice.
create extension if not exists postgis with schema public;

create schema if not exists syncline;
comment on schema syncline is 'What Syncline knows about published tables, their changes and their replicas';

-- One sequence for all services. Without a cache: a cache for each connection would hand out numbers out of order.
create sequence syncline.generation as bigint minvalue 1 cache 1;

create table syncline.service (
  service_id integer generated always as identity primary key,
  name text not null constraint service_name_unique unique,
  description text not null default '',
  next_layer_id integer not null default 0,
  history_from bigint not null default nextval('syncline.generation'),
  created_at timestamptz not null default now()
);
comment on table syncline.service is 'A published set of layers under one URL, with one history';
comment on column syncline.service.next_layer_id is 'Ids of layers are never given twice, since clients keep them';
comment on column syncline.service.history_from is 'The oldest generation from which a delta can still be made; at first the one at which the service began';
create unique index service_name_any_case on syncline.service (lower(name));

create table syncline.layer (
  layer_key integer generated always as identity primary key,
  service_id integer not null references syncline.service on delete cascade,
  layer_id integer not null,
  name text not null,
  table_schema text not null,
  table_name text not null,
  object_id_column text not null,
  global_id_column text not null,
  geometry_column text,
  geometry_type text check (geometry_type in ('point', 'multipoint', 'polyline', 'polygon')),
  geometry_multi boolean not null default false,
  srid integer,
  has_z boolean not null default false,
  has_m boolean not null default false,
  constraint layer_id_unique unique (service_id, layer_id),
  constraint layer_table_unique unique (table_schema, table_name),
  constraint layer_geometry_whole check (num_nonnulls(geometry_column, geometry_type, srid) in (0, 3))
);
comment on table syncline.layer is 'A published table; its changes are in syncline.change_<layer_key>';

create table syncline.field (
  layer_key integer not null references syncline.layer on delete cascade,
  position integer not null,
  name text not null,
  alias text not null,
  field_type text not null,
  column_type text not null,
  length integer,
  nullable boolean not null,
  has_default boolean not null,
  generated boolean not null,
  primary key (layer_key, position)
);
comment on table syncline.field is 'A published column';
comment on column syncline.field.column_type is 'As format_type() writes it; used in casts';

create table syncline.txn (
  txn_id bigint generated always as identity primary key,
  service_id integer not null,
  xid xid8 not null default pg_current_xact_id(),
  origin uuid,
  generation bigint,
  committed_at timestamptz not null default clock_timestamp()
);
comment on table syncline.txn is
  'A transaction that edited layers of a service. Without foreign keys: their checks would make concurrent writers lock one row';
comment on column syncline.txn.generation is 'Given while the transaction commits, hence in the order of commits';
comment on column syncline.txn.origin is 'The replica whose upload this was, if it was one';
comment on column syncline.txn.xid is 'Finds the open row of the current transaction; means nothing afterwards';
comment on column syncline.txn.committed_at is 'For people; never a cursor';
create unique index txn_generation on syncline.txn (service_id, generation);
create unique index txn_open on syncline.txn (xid, service_id) where generation is null;

-- The row of the current transaction for a service, made by its first edit. Looked up by the transaction's id, which
-- nobody can forge, and which a rolled-back savepoint takes away together with the row.
create function syncline.mark(service integer) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare mark bigint;
begin
  select t.txn_id into mark from syncline.txn t
  where t.xid = pg_current_xact_id() and t.service_id = service and t.generation is null;
  if mark is null then
    insert into syncline.txn (service_id) values (service) returning txn_id into mark;
  end if;
  return mark;
end $$;

-- The row of a transaction that begins as a replica's upload.
create function syncline.begin_upload(service integer, replica uuid) returns bigint
language sql security definer set search_path = pg_catalog, pg_temp as $$
  insert into syncline.txn (service_id, origin) values (service, replica) returning txn_id
$$;

-- Stamps the marks of a transaction while it commits. The lock comes before the number and is held to the end of the
-- commit, so that the order of generations is the order of commits. Services are locked in ascending order, by the
-- first firing, since two transactions over the same services would otherwise block each other.
create function syncline.stamp() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare open record;
begin
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

create constraint trigger stamp after insert on syncline.txn
deferrable initially deferred for each row execute function syncline.stamp();
alter table syncline.txn enable always trigger stamp;

-- Statements on published tables are numbered as they begin, within their transaction. What is recorded of a row is how
-- the statement that began first found it, and not the one that is recorded first: a trigger for rows may edit a row
-- again, and its statement ends before the one that fired it. Statements nest, so the open ones are a stack, the
-- innermost first. A rolled-back savepoint rolls back the settings, too.
create function syncline.next_statement() returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare number integer := coalesce(nullif(current_setting('syncline.statement', true), ''), '0')::integer + 1;
begin
  perform set_config('syncline.statement', number::text, true);
  return number;
end $$;

create function syncline.statement_begins() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform set_config('syncline.open', syncline.next_statement() || ',' || coalesce(current_setting('syncline.open', true), ''), true);
  return null;
end $$;

-- The number of the statement that ends. The highest if nothing says when it began: what is recorded already stays.
create function syncline.statement_ends() returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  open text := coalesce(current_setting('syncline.open', true), '');
  number text := split_part(open, ',', 1);
begin
  perform set_config('syncline.open', substr(open, length(number) + 2), true);
  return coalesce(nullif(number, '')::integer, 2147483647);
end $$;

create table syncline.replica (
  replica_id uuid primary key,
  service_id integer not null references syncline.service on delete cascade,
  name text not null,
  owner text not null default '',
  sync_model text not null check (sync_model in ('perReplica', 'perLayer')),
  direction text not null check (direction in ('bidirectional', 'upload', 'download')),
  srid integer not null,
  area_json text,
  created_at timestamptz not null default now(),
  last_sync_at timestamptz not null default now(),
  constraint replica_name_unique unique (service_id, name)
);
comment on table syncline.replica is 'A client''s registered holding';
comment on column syncline.replica.area_json is 'The geometry as the client gave it, to be shown again';

create table syncline.replica_layer (
  replica_id uuid not null references syncline.replica on delete cascade,
  layer_key integer not null references syncline.layer on delete cascade,
  position integer not null,
  query_option text not null check (query_option in ('none', 'useFilter', 'all')),
  use_geometry boolean not null,
  include_related boolean not null,
  where_clause text,
  area bytea,
  given bigint not null,
  presented bigint not null,
  primary key (replica_id, layer_key)
);
comment on column syncline.replica_layer.where_clause is 'As the client sent it; parsed again when read';
comment on column syncline.replica_layer.area is 'The replica''s geometry in the layer''s spatial reference, as EWKB';
comment on column syncline.replica_layer.given is 'The newest generation that the client was ever given';
comment on column syncline.replica_layer.presented is 'The newest generation that the client ever presented: it proves that it had it';

create table syncline.batch (
  batch_id bigint generated always as identity primary key,
  replica_id uuid not null references syncline.replica on delete cascade,
  digest bytea not null,
  presented text not null,
  direction text not null,
  txn_id bigint not null,
  received_at timestamptz not null default now()
);
comment on table syncline.batch is 'The edits of one upload; recognised when they come again';
comment on column syncline.batch.digest is 'SHA-256 of the edits in a canonical form';
comment on column syncline.batch.presented is 'The generations that came with them';
create index batch_replica on syncline.batch (replica_id, batch_id);
create index batch_txn on syncline.batch (txn_id);

create table syncline.receipt (
  batch_id bigint not null references syncline.batch on delete cascade,
  layer_key integer not null,
  position integer not null,
  op text not null check (op in ('add', 'update', 'delete')),
  global_id uuid,
  object_id bigint,
  altered boolean not null,
  code integer,
  message text,
  primary key (batch_id, layer_key, position)
);
comment on table syncline.receipt is 'What became of one edit of an upload';
comment on column syncline.receipt.code is 'Null if it was applied';
comment on column syncline.receipt.altered is 'Whether the stored row may differ from what was sent';

create table syncline.export (
  export_id uuid primary key,
  service_id integer not null references syncline.service on delete cascade,
  replica_id uuid,
  size_bytes bigint not null,
  created_at timestamptz not null default now(),
  used_at timestamptz not null default now()
);
comment on table syncline.export is 'A finished result that a client may fetch; the bytes are in the data directory';

-- Whoever changes the catalogue tells running servers to read it again.
create function syncline.catalogue_changed() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform pg_notify('syncline_catalogue', '');
  return null;
end $$;
create trigger changed after insert or update or delete on syncline.service
for each statement execute function syncline.catalogue_changed();
create trigger changed after insert or update or delete on syncline.layer
for each statement execute function syncline.catalogue_changed();
create trigger changed after insert or update or delete on syncline.field
for each statement execute function syncline.catalogue_changed();
