-- Who owns what clients make, and which rows they may see.

comment on column syncline.replica.owner is 'Who made it, or whom it was given to; empty: anybody who may use the service';
comment on column syncline.job.owner is 'Who asked for it; empty: nobody who signed in';
comment on column syncline.batch.user_name is 'Who sent it; empty: nobody who signed in';

alter table syncline.export add column owner text not null default '';
comment on column syncline.export.owner is 'Who may fetch it; empty: anybody who may use the service';
alter table syncline.upload_item add column owner text not null default '';
comment on column syncline.upload_item.owner is 'Who sends it; empty: nobody who signed in';

-- Limits are for each owner.
create index replica_owner on syncline.replica (lower(owner)) where unregistered_at is null;
create index job_owner on syncline.job (lower(owner)) where ended_at is null;
create index upload_item_owner on syncline.upload_item (lower(owner));

create table syncline.replica_policy (
  replica_id uuid not null references syncline.replica on delete cascade,
  layer_key integer not null,
  since bigint not null,
  clause text,
  user_name text not null,
  primary key (replica_id, layer_key, since)
);
comment on table syncline.replica_policy is
  'Which rows of a layer the holder of a replica might see in what it was given. A layer without an entry: all of them';
comment on column syncline.replica_policy.since is
  'From this generation on. It is one that no earlier answer has, so that who holds a generation is known to have been given the rows of one policy';
comment on column syncline.replica_policy.clause is 'The condition on the rows; null: all of them';
comment on column syncline.replica_policy.user_name is 'Whom the condition means by CURRENT_USER';
