-- How a replica takes part in the exchange of data: attachments.
alter table syncline.replica
  add column return_attachments boolean not null default false,
  add column attachments_direction text not null default 'none'
    check (attachments_direction in ('none', 'upload', 'bidirectional'));
comment on column syncline.replica.return_attachments is 'Whether it came with attachments when it was made';
comment on column syncline.replica.attachments_direction is 'Which way attachments go since, seen from the client';
