-- How a replica takes part in the exchange of data: attachments.
alter table syncline.replica
  add column return_attachments boolean not null default false,
  add column attachments_direction text not null default 'none'
    check (attachments_direction in ('none', 'upload', 'bidirectional'));
comment on column syncline.replica.return_attachments is 'Whether it came with attachments when it was made';
comment on column syncline.replica.attachments_direction is 'Which way attachments go since, seen from the client';

-- Replicas that two servers keep of each other: the same id on both sides, each side with generations of its own.
alter table syncline.replica
  add column target_type text not null default 'client' check (target_type in ('client', 'server'));
comment on column syncline.replica.target_type is 'Who holds it: a client, or another server';

alter table syncline.replica_layer
  add column sib_generation bigint,
  add column base bigint not null default 0;
comment on column syncline.replica_layer.sib_generation is
  'What was received from the other server, in the generations of the other server; never goes back';
comment on column syncline.replica_layer.base is
  'The generation at which the replica was registered: its holder has everything up to here by what it was made of';
