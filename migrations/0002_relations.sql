-- Rows that belong to other rows: related tables, and attachments.

create table syncline.relationship (
  relationship_key integer generated always as identity primary key,
  service_id integer not null references syncline.service on delete cascade,
  relationship_id integer not null,
  name text not null,
  origin_key integer not null references syncline.layer on delete cascade,
  origin_field text not null,
  destination_key integer not null references syncline.layer on delete cascade,
  destination_field text not null,
  single boolean not null,
  constraint relationship_id_unique unique (service_id, relationship_id),
  constraint relationship_once unique (origin_key, origin_field, destination_key, destination_field)
);
comment on table syncline.relationship is
  'Rows of the destination belong to the row of the origin with the same key: origin_field = destination_field';
comment on column syncline.relationship.relationship_id is 'As clients know it: counted within the service';
comment on column syncline.relationship.single is 'Whether an origin has at most one destination';

create trigger changed after insert or update or delete on syncline.relationship
for each statement execute function syncline.catalogue_changed();

-- The attachments of a layer are rows of a table of Syncline's own, which is tracked like a published one. The bytes are in
-- the data directory, under the SHA-256 of what they are.
alter table syncline.layer alter column layer_id drop not null;
alter table syncline.layer add column attached_to integer references syncline.layer on delete cascade;
alter table syncline.layer add constraint layer_attached_once unique (attached_to);
alter table syncline.layer add constraint layer_id_or_attached check ((layer_id is null) = (attached_to is not null));
comment on column syncline.layer.attached_to is 'The layer whose attachments these are; they have no id of their own in the service';
